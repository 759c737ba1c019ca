//! The node's wall clock, and where senders' clocks stand to it.

use std::time::{Duration, Instant};

/// Seconds from 1900 (NTP) to 1970 (Unix).
pub const NTP_TO_UNIX: u64 = 2_208_988_800;

/// The node's clock: NTP time (32.32 fixed point seconds) of any instant. Set once, so that it
/// runs evenly whatever happens to the system's clock.
#[derive(Clone, Copy, Debug)]
pub struct NodeClock {
    start: Instant,
    ntp: u64,
}

impl NodeClock {
    pub fn new(start: Instant, ntp: u64) -> Self {
        Self { start, ntp }
    }

    pub fn ntp(&self, now: Instant) -> u64 {
        self.ntp.wrapping_add(ntp_of(now.saturating_duration_since(self.start)))
    }

    /// Nanoseconds since 1970, UTC.
    pub fn unix_ns(&self, now: Instant) -> u64 {
        let ntp = self.ntp(now);
        let fraction = ((ntp & 0xffff_ffff) * 1_000_000_000) >> 32;
        (ntp >> 32).saturating_sub(NTP_TO_UNIX) * 1_000_000_000 + fraction
    }

    /// Microseconds since the start.
    pub fn micros(&self, now: Instant) -> i64 {
        now.saturating_duration_since(self.start).as_micros() as i64
    }
}

/// A duration in NTP's 32.32 format.
pub fn ntp_of(duration: Duration) -> u64 {
    (duration.as_secs() << 32) | ((u64::from(duration.subsec_nanos()) << 32) / 1_000_000_000)
}

/// RTP ticks in a (signed) NTP difference, rounded to the nearest.
pub fn ticks(ntp_difference: i64, clock_rate: u32) -> i64 {
    ((i128::from(ntp_difference) * i128::from(clock_rate) + (1 << 31)) >> 32) as i64
}

/// The NTP difference of (signed) RTP ticks.
fn ntp_difference(ticks: i32, clock_rate: u32) -> i64 {
    ((i128::from(ticks) << 32) / i128::from(clock_rate.max(1))) as i64
}

/// What a stream's newest sender report said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    pub ntp: u64,
    pub rtp_timestamp: u32,
    pub arrived: Instant,
}

impl SenderReport {
    /// The sender's NTP time of an RTP timestamp near to the report's.
    fn sender_ntp(&self, timestamp: u32, clock_rate: u32) -> u64 {
        let ticks = timestamp.wrapping_sub(self.rtp_timestamp) as i32;
        self.ntp.wrapping_add_signed(ntp_difference(ticks, clock_rate))
    }

    /// The RTP timestamp at a sender's NTP time.
    fn timestamp_at(&self, sender_ntp: u64, clock_rate: u32) -> u32 {
        let difference = sender_ntp.wrapping_sub(self.ntp) as i64;
        self.rtp_timestamp.wrapping_add(ticks(difference, clock_rate) as u32)
    }
}

/// Reports over which the least delay is looked for.
const WINDOW: usize = 10;
/// By how much the offset must be wrong before it is changed.
const TOLERANCE: i64 = (100 << 32) / 1000;
/// A capture time further than this from now is not believed.
const MAX_DISTANCE: i64 = 2 << 32;

/// Where a peer's clock stands to the node's: one offset for all its streams, so that what it
/// recorded at one time stays together. It contains the one-way delay of one report.
#[derive(Clone, Debug, Default)]
pub struct SenderClock {
    offset: Option<i64>,
    /// Offsets that the last reports would give.
    recent: [i64; WINDOW],
    count: usize,
}

impl SenderClock {
    /// Takes note of a sender report; `now_ntp`: when it arrived.
    pub fn report(&mut self, sender_ntp: u64, now_ntp: u64) {
        let seen = now_ntp.wrapping_sub(sender_ntp) as i64;
        self.recent[self.count % WINDOW] = seen;
        self.count += 1;
        let Some(offset) = self.offset else {
            self.offset = Some(seen);
            return;
        };
        // Held, for each change moves picture and sound of everybody who watches; but a first
        // report that was late, or a clock that was set, must not be wrong for ever.
        if self.count >= WINDOW {
            let least = self.recent.iter().min().copied().unwrap_or(seen);
            if least.abs_diff(offset) > TOLERANCE as u64 {
                self.offset = Some(least);
            }
        }
    }

    /// The node's NTP time at which a timestamp was captured; `None` when unknown or absurd.
    pub fn captured(
        &self,
        report: Option<&SenderReport>,
        timestamp: u32,
        clock_rate: u32,
        now_ntp: u64,
    ) -> Option<u64> {
        let captured = report?.sender_ntp(timestamp, clock_rate).wrapping_add_signed(self.offset?);
        let distance = now_ntp.wrapping_sub(captured) as i64;
        (distance.unsigned_abs() < MAX_DISTANCE as u64).then_some(captured)
    }

    /// The stream's RTP timestamp at the node's NTP time.
    pub fn timestamp_at(&self, report: &SenderReport, ntp: u64, clock_rate: u32) -> Option<u32> {
        Some(report.timestamp_at(ntp.wrapping_sub(self.offset? as u64), clock_rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1 << 32;

    #[test]
    fn the_node_clock_runs_evenly() {
        let start = Instant::now();
        let clock = NodeClock::new(start, 1000 * SECOND);
        assert_eq!(clock.ntp(start + Duration::from_millis(1500)), 1001 * SECOND + SECOND / 2);
        assert_eq!(clock.micros(start + Duration::from_millis(1500)), 1_500_000);
        assert_eq!(ticks(-(SECOND as i64) / 2, 90_000), -45_000);
    }

    #[test]
    fn capture_times_follow_the_report_and_the_common_offset() {
        let mut clock = SenderClock::default();
        // The sender lives in 1970, its report took 30 ms.
        let (sender, node) = (7 * SECOND, 5000 * SECOND);
        let report = SenderReport { ntp: sender, rtp_timestamp: u32::MAX - 10, arrived: Instant::now() };
        assert_eq!(clock.captured(Some(&report), 0, 90_000, node), None);
        clock.report(sender, node);
        let captured = clock.captured(Some(&report), 89_989, 90_000, node + SECOND).unwrap();
        assert!(captured.abs_diff(node + SECOND) < 10, "one second later, over the wrap");
        assert_eq!(clock.timestamp_at(&report, node + SECOND, 90_000), Some(89_989));
        assert_eq!(clock.captured(Some(&report), 89_989 + 270_000, 90_000, node + SECOND), None);
        assert_eq!(clock.captured(None, 0, 90_000, node), None);
    }

    #[test]
    fn the_offset_is_held_until_it_is_plainly_wrong() {
        let mut clock = SenderClock::default();
        let late = SECOND / 2;
        clock.report(0, 100 * SECOND + late);
        for n in 1..9 {
            clock.report(n * SECOND, (100 + n) * SECOND + SECOND / 50 * (n % 2));
            assert_eq!(clock.offset, Some((100 * SECOND + late) as i64));
        }
        clock.report(9 * SECOND, 109 * SECOND);
        assert_eq!(clock.offset, Some((100 * SECOND) as i64));
        clock.report(10 * SECOND, 110 * SECOND + SECOND / 20);
        assert_eq!(clock.offset, Some((100 * SECOND) as i64));
    }
}
