//! Sequence numbers without the packets that nobody is to see.
//!
//! Senders put padding, and packets of formats that are not forwarded, between those that are.
//! A stream's packets get consecutive *numbers* here, counted without them; real losses stay
//! gaps, so that receivers ask again. A number never changes once it was given.

use std::collections::VecDeque;

/// Ranges of indices without numbers that are remembered: for packets that come late.
const KEPT: usize = 64;

/// From extended sequence numbers ("indices") to numbers.
#[derive(Clone, Debug, Default)]
pub struct Numbering {
    /// (first, last) without numbers, ascending.
    skipped: VecDeque<(u64, u64)>,
    /// How many indices have no number in all.
    total: u64,
    /// Indices below are not mapped any more: their ranges are forgotten.
    floor: u64,
}

impl Numbering {
    /// The number of an index; `None` when it has none, or is too old to know.
    pub fn number(&self, index: u64) -> Option<u64> {
        if index < self.floor {
            return None;
        }
        let mut skipped = self.total;
        for &(first, last) in self.skipped.iter().rev() {
            if index > last {
                break;
            }
            if index >= first {
                return None;
            }
            skipped -= last - first + 1;
        }
        Some(index - skipped)
    }

    /// Leaves out an index or several; all must be newer than any that was numbered.
    pub fn skip(&mut self, first: u64, last: u64) {
        match self.skipped.back_mut() {
            Some(range) if range.1 + 1 == first => range.1 = last,
            _ => self.skipped.push_back((first, last)),
        }
        self.total += last - first + 1;
        if self.skipped.len() > KEPT {
            if let Some((_, last)) = self.skipped.pop_front() {
                self.floor = last + 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_close_over_what_is_left_out() {
        let mut numbering = Numbering::default();
        assert_eq!(numbering.number(10), Some(10));
        numbering.skip(11, 11);
        numbering.skip(12, 12);
        assert_eq!(numbering.number(13), Some(11));
        numbering.skip(20, 29);
        assert_eq!(numbering.number(30), Some(18));
        // A loss stays a gap, and late packets find their old number.
        assert_eq!(numbering.number(32), Some(20));
        assert_eq!((numbering.number(19), numbering.number(13)), (Some(17), Some(11)));
        assert_eq!((numbering.number(10), numbering.number(12)), (Some(10), None));
        assert_eq!(numbering.number(25), None);
    }

    #[test]
    fn what_is_forgotten_is_not_mapped_wrongly() {
        let mut numbering = Numbering::default();
        for n in 0..1000 {
            numbering.skip(10 * n, 10 * n + 4);
        }
        assert_eq!(numbering.number(10_000), Some(5000));
        assert_eq!(numbering.number(9999), Some(4999));
        assert_eq!(numbering.number(10 * 937 - 1), Some(5 * 937 - 1));
        assert_eq!(numbering.number(10 * 900 + 7), None);
    }
}
