#![no_main]
//! Any bytes as an RTCP compound: every packet in it is read to its end.

use _engine::wire::rtcp::{Compound, Packet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for packet in Compound::new(bytes).flatten() {
        let items = match packet {
            Packet::SenderReport { reports, .. } | Packet::ReceiverReport { reports, .. } => reports.count(),
            Packet::SourceDescription(chunks) => chunks.count(),
            Packet::Bye(ssrcs) | Packet::Remb { ssrcs, .. } => ssrcs.count(),
            Packet::Nack { lost, .. } => lost.count(),
            Packet::Fir { entries, .. } => entries.count(),
            Packet::TransportFeedback(feedback) => feedback.arrivals().count(),
            Packet::Pli { .. } | Packet::Other { .. } => 0,
        };
        assert!(items <= 65535);
    }
});
