//! Transport-wide feedback to a publisher: which of its packets came, and when
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use std::collections::VecDeque;

use crate::wire::rtcp;

/// Arrivals older than this are not reported again.
const HISTORY_US: i64 = 500_000;
const MAX_PACKETS: usize = 8192;
/// A sequence number further from the newest than this begins a new stream.
const MAX_JUMP: u64 = 4096;
const INTERVAL_US: i64 = 100_000;
/// Sooner when so many packets wait.
const MANY: usize = 40;
const SHORT_INTERVAL_US: i64 = 50_000;
/// Status count of one packet of feedback.
const MAX_STATUSES: usize = 450;

/// What one transport has received. Times are microseconds on the node's clock.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    /// Arrivals of the packets from `base` on.
    arrivals: VecDeque<Option<i64>>,
    base: u64,
    /// First packet of the next report; a late arrival sets it back, so that it is told, too.
    next: u64,
    unreported: usize,
    reported_at: i64,
    feedback_count: u8,
    media: u32,
}

impl Recorder {
    /// A packet with this transport-wide sequence number came; `ssrc`: on which stream.
    pub fn record(&mut self, sequence: u16, micros: i64, ssrc: u32) {
        self.media = ssrc;
        let Some(index) = self.extend(sequence) else {
            self.start(1 << 16 | u64::from(sequence));
            self.arrivals.push_back(Some(micros));
            self.unreported = 1;
            return;
        };
        if index < self.base {
            for _ in index..self.base {
                self.arrivals.push_front(None);
            }
            self.base = index;
        }
        let at = (index - self.base) as usize;
        if at >= self.arrivals.len() {
            self.arrivals.resize(at + 1, None);
        }
        let place = &mut self.arrivals[at];
        if place.is_none() {
            *place = Some(micros);
            self.unreported += 1;
            self.next = self.next.min(index);
        }
        if self.arrivals.len() > MAX_PACKETS {
            self.trim(i64::MAX);
        }
    }

    /// Nearest to the newest; `None` at the beginning and after a jump.
    fn extend(&self, sequence: u16) -> Option<u64> {
        let newest = self.base + (self.arrivals.len() as u64).checked_sub(1)?;
        let distance = i64::from(sequence.wrapping_sub(newest as u16) as i16);
        if distance.unsigned_abs() > MAX_JUMP {
            return None;
        }
        newest.checked_add_signed(distance)
    }

    fn start(&mut self, index: u64) {
        self.arrivals.clear();
        (self.base, self.next, self.unreported) = (index, index, 0);
    }

    pub fn is_due(&self, micros: i64) -> bool {
        let waited = micros - self.reported_at;
        match self.unreported {
            0 => false,
            1..MANY => waited >= INTERVAL_US,
            _ => waited >= SHORT_INTERVAL_US,
        }
    }

    /// Appends the feedback to a compound; returns how many packets of it. Bounded to
    /// `max_packets`: the rest is due at once.
    pub fn write(&mut self, micros: i64, sender: u32, max_packets: usize, out: &mut Vec<u8>) -> usize {
        let end = self.base + self.arrivals.len() as u64;
        let mut written = 0;
        let from = (self.next - self.base) as usize;
        let arrivals = &self.arrivals.make_contiguous()[from..];
        let mut done = 0;
        while done < arrivals.len() && written < max_packets {
            let rest = &arrivals[done..];
            let sequence = (self.next + done as u64) as u16;
            let told =
                rtcp::write_transport_feedback(out, sender, self.media, self.feedback_count, sequence, rest);
            if told == 0 {
                // Nothing but losses: they are told before the next arrival, or with none.
                done += rest.len().min(MAX_STATUSES);
                continue;
            }
            self.feedback_count = self.feedback_count.wrapping_add(1);
            written += 1;
            done += told;
        }
        self.next += done as u64;
        self.unreported = arrivals_in(&arrivals[done..]);
        if self.next == end {
            self.reported_at = micros;
        }
        self.trim(micros - HISTORY_US);
        written
    }

    /// Forgets what was reported and came before `before`, and whatever is too much.
    fn trim(&mut self, before: i64) {
        while let Some(front) = self.arrivals.front() {
            let old = self.base < self.next && front.is_none_or(|micros| micros < before);
            if !old && self.arrivals.len() <= MAX_PACKETS {
                break;
            }
            self.arrivals.pop_front();
            self.base += 1;
        }
        self.next = self.next.max(self.base);
    }
}

fn arrivals_in(arrivals: &[Option<i64>]) -> usize {
    arrivals.iter().flatten().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rtcp::{Compound, Packet};

    fn told(recorder: &mut Recorder, micros: i64) -> Vec<(u16, bool)> {
        let mut out = Vec::new();
        recorder.write(micros, 1, 10, &mut out);
        let mut all = Vec::new();
        for packet in Compound::new(&out) {
            let Ok(Packet::TransportFeedback(feedback)) = packet else { panic!("{packet:?}") };
            assert_eq!((feedback.sender, feedback.media), (1, 9));
            all.extend(feedback.arrivals().map(|(sequence, at)| (sequence, at.is_some())));
        }
        all
    }

    #[test]
    fn reports_once_losses_included_and_late_arrivals_again() {
        let mut recorder = Recorder::default();
        assert!(!recorder.is_due(1_000_000));
        for (n, sequence) in [65_534u16, 65_535, 1, 2].into_iter().enumerate() {
            recorder.record(sequence, 1_000_000 + n as i64 * 1000, 9);
        }
        assert!(recorder.is_due(1_100_000));
        assert_eq!(
            told(&mut recorder, 1_100_000),
            [(65_534, true), (65_535, true), (0, false), (1, true), (2, true)]
        );
        assert!(!recorder.is_due(2_000_000));
        recorder.record(2, 1_120_000, 9);
        assert!(!recorder.is_due(2_000_000), "a repetition is no news");
        recorder.record(0, 1_150_000, 9);
        recorder.record(5, 1_160_000, 9);
        assert_eq!(
            told(&mut recorder, 1_200_000),
            [(0, true), (1, true), (2, true), (3, false), (4, false), (5, true)]
        );
    }

    #[test]
    fn many_packets_come_sooner_and_in_several_reports() {
        let mut recorder = Recorder::default();
        recorder.record(0, 1_000_000, 9);
        told(&mut recorder, 1_000_000);
        for n in 1..=1000u16 {
            recorder.record(n, 1_000_000 + i64::from(n) * 40, 9);
        }
        assert!(!recorder.is_due(1_040_000) && recorder.is_due(1_050_000));
        let mut out = Vec::new();
        assert_eq!(recorder.write(1_050_000, 1, 1, &mut out), 1);
        assert!(recorder.is_due(1_050_000), "the rest is due at once");
        let rest = told(&mut recorder, 1_050_000);
        assert_eq!((rest[0], *rest.last().unwrap()), ((451, true), (1000, true)));
    }

    #[test]
    fn memory_is_bounded_and_a_jump_starts_anew() {
        let mut recorder = Recorder::default();
        for n in 0..30_000u32 {
            recorder.record(n as u16, 1_000_000 + i64::from(n), 9);
            assert!(recorder.arrivals.len() <= MAX_PACKETS);
        }
        while recorder.is_due(5_000_000) {
            told(&mut recorder, 5_000_000);
        }
        assert!(recorder.arrivals.is_empty());
        recorder.record(100, 6_000_000, 9);
        recorder.record(40_000, 6_000_100, 9);
        assert_eq!(told(&mut recorder, 6_100_000), [(40_000, true)]);
    }
}
