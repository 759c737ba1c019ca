//! Blocks of a pcapng file (draft-ietf-opsawg-pcapng), little-endian: the format of journals.
//!
//! Packets are of link type 252 (Wireshark's upper PDU): tags in front of each name its
//! dissector, so that `tshark` decodes RTP and RTCP without being told.

use crate::core::Protocol;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const UPPER_PDU: u16 = 252;

mod option {
    pub const COMMENT: u16 = 1;
    pub const SECTION_APPLICATION: u16 = 4;
    pub const INTERFACE_NAME: u16 = 2;
    pub const INTERFACE_DESCRIPTION: u16 = 3;
    pub const INTERFACE_RESOLUTION: u16 = 9;
    pub const STATISTICS_DROPPED: u16 = 7;
}

/// EXP_PDU_TAG_DISSECTOR_NAME, a name of four bytes, and the end of the tags.
const TAGS_LEN: usize = 12;
const DISSECTOR_NAME: u16 = 12;

/// The dissector's name, padded.
fn dissector(protocol: Protocol) -> &'static [u8; 4] {
    match protocol {
        Protocol::Rtp => b"rtp\0",
        Protocol::Rtcp => b"rtcp",
    }
}

/// Begins a file (or another section of it).
pub fn write_section_header(out: &mut Vec<u8>, application: &str, comment: &str) {
    block(out, SECTION_HEADER, |out| {
        out.extend_from_slice(&BYTE_ORDER.to_le_bytes());
        out.extend_from_slice(&1u16.to_le_bytes());
        out.extend_from_slice(&0u16.to_le_bytes());
        out.extend_from_slice(&u64::MAX.to_le_bytes()); // the length of the section is not said
        write_option(out, option::COMMENT, comment.as_bytes());
        write_option(out, option::SECTION_APPLICATION, application.as_bytes());
        end_options(out);
    });
}

/// Describes the next interface: they are numbered by their order, from 0. Nanosecond stamps.
pub fn write_interface(out: &mut Vec<u8>, name: &str, description: &str) {
    block(out, INTERFACE_DESCRIPTION, |out| {
        out.extend_from_slice(&UPPER_PDU.to_le_bytes());
        out.extend_from_slice(&0u16.to_le_bytes());
        out.extend_from_slice(&0u32.to_le_bytes()); // packets are whole
        write_option(out, option::INTERFACE_NAME, name.as_bytes());
        write_option(out, option::INTERFACE_DESCRIPTION, description.as_bytes());
        write_option(out, option::INTERFACE_RESOLUTION, &[9]);
        end_options(out);
    });
}

/// One packet; `at_ns`: since 1970, UTC.
pub fn write_packet(out: &mut Vec<u8>, interface: u32, at_ns: u64, protocol: Protocol, packet: &[u8]) {
    let len = (TAGS_LEN + packet.len()) as u32;
    block(out, ENHANCED_PACKET, |out| {
        out.extend_from_slice(&interface.to_le_bytes());
        stamp(out, at_ns);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&len.to_le_bytes());
        // The tags are big-endian, whatever the file is.
        out.extend_from_slice(&DISSECTOR_NAME.to_be_bytes());
        out.extend_from_slice(&4u16.to_be_bytes());
        out.extend_from_slice(dissector(protocol));
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(packet);
        pad(out, packet.len());
    });
}

/// Says that packets of an interface are missing, and why.
pub fn write_gap(out: &mut Vec<u8>, interface: u32, at_ns: u64, dropped: u64, comment: &str) {
    block(out, INTERFACE_STATISTICS, |out| {
        out.extend_from_slice(&interface.to_le_bytes());
        stamp(out, at_ns);
        write_option(out, option::COMMENT, comment.as_bytes());
        write_option(out, option::STATISTICS_DROPPED, &dropped.to_le_bytes());
        end_options(out);
    });
}

/// A block's type, its length before and behind its body.
fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    body(out);
    let len = ((out.len() - start + 4) as u32).to_le_bytes();
    out[start + 4..start + 8].copy_from_slice(&len);
    out.extend_from_slice(&len);
}

fn stamp(out: &mut Vec<u8>, at_ns: u64) {
    out.extend_from_slice(&((at_ns >> 32) as u32).to_le_bytes());
    out.extend_from_slice(&(at_ns as u32).to_le_bytes());
}

/// A value longer than an option can hold is cut.
fn write_option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    pad(out, value.len());
}

fn end_options(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 4]);
}

fn pad(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&[0; 3][..len.wrapping_neg() % 4]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(bytes: &[u8]) -> Vec<u32> {
        bytes.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
    }

    #[test]
    fn a_packet_block_is_as_the_draft_says() {
        let mut out = Vec::new();
        write_packet(&mut out, 3, 0x0102_0304_0506_0708, Protocol::Rtp, &[0x80, 1, 2, 3, 4]);
        let expected = [6, 52, 3, 0x0102_0304, 0x0506_0708, 17, 17];
        assert_eq!(words(&out)[..7], expected);
        assert_eq!(out[28..45], [0, 12, 0, 4, b'r', b't', b'p', 0, 0, 0, 0, 0, 0x80, 1, 2, 3, 4]);
        assert_eq!(out[45..48], [0; 3], "padding");
        assert_eq!(words(&out)[12..], [52]);
    }

    #[test]
    fn every_block_says_its_length_twice_and_is_of_whole_words() {
        let mut out = Vec::new();
        write_section_header(&mut out, "Kelian 0", "lesson-1");
        write_interface(&mut out, "source 7", "{}");
        write_packet(&mut out, 0, 1, Protocol::Rtcp, &[0; 28]);
        write_gap(&mut out, 0, 2, 9, "gap: 1-2, 9 packets");
        let mut kinds = Vec::new();
        let mut rest = &out[..];
        while !rest.is_empty() {
            let head = words(&rest[..8]);
            let (kind, len) = (head[0], head[1] as usize);
            assert_eq!(len % 4, 0);
            assert_eq!(words(&rest[len - 4..len]), [len as u32]);
            kinds.push(kind);
            rest = &rest[len..];
        }
        let expected = [SECTION_HEADER, INTERFACE_DESCRIPTION, ENHANCED_PACKET, INTERFACE_STATISTICS];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn an_option_is_cut_at_what_it_can_hold() {
        let mut out = Vec::new();
        write_option(&mut out, option::COMMENT, &[b'x'; 70_000]);
        assert_eq!(out.len(), 4 + 65_536);
        assert_eq!(out[2..4], [0xff, 0xff]);
    }
}
