//! Who speaks: loudness by the audio level extension (RFC 6464), smoothed, with hysteresis.

use std::time::{Duration, Instant};

/// Levels are -dBov: 0 is loudest, 127 silence. Louder than this begins speech …
const BEGIN: f32 = 45.0;
/// … and only below this for a while ends it.
const END: f32 = 55.0;
const PAUSE: Duration = Duration::from_millis(500);
/// How much one packet moves the smoothed level, up and down.
const ATTACK: f32 = 0.5;
const RELEASE: f32 = 0.1;

/// Loudness of one producer.
#[derive(Clone, Debug)]
pub struct Loudness {
    level: f32,
    /// Last moment of speech; `None` while silent.
    spoke: Option<Instant>,
}

impl Default for Loudness {
    fn default() -> Self {
        Self { level: 127.0, spoke: None }
    }
}

impl Loudness {
    /// A packet with this audio level extension came; the voice flag is not believed.
    pub fn hear(&mut self, now: Instant, extension: u8) {
        let level = f32::from(extension & 0x7f);
        let weight = if level < self.level { ATTACK } else { RELEASE };
        self.level += weight * (level - self.level);
        let threshold = if self.spoke.is_some() { END } else { BEGIN };
        if self.level < threshold {
            self.spoke = Some(now);
        }
    }

    /// The smoothed level, while there is speech. Without packets (DTX) it ends, too.
    pub fn speaking(&mut self, now: Instant) -> Option<u8> {
        self.spoke = self.spoke.filter(|&spoke| now.saturating_duration_since(spoke) < PAUSE);
        self.spoke.map(|_| self.level.round() as u8)
    }
}

/// What the speakers of one group were told to be.
#[derive(Clone, Debug, Default)]
pub struct Ranking {
    told: Vec<(u32, u8)>,
}

impl Ranking {
    /// Takes (source, level) of all who speak; returns them loudest first when that is news:
    /// while somebody speaks, and once when all have fallen silent.
    pub fn update(&mut self, mut levels: Vec<(u32, u8)>) -> Option<Vec<(u32, u8)>> {
        levels.sort_unstable_by_key(|&(source, level)| (level, source));
        if levels.is_empty() && self.told.is_empty() {
            return None;
        }
        self.told.clone_from(&levels);
        Some(levels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_begins_soon_and_outlasts_pauses() {
        let (mut loudness, start) = (Loudness::default(), Instant::now());
        let mut spoken = Vec::new();
        for n in 0..100u64 {
            let now = start + Duration::from_millis(20 * n);
            // A second of speech with a pause of 200 ms in it, then silence.
            let loud = n < 50 && !(20..30).contains(&n);
            loudness.hear(now, 0x80 | if loud { 25 } else { 127 });
            spoken.push(loudness.speaking(now).is_some());
        }
        let first = spoken.iter().position(|&s| s).unwrap();
        assert!(first <= 4, "{first}");
        assert!(spoken[first..50].iter().all(|&s| s));
        assert!(!spoken[85]);
        for _ in 0..3 {
            loudness.hear(start + Duration::from_secs(3), 0);
        }
        assert!(loudness.speaking(start + Duration::from_millis(3400)).is_some());
        assert_eq!(loudness.speaking(start + Duration::from_secs(4)), None, "no packets");
    }

    #[test]
    fn ranks_loudest_first_and_tells_silence_once() {
        let mut ranking = Ranking::default();
        assert_eq!(ranking.update(vec![]), None);
        assert_eq!(ranking.update(vec![(1, 40), (2, 20), (3, 40)]), Some(vec![(2, 20), (1, 40), (3, 40)]));
        assert_eq!(ranking.update(vec![]), Some(vec![]));
        assert_eq!(ranking.update(vec![]), None);
    }
}
