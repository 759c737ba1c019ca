//! Asking a publisher again for what was lost (RFC 4585, 6.2.1).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const INITIAL_RTT: Duration = Duration::from_millis(100);
/// How long a packet may be late before it counts as lost: between these.
const MIN_TOLERANCE: Duration = Duration::from_millis(3);
const MAX_TOLERANCE: Duration = Duration::from_millis(30);
const MAX_TRIES: u32 = 12;
/// Senders keep packets for about a second.
const MAX_AGE: Duration = Duration::from_millis(1500);
/// What is recorded is asked for on: the journal can use what the live picture could not. Less
/// often, since only senders that keep more than most have it.
const RECORDED_MAX_AGE: Duration = Duration::from_secs(5);
const RECORDED_RETRY: Duration = Duration::from_millis(500);
/// More than this missing is no gap to be mended packet by packet.
const MAX_MISSING: usize = 1000;

#[derive(Clone, Debug)]
struct Missing {
    index: u64,
    since: Instant,
    due: Instant,
    asked: Option<Instant>,
    tries: u32,
    /// Too late for the live picture.
    given_up: bool,
}

/// The missing packets of one stream.
#[derive(Clone, Debug)]
pub struct NackList {
    /// Ascending.
    missing: VecDeque<Missing>,
    /// Whether retransmissions come on a stream of their own: then they are not mistaken for
    /// late packets.
    rtx: bool,
    rtt: Duration,
    tolerance: Duration,
}

impl NackList {
    pub fn new(rtx: bool) -> Self {
        Self { missing: VecDeque::new(), rtx, rtt: INITIAL_RTT, tolerance: Duration::from_millis(5) }
    }

    /// `first..last` have not come. False: too many, they were given up.
    pub fn lost(&mut self, now: Instant, first: u64, last: u64) -> bool {
        for index in first..last {
            let due = now + self.tolerance;
            self.missing.push_back(Missing {
                index,
                since: now,
                due,
                asked: None,
                tries: 0,
                given_up: false,
            });
        }
        let few = self.missing.len() <= MAX_MISSING;
        if !few {
            self.missing.clear();
        }
        few
    }

    /// A packet behind the newest came; `again`: as a retransmission.
    pub fn arrived(&mut self, now: Instant, index: u64, again: bool) {
        let Ok(at) = self.missing.binary_search_by_key(&index, |missing| missing.index) else { return };
        let Some(missing) = self.missing.remove(at) else { return };
        if again {
            if let (1, Some(asked)) = (missing.tries, missing.asked) {
                let sample = now.saturating_duration_since(asked);
                self.rtt = (self.rtt * 7 + sample) / 8;
            }
        } else if self.rtx || missing.tries == 0 {
            let late = now.saturating_duration_since(missing.since).min(MAX_TOLERANCE);
            self.tolerance = ((self.tolerance * 3 + late * 2) / 4).clamp(MIN_TOLERANCE, MAX_TOLERANCE);
        }
    }

    /// Appends the sequence numbers to ask for now. False when packets were given up: only a
    /// key frame helps.
    pub fn due(&mut self, now: Instant, recorded: bool, lost: &mut Vec<u16>) -> bool {
        let mut hopeful = true;
        self.missing.retain_mut(|missing| {
            let age = now.saturating_duration_since(missing.since);
            if now < missing.due || (missing.tries < MAX_TRIES && age < MAX_AGE) {
                return true;
            }
            hopeful &= missing.given_up;
            missing.given_up = true;
            recorded && age < RECORDED_MAX_AGE
        });
        let retry = (self.rtt * 5 / 4 + Duration::from_millis(10)).min(Duration::from_millis(500));
        for missing in self.missing.iter_mut().filter(|missing| missing.due <= now) {
            lost.push(missing.index as u16);
            missing.tries += 1;
            missing.asked = Some(now);
            missing.due = now + if missing.given_up { RECORDED_RETRY } else { retry };
        }
        hopeful
    }

    pub fn clear(&mut self) {
        self.missing.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn due(list: &mut NackList, now: Instant) -> Vec<u16> {
        let mut lost = Vec::new();
        list.due(now, false, &mut lost);
        lost
    }

    #[test]
    fn asks_after_a_moment_and_again_after_a_round_trip() {
        let (mut list, start) = (NackList::new(true), Instant::now());
        assert!(list.lost(start, 65_535, 65_537));
        assert!(due(&mut list, start + ms(4)).is_empty());
        assert_eq!(due(&mut list, start + ms(5)), [65_535, 0]);
        assert!(due(&mut list, start + ms(100)).is_empty());
        list.arrived(start + ms(105), 65_535, true);
        assert_eq!(due(&mut list, start + ms(140)), [0]);
    }

    #[test]
    fn retries_follow_the_measured_round_trip() {
        let (mut list, start) = (NackList::new(true), Instant::now());
        for n in 0..60 {
            let at = start + ms(100 * n);
            list.lost(at, n, n + 1);
            assert_eq!(due(&mut list, at + ms(5)), [n as u16]);
            list.arrived(at + ms(25), n, true);
        }
        let at = start + ms(10_000);
        list.lost(at, 100, 101);
        due(&mut list, at + ms(5));
        assert!(due(&mut list, at + ms(38)).is_empty());
        assert_eq!(due(&mut list, at + ms(41)), [100]);
    }

    #[test]
    fn reordering_makes_it_patient() {
        let (mut list, start) = (NackList::new(true), Instant::now());
        for n in 0..20 {
            let at = start + ms(100 * n);
            list.lost(at, n, n + 1);
            list.arrived(at + ms(12), n, false);
        }
        let at = start + ms(10_000);
        list.lost(at, 100, 101);
        assert!(due(&mut list, at + ms(14)).is_empty());
        assert_eq!(due(&mut list, at + ms(25)), [100]);
    }

    #[test]
    fn gives_up_in_the_end_and_says_so() {
        let (mut list, start) = (NackList::new(true), Instant::now());
        list.lost(start, 5, 6);
        let (mut asked, mut kept) = (Vec::new(), true);
        for n in 0..1000 {
            kept &= list.due(start + ms(10 * n), false, &mut asked);
        }
        assert!(!kept);
        assert!((8..=12).contains(&asked.len()), "{}", asked.len());
        // What is recorded is asked for longer, and given up for the live picture once.
        list.lost(start, 7, 8);
        let (mut on, mut given_up) = (Vec::new(), 0);
        for n in 0..1000 {
            given_up += u32::from(!list.due(start + ms(10 * n), true, &mut on));
        }
        assert_eq!(given_up, 1);
        assert!((asked.len() + 5..=asked.len() + 10).contains(&on.len()), "{}", on.len());
        assert!(!list.lost(start, 10, 2000));
        assert!(due(&mut list, start + ms(20_000)).is_empty());
    }
}
