#![no_main]
//! Any datagram as RTP: header, extensions, payload descriptors; what is read is written back.

use _engine::wire::codec::{h264, vp8};
use _engine::wire::rtp::{HeaderFields, RtpHeader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| {
    let Ok(header) = RtpHeader::parse(packet) else { return };
    let csrcs: Vec<u32> = header.csrcs(packet).collect();
    let extensions: Vec<(u8, &[u8])> = header.extensions(packet).collect();
    let mut out = Vec::new();
    let len = HeaderFields {
        marker: header.marker,
        payload_type: header.payload_type,
        sequence: header.sequence,
        timestamp: header.timestamp,
        ssrc: header.ssrc,
        csrcs: &csrcs,
        extensions: &extensions,
    }
    .write(&mut out);
    let again = RtpHeader::parse(&out).expect("what we write is RTP");
    assert_eq!((len, again.len), (out.len(), out.len()));
    assert_eq!(again.extensions(&out).collect::<Vec<_>>(), extensions);
    if let Ok(range) = header.payload(packet) {
        let payload = &packet[range];
        h264::starts_key_frame(payload);
        vp8::starts_key_frame(payload);
        if let Some(descriptor) = vp8::Descriptor::parse(payload) {
            let mut copy = payload.to_vec();
            descriptor.rewrite(&mut copy, 0x1234, 0x56);
            assert_eq!(vp8::Descriptor::parse(&copy).map(|d| d.len), Some(descriptor.len));
        }
    }
});
