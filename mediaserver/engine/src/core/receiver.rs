//! What a receiver knows of one incoming stream (RFC 3550, 6.4.1 and appendix A).

use std::time::Instant;

use super::clock::{ntp_of, SenderReport};
use crate::wire::rtcp::ReportBlock;

/// Packets behind the newest that are told from repetitions.
const WINDOW: u64 = 2048;
const WORDS: usize = (WINDOW / 64) as usize;
/// A jump over more packets than this is no loss, but another stream under the same SSRC.
const MAX_GAP: u64 = 1000;

/// A packet's place among those that came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The newest; `missing` before it have not come (yet).
    Newest {
        missing: u64,
    },
    /// The newest, so far ahead that what is between will not come.
    Jump {
        from: u64,
    },
    /// Behind the newest, and new.
    Late,
    Duplicate,
    TooOld,
}

/// One SSRC. An *index* is an extended sequence number.
#[derive(Clone, Debug)]
pub struct Receiver {
    clock_rate: u32,
    first: Option<u64>,
    highest: u64,
    /// A ring: bit `index % WINDOW` says whether `index` has come.
    seen: [u64; WORDS],
    /// Received on this SSRC itself, repetitions included; and bytes of payload.
    pub packets: u64,
    pub bytes: u64,
    /// Come by retransmission.
    pub repaired: u64,
    /// Indices that a jump left out.
    skipped: u64,
    /// In RTP ticks, times 16 (RFC 3550, A.8).
    jitter: u32,
    transit: Option<i64>,
    prior_expected: u64,
    prior_received: u64,
}

impl Receiver {
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate: clock_rate.max(1),
            first: None,
            highest: 0,
            seen: [0; WORDS],
            packets: 0,
            bytes: 0,
            repaired: 0,
            skipped: 0,
            jitter: 0,
            transit: None,
            prior_expected: 0,
            prior_received: 0,
        }
    }

    /// The newest index so far.
    pub fn highest(&self) -> Option<u64> {
        self.first.map(|_| self.highest)
    }

    /// The index nearest to the newest that ends in this sequence number.
    pub fn extend(&self, sequence: u16) -> Option<u64> {
        let highest = self.highest()?;
        let distance = sequence.wrapping_sub(highest as u16) as i16;
        highest.checked_add_signed(i64::from(distance))
    }

    /// Takes note of a packet and says where it stands.
    pub fn accept(&mut self, index: u64) -> Arrival {
        if self.first.is_none() {
            (self.first, self.highest) = (Some(index), index);
            self.mark(index);
            return Arrival::Newest { missing: 0 };
        }
        if index > self.highest {
            let missing = index - self.highest - 1;
            let from = self.highest + 1;
            if missing >= WINDOW {
                self.seen = [0; WORDS];
            } else {
                (from..index).for_each(|skipped| self.clear(skipped));
            }
            self.highest = index;
            self.mark(index);
            if missing > MAX_GAP {
                self.skipped += missing;
                return Arrival::Jump { from };
            }
            return Arrival::Newest { missing };
        }
        if self.highest - index >= WINDOW {
            return Arrival::TooOld;
        }
        if self.seen[Self::word(index)] & Self::bit(index) != 0 {
            return Arrival::Duplicate;
        }
        self.mark(index);
        Arrival::Late
    }

    /// Interarrival jitter (RFC 3550, A.8); `micros`: when the packet came.
    pub fn time(&mut self, timestamp: u32, micros: i64) {
        let arrival = micros * i64::from(self.clock_rate) / 1_000_000;
        // Differences of transits are taken modulo 2^32, as timestamps wrap.
        let transit = i64::from((arrival as u32).wrapping_sub(timestamp) as i32);
        if let Some(before) = self.transit {
            let d = (transit - before).unsigned_abs();
            // A jump of the sender's timestamps is no jitter.
            if d < u64::from(self.clock_rate) {
                self.jitter = self.jitter.saturating_add(d as u32).saturating_sub((self.jitter + 8) >> 4);
            }
        }
        self.transit = Some(transit);
    }

    pub fn jitter_ms(&self) -> u32 {
        (u64::from(self.jitter >> 4) * 1000 / u64::from(self.clock_rate)) as u32
    }

    fn expected(&self) -> u64 {
        self.first.map_or(0, |first| (self.highest + 1 - first).saturating_sub(self.skipped))
    }

    /// Lost, and not repaired.
    pub fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.packets + self.repaired)
    }

    /// The report block; the next one's fraction counts from here.
    pub fn report(&mut self, now: Instant, ssrc: u32, last: Option<&SenderReport>) -> ReportBlock {
        let expected = self.expected();
        let interval = expected - self.prior_expected.min(expected);
        let received = self.packets - self.prior_received;
        (self.prior_expected, self.prior_received) = (expected, self.packets);
        let lost = interval.saturating_sub(received);
        ReportBlock {
            ssrc,
            fraction_lost: (lost * 256 / interval.max(1)).min(255) as u8,
            lost: (expected as i64 - self.packets as i64).clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest_sequence: self.highest as u32,
            jitter: self.jitter >> 4,
            last_sr: last.map_or(0, |sr| (sr.ntp >> 16) as u32),
            delay_since_last_sr: last
                .map_or(0, |sr| (ntp_of(now.saturating_duration_since(sr.arrived)) >> 16) as u32),
        }
    }

    fn word(index: u64) -> usize {
        (index % WINDOW / 64) as usize
    }

    fn bit(index: u64) -> u64 {
        1 << (index % 64)
    }

    fn mark(&mut self, index: u64) {
        self.seen[Self::word(index)] |= Self::bit(index);
    }

    fn clear(&mut self, index: u64) {
        self.seen[Self::word(index)] &= !Self::bit(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn places_packets() {
        let mut receiver = Receiver::new(90_000);
        assert_eq!(receiver.accept(65_535), Arrival::Newest { missing: 0 });
        assert_eq!(receiver.extend(1), Some(65_537));
        assert_eq!(receiver.accept(65_538), Arrival::Newest { missing: 2 });
        assert_eq!(receiver.accept(65_536), Arrival::Late);
        assert_eq!(receiver.accept(65_536), Arrival::Duplicate);
        assert_eq!(receiver.accept(65_500), Arrival::Late, "before the first that came");
        assert_eq!(receiver.accept(65_538 + 1001), Arrival::Newest { missing: 1000 });
        assert_eq!(receiver.accept(65_537), Arrival::Late);
        assert_eq!(receiver.accept(80_000), Arrival::Jump { from: 66_540 });
        assert_eq!(receiver.accept(65_538), Arrival::TooOld);
        assert_eq!(receiver.accept(79_000), Arrival::Late, "the window was cleared");
    }

    #[test]
    fn reports_loss_without_what_was_repaired() {
        let mut receiver = Receiver::new(8000);
        let now = Instant::now();
        for index in (0..100).filter(|i| i % 4 != 3) {
            receiver.accept(1000 + index);
            receiver.packets += 1;
        }
        receiver.accept(1003);
        receiver.repaired += 1;
        let sr = SenderReport { ntp: 0x1234_5678_9abc_def0, rtp_timestamp: 0, arrived: now };
        let block = receiver.report(now + Duration::from_millis(500), 7, Some(&sr));
        assert_eq!((block.ssrc, block.fraction_lost, block.lost), (7, 62, 24));
        assert_eq!((block.last_sr, block.delay_since_last_sr), (0x5678_9abc, 0x8000));
        assert_eq!(block.highest_sequence, 1098);
        assert_eq!(receiver.lost(), 23);
        receiver.accept(1100);
        receiver.packets += 1;
        assert_eq!(receiver.report(now, 7, None).fraction_lost, 128);
    }

    #[test]
    fn jitter_follows_rfc_3550() {
        let mut receiver = Receiver::new(8000);
        for n in 0..200u32 {
            // Every second packet is 10 ms late: 80 ticks between transits.
            receiver.time(
                (u32::MAX - 800).wrapping_add(n * 160),
                i64::from(n) * 20_000 + i64::from(n % 2) * 10_000,
            );
        }
        assert!((75..=80).contains(&(receiver.jitter >> 4)), "{}", receiver.jitter >> 4);
        assert_eq!(receiver.jitter_ms(), 9);
    }
}
