//! Writers: each appends one packet to a compound in `out`.

use super::{format, packet_type, ReportBlock, SenderInfo};

/// Report blocks that fit one packet's five-bit count.
const MAX_REPORTS: usize = 31;
/// RFC 4585 puts no bound on a NACK; this one keeps it in a datagram.
const MAX_NACK_ENTRIES: usize = 250;

/// At most 31 `reports`; more are left out.
pub fn write_sender_report(out: &mut Vec<u8>, info: &SenderInfo, reports: &[ReportBlock]) {
    let reports = &reports[..reports.len().min(MAX_REPORTS)];
    let packet = Packet::begin(out, packet_type::SENDER_REPORT, reports.len() as u8, info.ssrc);
    packet.out.extend_from_slice(&info.ntp.to_be_bytes());
    for word in [info.rtp_timestamp, info.packets, info.octets] {
        packet.out.extend_from_slice(&word.to_be_bytes());
    }
    packet.reports(reports).end();
}

/// At most 31 `reports`; more are left out. `ssrc`: whose report it is.
pub fn write_receiver_report(out: &mut Vec<u8>, ssrc: u32, reports: &[ReportBlock]) {
    let reports = &reports[..reports.len().min(MAX_REPORTS)];
    Packet::begin(out, packet_type::RECEIVER_REPORT, reports.len() as u8, ssrc).reports(reports).end();
}

/// SDES with one CNAME, at most 255 bytes of it.
pub fn write_cname(out: &mut Vec<u8>, ssrc: u32, cname: &str) {
    let cname = &cname.as_bytes()[..cname.len().min(255)];
    let packet = Packet::begin(out, packet_type::SOURCE_DESCRIPTION, 1, ssrc);
    packet.out.extend_from_slice(&[1, cname.len() as u8]);
    packet.out.extend_from_slice(cname);
    packet.out.push(0); // ends the chunk; `end` fills its last word with zeros
    packet.end();
}

pub fn write_bye(out: &mut Vec<u8>, ssrc: u32) {
    Packet::begin(out, packet_type::BYE, 1, ssrc).end();
}

pub fn write_pli(out: &mut Vec<u8>, sender: u32, media: u32) {
    let packet = Packet::begin(out, packet_type::PAYLOAD_FEEDBACK, format::PLI, sender);
    packet.out.extend_from_slice(&media.to_be_bytes());
    packet.end();
}

/// `command`: one higher with each new request, the same in a repetition (RFC 5104, 4.3.1.1).
pub fn write_fir(out: &mut Vec<u8>, sender: u32, media: u32, command: u8) {
    let packet = Packet::begin(out, packet_type::PAYLOAD_FEEDBACK, format::FIR, sender);
    packet.out.extend_from_slice(&[0; 4]);
    packet.out.extend_from_slice(&media.to_be_bytes());
    packet.out.extend_from_slice(&[command, 0, 0, 0]);
    packet.end();
}

/// Asks again for `lost`, which ascends (modulo 2^16). Writes nothing when it is empty; what
/// does not fit 250 entries of 17 numbers is left for the next time.
pub fn write_nack(out: &mut Vec<u8>, sender: u32, media: u32, lost: &[u16]) {
    let Some((&first, mut rest)) = lost.split_first() else { return };
    let packet = Packet::begin(out, packet_type::TRANSPORT_FEEDBACK, format::NACK, sender);
    packet.out.extend_from_slice(&media.to_be_bytes());
    let mut next = Some(first);
    for _ in 0..MAX_NACK_ENTRIES {
        let Some(first) = next else { break };
        let mut mask = 0u16;
        next = None;
        while let Some((&sequence, after)) = rest.split_first() {
            rest = after;
            match sequence.wrapping_sub(first) {
                0 => {}
                distance @ 1..=16 => mask |= 1 << (distance - 1),
                _ => {
                    next = Some(sequence);
                    break;
                }
            }
        }
        packet.out.extend_from_slice(&first.to_be_bytes());
        packet.out.extend_from_slice(&mask.to_be_bytes());
    }
    packet.end();
}

/// One RTCP packet being written.
pub(super) struct Packet<'a> {
    pub out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Packet<'a> {
    pub fn begin(out: &'a mut Vec<u8>, packet_type: u8, count: u8, ssrc: u32) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0x80 | count, packet_type, 0, 0]);
        out.extend_from_slice(&ssrc.to_be_bytes());
        Self { out, start }
    }

    fn reports(self, reports: &[ReportBlock]) -> Self {
        for report in reports {
            let lost = report.lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
            for word in [
                report.ssrc,
                u32::from(report.fraction_lost) << 24 | lost,
                report.highest_sequence,
                report.jitter,
                report.last_sr,
                report.delay_since_last_sr,
            ] {
                self.out.extend_from_slice(&word.to_be_bytes());
            }
        }
        self
    }

    /// Fills the last word with zeros and sets the length.
    pub fn end(self) {
        let len = (self.out.len() - self.start).next_multiple_of(4);
        self.out.resize(self.start + len, 0);
        let words = (len / 4 - 1) as u16;
        self.out[self.start + 2..self.start + 4].copy_from_slice(&words.to_be_bytes());
    }
}
