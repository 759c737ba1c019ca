#![no_main]
//! Any bytes as a session description: taken or refused, within the text's own lines.

use _engine::wire::sdp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Err(error) = sdp::parse(data) {
        assert!(error.line >= 1 && error.line <= 1 + data.iter().filter(|&&byte| byte == b'\n').count());
    }
});
