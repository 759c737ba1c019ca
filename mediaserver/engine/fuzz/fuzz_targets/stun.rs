#![no_main]
//! Any datagram as a STUN message: no panic, and a message that is believed was signed.

use _engine::wire::stun::{IntegrityKey, Message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = Message::parse(bytes) {
        assert!(!message.verify(&IntegrityKey::new("a password that the fuzzer does not know")));
        assert!(message.unknown_attributes().iter().all(|kind| *kind < 0x8000));
    }
});
