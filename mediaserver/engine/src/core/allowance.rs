//! How much a peer may cause: a bucket that fills with time, and with what else earns it.

use std::time::Instant;

#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    left: f32,
    max: f32,
    per_second: f32,
    at: Instant,
}

impl Allowance {
    /// Full: `max` at once, and `per_second` more.
    pub fn new(now: Instant, max: f32, per_second: f32) -> Self {
        Self { left: max, max, per_second, at: now }
    }

    pub fn earn(&mut self, amount: f32) {
        self.left = (self.left + amount).min(self.max);
    }

    /// Whether there is one left.
    pub fn has_one(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f32();
        self.at = now;
        self.earn(elapsed * self.per_second);
        self.left >= 1.0
    }

    pub fn spend(&mut self, amount: f32) {
        self.left -= amount;
    }

    /// Takes one, if there is one left.
    pub fn take(&mut self, now: Instant) -> bool {
        let may = self.has_one(now);
        if may {
            self.spend(1.0);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_then_a_rate_and_what_is_earned() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start, 10.0, 5.0);
        let mut taken = |at_ms: u64, earned: f32| {
            allowance.earn(earned);
            let now = start + Duration::from_millis(at_ms);
            std::iter::repeat_with(|| allowance.take(now)).take_while(|&may| may).count()
        };
        assert_eq!([taken(0, 0.0), taken(1000, 0.0), taken(1000, 2.0)], [10, 5, 2]);
        assert_eq!((taken(60_000, 0.0), taken(60_000, 99.0)), (10, 10), "never more than the bucket holds");
    }
}
