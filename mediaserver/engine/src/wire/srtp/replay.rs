//! Replay windows and the guess of the roll-over counter (RFC 3711, 3.3.1, 3.3.2 and appendix A).

/// Packets behind the newest one that can still be told apart from replays.
const WINDOW: u64 = 128;

/// One SSRC's newest index and which of the last 128 were seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    newest: u64,
    /// Bit n: index `newest - n` was accepted. Empty before the first packet.
    seen: u128,
}

impl Window {
    /// The index whose low 16 bits are `sequence` that lies nearest to the newest;
    /// `None` when that would lie before the stream's beginning.
    pub fn estimate(&self, sequence: u16) -> Option<u64> {
        let distance = sequence.wrapping_sub(self.newest as u16) as i16;
        self.newest.checked_add_signed(i64::from(distance))
    }

    /// Whether a packet with this index may be accepted.
    pub fn is_new(&self, index: u64) -> bool {
        if self.seen == 0 || index > self.newest {
            return true;
        }
        let age = self.newest - index;
        age < WINDOW && self.seen & (1 << age) == 0
    }

    /// Takes note of an authenticated packet; `is_new` was true for it.
    pub fn accept(&mut self, index: u64) {
        if self.seen == 0 {
            (self.newest, self.seen) = (index, 1);
        } else if index > self.newest {
            let step = index - self.newest;
            self.seen = if step < WINDOW { self.seen << step | 1 } else { 1 };
            self.newest = index;
        } else {
            self.seen |= 1 << (self.newest - index);
        }
    }
}
