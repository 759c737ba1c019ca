//! One continuous stream out of many: sequence numbers, timestamps and picture ids of a slot.
//!
//! A *segment* is a run of packets of one incoming stream; in it all numbers are the incoming
//! ones plus constants. All timestamps of a slot lie near one line over the node's clock: who
//! comes next begins where the line is when its first picture was captured. So pauses last as
//! long as they really did, and what receivers learnt of the slot's clock stays true.

use std::collections::VecDeque;

use super::clock::ticks;

/// Segments that are remembered, to send their packets again.
const KEPT: usize = 8;
/// Timestamps further than this (seconds) from the line belong to another clock.
const MAX_DEVIATION_S: i64 = 5;
const PICTURE_IDS: u16 = 0x8000;

/// The incoming stream that a segment shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feed {
    pub producer: usize,
    pub layer: usize,
    /// The layer's serial: places are used again, serials never.
    pub serial: u64,
    pub source: u32,
}

#[derive(Clone, Copy, Debug)]
pub struct Segment {
    pub feed: Feed,
    first_index: u64,
    first_number: u64,
    timestamp_offset: u32,
    picture_offset: u16,
    tl0_offset: u8,
}

impl Segment {
    /// The outgoing index of an incoming number; `None` before the beginning.
    pub fn index(&self, number: u64) -> Option<u64> {
        Some(self.first_index + number.checked_sub(self.first_number)?)
    }

    pub fn number(&self, index: u64) -> Option<u64> {
        Some(self.first_number + index.checked_sub(self.first_index)?)
    }

    pub fn is_first(&self, index: u64) -> bool {
        self.first_index == index
    }

    pub fn timestamp(&self, timestamp: u32) -> u32 {
        timestamp.wrapping_add(self.timestamp_offset)
    }

    pub fn picture_id(&self, id: u16) -> u16 {
        id.wrapping_add(self.picture_offset) % PICTURE_IDS
    }

    pub fn tl0_pic_idx(&self, idx: u8) -> u8 {
        idx.wrapping_add(self.tl0_offset)
    }
}

/// Where a segment begins.
#[derive(Clone, Copy, Debug)]
pub struct Beginning {
    pub number: u64,
    pub timestamp: u32,
    /// VP8's picture id and TL0PICIDX; 0 without.
    pub picture_id: u16,
    pub tl0_pic_idx: u8,
    /// The node's NTP time of this timestamp: captured then, or arrived.
    pub ntp: u64,
}

#[derive(Clone, Debug)]
pub struct Rewriter {
    clock_rate: u32,
    /// The next index (ROC and sequence number): never used twice, whatever happens.
    next: u64,
    /// The newest timestamp, picture id and TL0PICIDX sent.
    timestamp: u32,
    picture_id: u16,
    tl0_pic_idx: u8,
    /// A point of the line: (NTP time, timestamp).
    line: Option<(u64, u32)>,
    /// The last one is current while `active`.
    segments: VecDeque<Segment>,
    active: bool,
}

impl Rewriter {
    /// `first`: index of the first packet; below 2^15, for receivers guess a ROC of 0.
    pub fn new(clock_rate: u32, first: u64, timestamp: u32) -> Self {
        Self {
            clock_rate: clock_rate.max(1),
            next: first,
            timestamp,
            picture_id: 0,
            tl0_pic_idx: 0,
            line: None,
            segments: VecDeque::with_capacity(KEPT),
            active: false,
        }
    }

    pub fn current(&self) -> Option<&Segment> {
        self.segments.back().filter(|_| self.active)
    }

    pub fn stop(&mut self) {
        self.active = false;
    }

    pub fn begin(&mut self, feed: Feed, at: &Beginning) {
        let timestamp = self.at_beginning(at.ntp);
        let segment = Segment {
            feed,
            first_index: self.next,
            first_number: at.number,
            timestamp_offset: timestamp.wrapping_sub(at.timestamp),
            picture_offset: self.picture_id.wrapping_add(1).wrapping_sub(at.picture_id) % PICTURE_IDS,
            tl0_offset: self.tl0_pic_idx.wrapping_add(1).wrapping_sub(at.tl0_pic_idx),
        };
        if self.segments.len() == KEPT {
            self.segments.pop_front();
        }
        self.segments.push_back(segment);
        self.active = true;
    }

    /// The line's timestamp then, but later than any that was sent.
    fn at_beginning(&mut self, ntp: u64) -> u32 {
        let Some(timestamp) = self.on_line(ntp) else {
            self.line = Some((ntp, self.timestamp));
            return self.timestamp;
        };
        if is_newer(timestamp, self.timestamp) {
            timestamp
        } else {
            self.timestamp.wrapping_add(1)
        }
    }

    fn on_line(&self, ntp: u64) -> Option<u32> {
        let (start, timestamp) = self.line?;
        Some(timestamp.wrapping_add(ticks(ntp.wrapping_sub(start) as i64, self.clock_rate) as u32))
    }

    /// Whether the current segment would put a new packet far off the line: its source's
    /// timestamps have jumped, and a new segment must begin.
    pub fn is_off_line(&self, timestamp: u32, ntp: u64) -> bool {
        let (Some(segment), Some(line)) = (self.current(), self.on_line(ntp)) else { return false };
        let deviation = segment.timestamp(timestamp).wrapping_sub(line) as i32;
        i64::from(deviation.unsigned_abs()) > MAX_DEVIATION_S * i64::from(self.clock_rate)
    }

    pub fn is_newest(&self, index: u64) -> bool {
        index >= self.next
    }

    /// Takes note that a packet of the current segment is sent, with its rewritten numbers.
    pub fn sent(&mut self, index: u64, timestamp: u32, picture: Option<(u16, u8)>) {
        self.next = self.next.max(index + 1);
        if is_newer(timestamp, self.timestamp) {
            self.timestamp = timestamp;
        }
        if let Some((id, tl0)) = picture {
            let ahead = id.wrapping_sub(self.picture_id) % PICTURE_IDS;
            if ahead < PICTURE_IDS / 2 {
                self.picture_id = id;
            }
            if tl0.wrapping_sub(self.tl0_pic_idx) < 0x80 {
                self.tl0_pic_idx = tl0;
            }
        }
    }

    /// The segment and index of a packet that was sent, by its sequence number.
    pub fn find(&self, sequence: u16) -> Option<(&Segment, u64)> {
        let newest = self.next.checked_sub(1)?;
        let behind = (newest as u16).wrapping_sub(sequence);
        let index = newest.checked_sub(u64::from(behind))?;
        let segment = self.segments.iter().rev().find(|segment| segment.first_index <= index)?;
        Some((segment, index))
    }
}

fn is_newer(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1 << 32;

    fn feed(serial: u64) -> Feed {
        Feed { producer: 0, layer: 0, serial, source: 1 }
    }

    fn at(number: u64, timestamp: u32, ntp: u64) -> Beginning {
        Beginning { number, timestamp, picture_id: 0, tl0_pic_idx: 0, ntp }
    }

    #[test]
    fn segments_follow_each_other_without_a_gap_in_numbers_and_with_one_in_time() {
        let mut rewriter = Rewriter::new(90_000, 65_530, u32::MAX - 5);
        rewriter.begin(feed(1), &at(1000, 7, SECOND));
        let segment = *rewriter.current().unwrap();
        assert_eq!((segment.index(1000), segment.index(999)), (Some(65_530), None));
        for n in 0..10 {
            let (index, timestamp) = (segment.index(1000 + n).unwrap(), segment.timestamp(7 + n as u32));
            assert!(rewriter.is_newest(index));
            rewriter.sent(index, timestamp, None);
        }
        assert_eq!(rewriter.timestamp, 3);
        rewriter.stop();
        assert!(rewriter.current().is_none());
        rewriter.begin(feed(2), &at(5, 99, 3 * SECOND));
        let segment = rewriter.current().unwrap();
        assert_eq!(segment.index(5), Some(65_540));
        assert_eq!(segment.timestamp(99), (u32::MAX - 5).wrapping_add(180_000));
        // NACKs find packets on both sides of the switch and of the wrap.
        let (old, index) = rewriter.find(65_535).unwrap();
        assert_eq!((old.feed.serial, old.number(index)), (1, Some(1005)));
        assert_eq!(rewriter.find(3).unwrap().0.number(65_539), Some(1009));
        assert!(rewriter.find(100).is_none());
    }

    #[test]
    fn time_never_goes_back() {
        let mut rewriter = Rewriter::new(48_000, 0, 1000);
        rewriter.begin(feed(1), &at(0, 0, SECOND));
        rewriter.sent(0, 1000, None);
        rewriter.sent(1, 48_000, None);
        rewriter.begin(feed(2), &at(0, 0, SECOND / 2));
        assert_eq!(rewriter.current().unwrap().timestamp(0), 48_001);
    }

    #[test]
    fn a_source_whose_timestamps_jump_leaves_the_line() {
        let mut rewriter = Rewriter::new(90_000, 0, 0);
        rewriter.begin(feed(1), &at(0, 500, SECOND));
        assert!(!rewriter.is_off_line(500 + 90_000, 2 * SECOND));
        assert!(!rewriter.is_off_line(500 + 4 * 90_000, 2 * SECOND));
        assert!(rewriter.is_off_line(500 + 100 * 90_000, 2 * SECOND));
        assert!(rewriter.is_off_line(0u32.wrapping_sub(90_000 * 100), 2 * SECOND));
    }

    #[test]
    fn picture_ids_go_on_over_their_wrap() {
        let mut rewriter = Rewriter::new(90_000, 0, 0);
        let beginning = Beginning { picture_id: 0x7ffe, tl0_pic_idx: 200, ..at(0, 0, SECOND) };
        rewriter.begin(feed(1), &beginning);
        let segment = *rewriter.current().unwrap();
        let ids = [0x7ffe, 0x7fff, 0, 1].map(|id| segment.picture_id(id));
        assert_eq!(ids, [1, 2, 3, 4]);
        assert_eq!([200, 255, 0].map(|idx| segment.tl0_pic_idx(idx)), [1, 56, 57]);
        rewriter.sent(0, 0, Some((4, 57)));
        rewriter.sent(1, 0, Some((3, 57)));
        rewriter.begin(feed(2), &Beginning { picture_id: 17, tl0_pic_idx: 3, ..at(0, 0, SECOND) });
        let segment = rewriter.current().unwrap();
        assert_eq!((segment.picture_id(17), segment.tl0_pic_idx(3)), (5, 58));
    }
}
