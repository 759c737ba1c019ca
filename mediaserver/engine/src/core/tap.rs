//! Recording: what a source sends is handed on as it came.

use std::time::Instant;

use super::demux::Stream;
use super::producer::Incoming;
use super::{Core, ProducerParameters};
use crate::wire::rtp::RtpHeader;

/// What a recorded packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Rtp,
    /// One sender report.
    Rtcp,
}

/// Takes what recorded sources send. It is called by the packet thread and must not wait.
pub trait Tap: Send {
    /// A source is recorded from now on; `file` and `label` mean something to who asked for it.
    fn begin(&mut self, file: &str, label: &str, parameters: &ProducerParameters);
    /// A packet, decrypted, in parts; `at_ns`: its arrival, nanoseconds since 1970, UTC.
    fn packet(&mut self, source: u32, at_ns: u64, protocol: Protocol, parts: &[&[u8]]);
    fn end(&mut self, source: u32);
    /// Now and then, for what found no room.
    fn tick(&mut self);
}

impl Core {
    /// Whoever records; without one, `Record` is counted as a command that cannot be done.
    pub fn set_tap(&mut self, tap: Box<dyn Tap>) {
        self.tap = Some(tap);
    }

    pub(super) fn record(&mut self, now: Instant, source: u32, file: &str, label: &str) -> Option<()> {
        let p = *self.by_source.get(&source)?;
        let producer = &mut self.producers[p];
        self.tap.as_mut()?.begin(file, label, &producer.parameters);
        producer.recorded = true;
        // What is kept is to begin with a picture, whether or not somebody watches.
        self.ask_keyframe(now, p);
        Some(())
    }

    pub(super) fn stop_recording(&mut self, source: u32) -> Option<()> {
        let p = *self.by_source.get(&source)?;
        let producer = &mut self.producers[p];
        if std::mem::take(&mut producer.recorded) {
            self.tap.as_mut()?.end(source);
        }
        Some(())
    }

    /// Hands on a packet that is no duplicate. What was sent again comes as what was lost:
    /// with the SSRC, payload type and sequence number of its stream (RFC 4588, 4).
    pub(super) fn tap_rtp(
        &mut self,
        now: Instant,
        stream: &Stream,
        header: &RtpHeader,
        packet: &[u8],
        incoming: &Incoming,
    ) {
        let producer = &self.producers[stream.producer];
        if !producer.recorded {
            return;
        }
        let Some(tap) = &mut self.tap else { return };
        let (source, at_ns) = (producer.parameters.source, self.clock.unix_ns(now));
        if !incoming.again {
            return tap.packet(source, at_ns, Protocol::Rtp, &[packet]);
        }
        let Some(ssrc) = producer.layers[stream.layer].ssrc else { return };
        let Some((fixed, _)) = packet.split_first_chunk::<12>() else { return };
        let mut fixed = *fixed;
        fixed[0] &= !0x20; // its padding was not the original's
        fixed[1] = fixed[1] & 0x80 | producer.parameters.payload_type;
        fixed[2..4].copy_from_slice(&(incoming.index as u16).to_be_bytes());
        fixed[8..].copy_from_slice(&ssrc.to_be_bytes());
        let parts = [&fixed, &packet[fixed.len()..header.len], incoming.payload];
        tap.packet(source, at_ns, Protocol::Rtp, &parts);
    }

    /// Hands on a sender report as it came.
    pub(super) fn tap_report(&mut self, now: Instant, t: usize, ssrc: u32, packet: &[u8]) {
        let Some((p, _)) = self.layer_of(t, ssrc) else { return };
        let producer = &self.producers[p];
        if let (true, Some(tap)) = (producer.recorded, &mut self.tap) {
            let at_ns = self.clock.unix_ns(now);
            tap.packet(producer.parameters.source, at_ns, Protocol::Rtcp, &[packet]);
        }
    }
}
