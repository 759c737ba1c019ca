//! Transport-wide feedback: which packets of a transport arrived, and when.

use super::super::{be16, be32};
use super::write::Packet;
use super::{format, packet_type};

/// Ticks of a delta, in microseconds.
const TICK_US: i64 = 250;
/// Ticks of the reference time: 64 ms.
const REFERENCE_TICKS: i64 = 256;
/// Statuses in a vector chunk with one and with two bits each.
const ONE_BIT: usize = 14;
const TWO_BIT: usize = 7;
const MAX_RUN: usize = 0x1fff;
/// Keeps a packet of two-byte deltas in a datagram.
const MAX_STATUSES: usize = 450;

/// Symbols of the status chunks.
const LOST: u8 = 0;
const SMALL: u8 = 1;
const LARGE: u8 = 2;

/// A feedback packet (draft-holmer-rmcat-transport-wide-cc-extensions-01, 3.1).
#[derive(Clone, Copy, Debug)]
pub struct TransportFeedback<'a> {
    pub sender: u32,
    pub media: u32,
    pub base_sequence: u16,
    pub status_count: u16,
    /// 24 bits, signed, in units of 64 ms.
    pub reference_time: i32,
    /// Counts the feedback packets of the sender.
    pub feedback_count: u8,
    chunks: &'a [u8],
}

impl<'a> TransportFeedback<'a> {
    /// `body`: the packet behind its first word.
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let time = be32(body, 12)?;
        Some(Self {
            sender: be32(body, 0)?,
            media: be32(body, 4)?,
            base_sequence: be16(body, 8)?,
            status_count: be16(body, 10)?,
            reference_time: time as i32 >> 8,
            feedback_count: time as u8,
            chunks: &body[16..],
        })
    }

    /// For each packet from `base_sequence` on: its sequence number, and when it arrived
    /// (microseconds on the peer's clock, 64 ms × 2^24 per turn), or `None` when it did not.
    /// Ends early when the packet is cut off.
    pub fn arrivals(&self) -> Arrivals<'a> {
        Arrivals {
            deltas: self.deltas(),
            chunks: self.chunks,
            chunk: 0,
            in_chunk: 0,
            sequence: self.base_sequence,
            left: self.status_count,
            ticks: i64::from(self.reference_time) * REFERENCE_TICKS,
        }
    }

    /// The deltas lie behind as many chunks as hold `status_count` statuses.
    fn deltas(&self) -> &'a [u8] {
        let mut left = usize::from(self.status_count);
        let mut rest = self.chunks;
        while left > 0 {
            let Some((chunk, after)) = rest.split_first_chunk::<2>() else { return &[] };
            rest = after;
            left = left.saturating_sub(capacity(u16::from_be_bytes(*chunk)));
            if capacity(u16::from_be_bytes(*chunk)) == 0 {
                return &[];
            }
        }
        rest
    }
}

/// How many statuses a chunk holds.
fn capacity(chunk: u16) -> usize {
    match chunk >> 14 {
        0b10 => ONE_BIT,
        0b11 => TWO_BIT,
        _ => usize::from(chunk) & MAX_RUN,
    }
}

/// The symbol at a place of a chunk; `place` is below its capacity.
fn symbol(chunk: u16, place: usize) -> u8 {
    match chunk >> 14 {
        0b10 => (chunk >> (13 - place) & 1) as u8,
        0b11 => (chunk >> (12 - 2 * place) & 3) as u8,
        _ => (chunk >> 13 & 3) as u8,
    }
}

/// Iterator over (sequence number, arrival in microseconds).
#[derive(Clone, Debug)]
pub struct Arrivals<'a> {
    chunks: &'a [u8],
    deltas: &'a [u8],
    chunk: u16,
    /// Statuses of `chunk` already read, from the end: how many are left.
    in_chunk: usize,
    sequence: u16,
    left: u16,
    ticks: i64,
}

impl Iterator for Arrivals<'_> {
    type Item = (u16, Option<i64>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        while self.in_chunk == 0 {
            let (chunk, rest) = self.chunks.split_first_chunk::<2>()?;
            self.chunks = rest;
            self.chunk = u16::from_be_bytes(*chunk);
            self.in_chunk = capacity(self.chunk);
        }
        let place = capacity(self.chunk) - self.in_chunk;
        self.in_chunk -= 1;
        let delta = match symbol(self.chunk, place) {
            SMALL => {
                let (delta, rest) = self.deltas.split_first()?;
                self.deltas = rest;
                Some(i64::from(*delta))
            }
            LARGE => {
                let (delta, rest) = self.deltas.split_first_chunk::<2>()?;
                self.deltas = rest;
                Some(i64::from(i16::from_be_bytes(*delta)))
            }
            _ => None,
        };
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        self.left -= 1;
        let arrival = delta.map(|delta| {
            self.ticks += delta;
            self.ticks * TICK_US
        });
        Some((sequence, arrival))
    }
}

/// Appends one feedback packet on the packets from `base_sequence` on; `arrivals` holds for each
/// the microseconds on our clock, or `None` for a lost one.
///
/// Returns how many it told of: at most 450, and none from the first whose delta does not fit
/// (more than 8.19 s); go on with another packet from there. Nothing is written, and 0
/// returned, when `arrivals` is empty or the first received one lies behind the 450th.
pub fn write_transport_feedback(
    out: &mut Vec<u8>,
    sender: u32,
    media: u32,
    feedback_count: u8,
    base_sequence: u16,
    arrivals: &[Option<i64>],
) -> usize {
    let arrivals = &arrivals[..arrivals.len().min(MAX_STATUSES)];
    let Some(first) = arrivals.iter().flatten().next() else { return 0 };
    let reference = first.div_euclid(TICK_US * REFERENCE_TICKS);

    let mut symbols = [LOST; MAX_STATUSES];
    let mut deltas = Vec::with_capacity(2 * arrivals.len());
    let mut ticks = reference * REFERENCE_TICKS;
    let mut told = 0;
    for arrival in arrivals {
        if let Some(arrival) = arrival {
            // Whole ticks since the reference: errors of rounding do not add up.
            let now = arrival.div_euclid(TICK_US);
            let Ok(delta) = i16::try_from(now - ticks) else { break };
            ticks = now;
            match u8::try_from(delta) {
                Ok(delta) => {
                    symbols[told] = SMALL;
                    deltas.push(delta);
                }
                Err(_) => {
                    symbols[told] = LARGE;
                    deltas.extend_from_slice(&delta.to_be_bytes());
                }
            }
        }
        told += 1;
    }

    let packet = Packet::begin(out, packet_type::TRANSPORT_FEEDBACK, format::TWCC, sender);
    packet.out.extend_from_slice(&media.to_be_bytes());
    packet.out.extend_from_slice(&base_sequence.to_be_bytes());
    packet.out.extend_from_slice(&(told as u16).to_be_bytes());
    packet.out.extend_from_slice(&((reference as u32) << 8 | u32::from(feedback_count)).to_be_bytes());
    write_chunks(packet.out, &symbols[..told]);
    packet.out.extend_from_slice(&deltas);
    packet.end();
    told
}

/// The fewest chunks that a greedy choice finds: a run where it beats a vector.
fn write_chunks(out: &mut Vec<u8>, mut symbols: &[u8]) {
    while let Some(&first) = symbols.first() {
        let run = symbols.iter().take_while(|&&s| s == first).count();
        let one_bit = symbols.iter().take(ONE_BIT).take_while(|&&s| s != LARGE).count();
        let all_one_bit = one_bit == symbols.len().min(ONE_BIT);
        let vector = if all_one_bit { ONE_BIT } else { TWO_BIT };
        let (chunk, taken) = if run >= vector.min(symbols.len()) {
            (u16::from(first) << 13 | run.min(MAX_RUN) as u16, run.min(MAX_RUN))
        } else if all_one_bit {
            let bits = symbols.iter().take(ONE_BIT).zip((0..ONE_BIT).rev());
            (bits.fold(0x8000, |chunk, (s, place)| chunk | u16::from(*s) << place), ONE_BIT)
        } else {
            let bits = symbols.iter().take(TWO_BIT).zip((0..TWO_BIT).rev());
            (bits.fold(0xc000, |chunk, (s, place)| chunk | u16::from(*s) << (2 * place)), TWO_BIT)
        };
        out.extend_from_slice(&chunk.to_be_bytes());
        symbols = &symbols[taken.min(symbols.len())..];
    }
}
