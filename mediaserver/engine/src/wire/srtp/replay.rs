//! Replay windows and the guess of the roll-over counter (RFC 3711, 3.3.1, 3.3.2 and appendix A).

/// Packets behind the newest one that can still be told apart from replays: publishers without
/// RTX send a lost packet again as it was, a round trip later.
const WINDOW: u64 = 1024;
const WORDS: usize = (WINDOW / 64) as usize;

/// One SSRC's newest index and which of the last 1024 were seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    newest: Option<u64>,
    /// A ring: bit `index % WINDOW` says whether `index` was accepted.
    seen: [u64; WORDS],
}

impl Window {
    /// The index whose low 16 bits are `sequence` that lies nearest to the newest;
    /// `None` when that would lie before the stream's beginning.
    pub fn estimate(&self, sequence: u16) -> Option<u64> {
        let newest = self.newest.unwrap_or(0);
        let distance = sequence.wrapping_sub(newest as u16) as i16;
        newest.checked_add_signed(i64::from(distance))
    }

    /// Whether a packet with this index may be accepted.
    pub fn is_new(&self, index: u64) -> bool {
        match self.newest {
            Some(newest) if index <= newest => {
                newest - index < WINDOW && self.seen[word(index)] & bit(index) == 0
            }
            _ => true,
        }
    }

    /// Takes note of an authenticated packet; `is_new` was true for it.
    pub fn accept(&mut self, index: u64) {
        let newest = self.newest.unwrap_or(index);
        if index.saturating_sub(newest) >= WINDOW {
            self.seen = [0; WORDS];
        } else {
            (newest + 1..index).for_each(|skipped| self.seen[word(skipped)] &= !bit(skipped));
        }
        self.seen[word(index)] |= bit(index);
        self.newest = Some(newest.max(index));
    }
}

fn word(index: u64) -> usize {
    (index % WINDOW / 64) as usize
}

fn bit(index: u64) -> u64 {
    1 << (index % 64)
}
