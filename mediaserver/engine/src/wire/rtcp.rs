//! RTCP: compounds of SR, RR, SDES, BYE (RFC 3550), NACK, PLI (RFC 4585), FIR (RFC 5104), REMB
//! (draft-alvestrand-rmcat-remb) and transport-wide feedback
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use super::{be16, be32};

mod twcc;
mod write;

pub use twcc::{write_transport_feedback, Arrivals, TransportFeedback};
pub use write::{
    write_bye, write_cname, write_fir, write_nack, write_pli, write_receiver_report, write_sender_report,
};

mod packet_type {
    pub const SENDER_REPORT: u8 = 200;
    pub const RECEIVER_REPORT: u8 = 201;
    pub const SOURCE_DESCRIPTION: u8 = 202;
    pub const BYE: u8 = 203;
    pub const TRANSPORT_FEEDBACK: u8 = 205;
    pub const PAYLOAD_FEEDBACK: u8 = 206;
}

mod format {
    pub const NACK: u8 = 1;
    pub const TWCC: u8 = 15;
    pub const PLI: u8 = 1;
    pub const FIR: u8 = 4;
    pub const APPLICATION: u8 = 15;
}

/// A packet of a compound is shorter than it says, or not RTCP. Packets before it stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// What a sender says of its stream (RFC 3550, 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    pub ssrc: u32,
    /// Wall clock, 32.32 fixed point seconds since 1900.
    pub ntp: u64,
    pub rtp_timestamp: u32,
    pub packets: u32,
    pub octets: u32,
}

/// What a receiver says of one stream (RFC 3550, 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    pub ssrc: u32,
    /// Of 256, since the last report.
    pub fraction_lost: u8,
    /// 24 bits, signed: duplicates can make it negative.
    pub lost: i32,
    /// Cycles << 16 | highest sequence number.
    pub highest_sequence: u32,
    /// In units of the RTP clock.
    pub jitter: u32,
    /// Middle 32 bits of the last SR's NTP time; 0 without one.
    pub last_sr: u32,
    /// Since that SR, in 1/65536 s.
    pub delay_since_last_sr: u32,
}

/// One packet of a compound.
#[derive(Clone, Copy, Debug)]
pub enum Packet<'a> {
    SenderReport {
        info: SenderInfo,
        reports: Reports<'a>,
    },
    ReceiverReport {
        ssrc: u32,
        reports: Reports<'a>,
    },
    SourceDescription(SourceDescription<'a>),
    Bye(Words<'a>),
    Nack {
        sender: u32,
        media: u32,
        lost: Lost<'a>,
    },
    Pli {
        sender: u32,
        media: u32,
    },
    Fir {
        sender: u32,
        entries: FirEntries<'a>,
    },
    Remb {
        sender: u32,
        bitrate_bps: u64,
        ssrcs: Words<'a>,
    },
    TransportFeedback(TransportFeedback<'a>),
    /// XR, APP and whatever comes: of no use here.
    Other {
        packet_type: u8,
    },
}

/// Iterator over the packets of a compound; ends after the first malformed one.
#[derive(Clone, Debug)]
pub struct Compound<'a> {
    rest: &'a [u8],
}

impl<'a> Compound<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Compound<'a> {
    type Item = Result<Packet<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let parsed = split(self.rest).and_then(|(packet, rest)| {
            self.rest = rest;
            parse(packet)
        });
        if parsed.is_none() {
            self.rest = &[];
        }
        Some(parsed.ok_or(Malformed))
    }
}

/// The first packet with its header and without its padding, and what follows.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = *bytes.first()?;
    let len = 4 + 4 * usize::from(be16(bytes, 2)?);
    if first >> 6 != 2 || bytes.len() < len {
        return None;
    }
    let (packet, rest) = bytes.split_at(len);
    if first & 0x20 == 0 {
        return Some((packet, rest));
    }
    let padding = usize::from(*packet.last()?);
    if padding == 0 || padding > len - 4 {
        return None;
    }
    Some((&packet[..len - padding], rest))
}

fn parse(packet: &[u8]) -> Option<Packet<'_>> {
    let count = packet[0] & 0x1f;
    let body = &packet[4..];
    Some(match (packet[1], count) {
        (packet_type::SENDER_REPORT, count) => {
            let info = SenderInfo {
                ssrc: be32(body, 0)?,
                ntp: u64::from(be32(body, 4)?) << 32 | u64::from(be32(body, 8)?),
                rtp_timestamp: be32(body, 12)?,
                packets: be32(body, 16)?,
                octets: be32(body, 20)?,
            };
            Packet::SenderReport { info, reports: Reports::take(body, 24, count)? }
        }
        (packet_type::RECEIVER_REPORT, count) => {
            Packet::ReceiverReport { ssrc: be32(body, 0)?, reports: Reports::take(body, 4, count)? }
        }
        (packet_type::SOURCE_DESCRIPTION, count) => {
            Packet::SourceDescription(SourceDescription { rest: body, chunks: count })
        }
        (packet_type::BYE, count) => Packet::Bye(Words { rest: body.get(..4 * usize::from(count))? }),
        (packet_type::TRANSPORT_FEEDBACK, format::NACK) => Packet::Nack {
            sender: be32(body, 0)?,
            media: be32(body, 4)?,
            lost: Lost { rest: &body[8..], first: 0, mask: 0 },
        },
        (packet_type::TRANSPORT_FEEDBACK, format::TWCC) => {
            Packet::TransportFeedback(TransportFeedback::parse(body)?)
        }
        (packet_type::PAYLOAD_FEEDBACK, format::PLI) => {
            Packet::Pli { sender: be32(body, 0)?, media: be32(body, 4)? }
        }
        (packet_type::PAYLOAD_FEEDBACK, format::FIR) => {
            Packet::Fir { sender: be32(body, 0)?, entries: FirEntries { rest: body.get(8..)? } }
        }
        (packet_type::PAYLOAD_FEEDBACK, format::APPLICATION) if body.get(8..12) == Some(b"REMB") => {
            let word = be32(body, 12)?;
            let (exponent, mantissa) = (word >> 18 & 0x3f, u64::from(word & 0x3_ffff));
            // A mantissa pushed out of 64 bits means "no limit".
            let bitrate_bps =
                if mantissa.leading_zeros() >= exponent { mantissa << exponent } else { u64::MAX };
            let ssrcs = Words { rest: body.get(16..16 + 4 * (word >> 24) as usize)? };
            Packet::Remb { sender: be32(body, 0)?, bitrate_bps, ssrcs }
        }
        (packet_type, _) => Packet::Other { packet_type },
    })
}

/// Iterator over report blocks.
#[derive(Clone, Copy, Debug)]
pub struct Reports<'a> {
    rest: &'a [u8],
}

impl<'a> Reports<'a> {
    const BLOCK_LEN: usize = 24;

    fn take(body: &'a [u8], at: usize, count: u8) -> Option<Self> {
        Some(Self { rest: body.get(at..at + Self::BLOCK_LEN * usize::from(count))? })
    }
}

impl Iterator for Reports<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.rest.split_at_checked(Self::BLOCK_LEN)?;
        self.rest = rest;
        let loss = be32(block, 4)?;
        Some(ReportBlock {
            ssrc: be32(block, 0)?,
            fraction_lost: (loss >> 24) as u8,
            lost: (loss << 8) as i32 >> 8,
            highest_sequence: be32(block, 8)?,
            jitter: be32(block, 12)?,
            last_sr: be32(block, 16)?,
            delay_since_last_sr: be32(block, 20)?,
        })
    }
}

/// Iterator over the (SSRC, CNAME) pairs of an SDES packet; ends at the first malformed chunk.
#[derive(Clone, Copy, Debug)]
pub struct SourceDescription<'a> {
    rest: &'a [u8],
    chunks: u8,
}

impl<'a> Iterator for SourceDescription<'a> {
    type Item = (u32, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while self.chunks > 0 {
            self.chunks -= 1;
            let ssrc = be32(self.rest, 0)?;
            let mut cname = None;
            let mut at = 4;
            loop {
                let kind = *self.rest.get(at)?;
                if kind == 0 {
                    break;
                }
                let len = usize::from(*self.rest.get(at + 1)?);
                let value = self.rest.get(at + 2..at + 2 + len)?;
                if kind == 1 {
                    cname = Some(value);
                }
                at += 2 + len;
            }
            // At least one zero ends the chunk, and zeros fill its last word.
            self.rest = self.rest.get((at + 1).next_multiple_of(4)..).unwrap_or(&[]);
            if let Some(cname) = cname {
                return Some((ssrc, cname));
            }
        }
        None
    }
}

/// Iterator over SSRCs.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    rest: &'a [u8],
}

impl Iterator for Words<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (word, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        Some(u32::from_be_bytes(*word))
    }
}

/// Iterator over the sequence numbers that a NACK asks for (RFC 4585, 6.2.1).
#[derive(Clone, Copy, Debug)]
pub struct Lost<'a> {
    rest: &'a [u8],
    first: u16,
    mask: u16,
}

impl Iterator for Lost<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.mask != 0 {
            let bit = self.mask.trailing_zeros() as u16;
            self.mask &= self.mask - 1;
            return Some(self.first.wrapping_add(bit + 1));
        }
        let (entry, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        self.first = u16::from_be_bytes([entry[0], entry[1]]);
        self.mask = u16::from_be_bytes([entry[2], entry[3]]);
        Some(self.first)
    }
}

/// Iterator over the (SSRC, command sequence number) pairs of a FIR (RFC 5104, 4.3.1).
#[derive(Clone, Copy, Debug)]
pub struct FirEntries<'a> {
    rest: &'a [u8],
}

impl Iterator for FirEntries<'_> {
    type Item = (u32, u8);

    fn next(&mut self) -> Option<(u32, u8)> {
        let (entry, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        Some((be32(entry, 0)?, entry[4]))
    }
}

#[cfg(test)]
mod tests;
