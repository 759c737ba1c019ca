//! When a stream is asked for a key frame: many wishes, few requests.

use std::time::{Duration, Instant};

/// Between two requests that somebody new makes.
const THROTTLE: Duration = Duration::from_millis(300);
/// Between two requests for the same need.
const RETRY: Duration = Duration::from_millis(500);
/// A receiver that asks so soon after a key frame has not seen it yet.
const FRESH: Duration = Duration::from_millis(100);

/// The wishes for key frames of one stream.
#[derive(Clone, Debug, Default)]
pub struct KeyframeRequests {
    /// Somebody asked while the throttle held.
    wanted: bool,
    sent: Option<Instant>,
    arrived: Option<Instant>,
    /// FIR's command sequence number (RFC 5104, 4.3.1.1).
    pub command: u8,
}

impl KeyframeRequests {
    /// Losses make one necessary: `due` tells when to ask.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// Somebody new needs one. True: ask now.
    pub fn ask(&mut self, now: Instant) -> bool {
        self.wanted = true;
        self.due(now)
    }

    /// A receiver of the stream asks. True: ask now.
    pub fn ask_for_receiver(&mut self, now: Instant) -> bool {
        elapsed(self.arrived, now, FRESH) && self.ask(now)
    }

    /// Somebody still waits for one. True: ask now.
    pub fn remind(&mut self, now: Instant) -> bool {
        let overdue = elapsed(self.sent, now, RETRY);
        if overdue {
            self.send(now);
        }
        overdue
    }

    /// Whether a wish that was held back is to be sent now.
    pub fn due(&mut self, now: Instant) -> bool {
        let due = self.wanted && elapsed(self.sent, now, THROTTLE);
        if due {
            self.send(now);
        }
        due
    }

    /// A key frame began to arrive: everybody has what they asked for.
    pub fn arrived(&mut self, now: Instant) {
        self.wanted = false;
        self.arrived = Some(now);
    }

    fn send(&mut self, now: Instant) {
        self.wanted = false;
        self.sent = Some(now);
        self.command = self.command.wrapping_add(1);
    }
}

fn elapsed(since: Option<Instant>, now: Instant, time: Duration) -> bool {
    since.is_none_or(|since| now.saturating_duration_since(since) >= time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_merged_and_throttled() {
        let (mut requests, start) = (KeyframeRequests::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert!(requests.ask(at(0)), "the first at once");
        assert!(!requests.ask(at(1)) && !requests.ask(at(299)));
        assert!(!requests.due(at(299)) && requests.due(at(300)), "the others as one");
        assert!(!requests.due(at(900)));
        requests.arrived(at(1000));
        assert!(!requests.ask_for_receiver(at(1050)), "it is on its way to who asks");
        assert!(requests.ask_for_receiver(at(1100)));
        requests.ask(at(1200));
        requests.arrived(at(1250));
        assert!(!requests.due(at(2000)), "answered");
    }

    #[test]
    fn reminds_every_half_second() {
        let (mut requests, start) = (KeyframeRequests::default(), Instant::now());
        let sent = (0..100).filter(|n| requests.remind(start + Duration::from_millis(20 * n))).count();
        assert_eq!(sent, 4);
        assert_eq!(requests.command, 4);
    }
}
