//! RTP headers (RFC 3550) with header extensions in both forms (RFC 8285).

use std::ops::Range;

use super::{be16, be32};

/// The profile word of one-byte header extensions (RFC 8285, section 4.2).
const ONE_BYTE: u16 = 0xbede;
/// The profile word of two-byte header extensions; its low four bits are free (section 4.3).
const TWO_BYTE: u16 = 0x1000;
const FIXED_LEN: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtpError {
    /// Shorter than its header says.
    Truncated,
    /// Not version 2.
    Version,
    /// The padding length is zero or longer than the payload.
    Padding,
}

/// The header of a packet, as positions in it: it holds on while the payload is decrypted in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// Where the payload begins: what SRTP authenticates in clear lies before it.
    pub len: usize,
    padded: bool,
    csrc_count: usize,
    extension_profile: u16,
    extension_at: usize,
}

impl RtpHeader {
    /// Reads the header; the payload is not looked at and may still be encrypted.
    pub fn parse(packet: &[u8]) -> Result<Self, RtpError> {
        let fixed: &[u8; FIXED_LEN] = packet.first_chunk().ok_or(RtpError::Truncated)?;
        if fixed[0] >> 6 != 2 {
            return Err(RtpError::Version);
        }
        let csrc_count = usize::from(fixed[0] & 0x0f);
        let mut len = FIXED_LEN + 4 * csrc_count;
        let mut extension_profile = 0;
        let mut extension_at = len;
        if fixed[0] & 0x10 != 0 {
            extension_profile = be16(packet, len).ok_or(RtpError::Truncated)?;
            let words = be16(packet, len + 2).ok_or(RtpError::Truncated)?;
            extension_at = len + 4;
            len = extension_at + 4 * usize::from(words);
        }
        if packet.len() < len {
            return Err(RtpError::Truncated);
        }
        Ok(Self {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            len,
            padded: fixed[0] & 0x20 != 0,
            csrc_count,
            extension_profile,
            extension_at,
        })
    }

    /// Where the payload lies in the decrypted packet, without padding.
    pub fn payload(&self, packet: &[u8]) -> Result<Range<usize>, RtpError> {
        if packet.len() < self.len {
            return Err(RtpError::Truncated);
        }
        if !self.padded {
            return Ok(self.len..packet.len());
        }
        let padding = usize::from(*packet.last().ok_or(RtpError::Truncated)?);
        if padding == 0 || padding > packet.len() - self.len {
            return Err(RtpError::Padding);
        }
        Ok(self.len..packet.len() - padding)
    }

    /// The contributing sources; `packet` is the one that was parsed.
    pub fn csrcs<'a>(&self, packet: &'a [u8]) -> impl Iterator<Item = u32> + 'a {
        (0..self.csrc_count).map_while(move |i| be32(packet, FIXED_LEN + 4 * i))
    }

    /// The header extension elements as (id, value); `packet` is the one that was parsed.
    pub fn extensions<'a>(&self, packet: &'a [u8]) -> Extensions<'a> {
        let two_byte = self.extension_profile & 0xfff0 == TWO_BYTE;
        let known = two_byte || self.extension_profile == ONE_BYTE;
        let rest = packet.get(self.extension_at..self.len).unwrap_or(&[]);
        Extensions { rest: if known { rest } else { &[] }, two_byte }
    }

    /// The first header extension element with this id.
    pub fn extension<'a>(&self, packet: &'a [u8], id: u8) -> Option<&'a [u8]> {
        self.extensions(packet).find(|&(found, _)| found == id).map(|(_, value)| value)
    }
}

/// Iterator over header extension elements; ends at the first malformed one.
#[derive(Clone, Debug)]
pub struct Extensions<'a> {
    rest: &'a [u8],
    two_byte: bool,
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&first, rest) = self.rest.split_first()?;
            if first == 0 {
                self.rest = rest; // one byte of padding, in both forms
                continue;
            }
            let (id, len, rest) = if self.two_byte {
                let (&len, rest) = rest.split_first()?;
                (first, usize::from(len), rest)
            } else {
                (first >> 4, usize::from(first & 0x0f) + 1, rest)
            };
            if !self.two_byte && id == 15 {
                self.rest = &[]; // RFC 8285, 4.2: stop here
                return None;
            }
            if rest.len() < len {
                self.rest = &[];
                return None;
            }
            let (value, rest) = rest.split_at(len);
            self.rest = rest;
            if !self.two_byte && id == 0 {
                continue; // id 0 with a length is ignored with its data
            }
            return Some((id, value));
        }
    }
}

/// A header to write.
#[derive(Clone, Copy, Debug)]
pub struct HeaderFields<'a> {
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// At most 15; more are left out.
    pub csrcs: &'a [u32],
    /// (id 1..=255, at most 255 bytes); others are left out.
    pub extensions: &'a [(u8, &'a [u8])],
}

impl HeaderFields<'_> {
    /// Appends the header to `out` and returns its length.
    ///
    /// The one-byte form is taken when every element fits it (ids 1 to 14, 1 to 16 bytes).
    pub fn write(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        let csrcs = &self.csrcs[..self.csrcs.len().min(15)];
        let extended = self.extensions.iter().any(writable);
        out.push(0x80 | (u8::from(extended) << 4) | csrcs.len() as u8);
        out.push((u8::from(self.marker) << 7) | (self.payload_type & 0x7f));
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        for csrc in csrcs {
            out.extend_from_slice(&csrc.to_be_bytes());
        }
        if extended {
            self.write_extensions(out);
        }
        out.len() - start
    }

    fn write_extensions(&self, out: &mut Vec<u8>) {
        let elements = || self.extensions.iter().filter(|e| writable(e));
        let one_byte = elements().all(|(id, v)| *id < 15 && (1..=16).contains(&v.len()));
        out.extend_from_slice(&(if one_byte { ONE_BYTE } else { TWO_BYTE }).to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        let start = out.len();
        for (id, value) in elements() {
            if one_byte {
                out.push((id << 4) | (value.len() as u8 - 1));
            } else {
                out.extend_from_slice(&[*id, value.len() as u8]);
            }
            out.extend_from_slice(value);
        }
        while !(out.len() - start).is_multiple_of(4) {
            out.push(0);
        }
        let words = ((out.len() - start) / 4) as u16;
        out[start - 2..start].copy_from_slice(&words.to_be_bytes());
    }
}

fn writable((id, value): &(u8, &[u8])) -> bool {
    *id != 0 && value.len() <= 255
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields<'a>(csrcs: &'a [u32], extensions: &'a [(u8, &'a [u8])]) -> HeaderFields<'a> {
        HeaderFields {
            marker: true,
            payload_type: 96,
            sequence: 65535,
            timestamp: 0xdead_beef,
            ssrc: 0x0102_0304,
            csrcs,
            extensions,
        }
    }

    #[test]
    fn reads_what_it_writes_in_both_forms() {
        for extensions in [&[(1u8, &b"0"[..]), (14, &[7; 16])][..], &[(1, b""), (200, &[9; 40])]] {
            let mut packet = Vec::new();
            let len = fields(&[5, 6], extensions).write(&mut packet);
            packet.extend_from_slice(b"payload");
            let header = RtpHeader::parse(&packet).unwrap();
            assert_eq!(header.len, len);
            assert_eq!(len % 4, 0);
            assert!(header.marker);
            assert_eq!((header.payload_type, header.sequence), (96, 65535));
            assert_eq!((header.timestamp, header.ssrc), (0xdead_beef, 0x0102_0304));
            assert_eq!(header.csrcs(&packet).collect::<Vec<_>>(), [5, 6]);
            assert_eq!(header.extensions(&packet).collect::<Vec<_>>(), extensions);
            assert_eq!(&packet[header.payload(&packet).unwrap()], b"payload");
        }
    }

    #[test]
    fn one_byte_form_stops_at_id_15_and_skips_padding() {
        let mut packet = vec![0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0xbe, 0xde, 0, 2];
        packet.extend_from_slice(&[0, 0x10, 0xaa, 0, 0x20, 0xbb, 0xf0, 0x30]);
        let header = RtpHeader::parse(&packet).unwrap();
        let found: Vec<_> = header.extensions(&packet).collect();
        assert_eq!(found, [(1u8, &[0xaa][..]), (2, &[0xbb])]);
        assert_eq!(header.extension(&packet, 2), Some(&[0xbb][..]));
        assert_eq!(header.extension(&packet, 3), None);
    }

    #[test]
    fn padding_is_taken_off_and_checked() {
        let mut packet = vec![0xa0, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 1, 2, 0, 2];
        let header = RtpHeader::parse(&packet).unwrap();
        assert_eq!(header.payload(&packet), Ok(12..14));
        packet[15] = 4;
        assert_eq!(header.payload(&packet), Ok(12..12));
        packet[15] = 5;
        assert_eq!(header.payload(&packet), Err(RtpError::Padding));
        packet[15] = 0;
        assert_eq!(header.payload(&packet), Err(RtpError::Padding));
    }

    #[test]
    fn refuses_what_is_not_rtp() {
        assert_eq!(RtpHeader::parse(&[0x80; 11]), Err(RtpError::Truncated));
        assert_eq!(RtpHeader::parse(&[0x40; 12]), Err(RtpError::Version));
        assert_eq!(RtpHeader::parse(&[0x8f; 12]), Err(RtpError::Truncated));
        assert_eq!(RtpHeader::parse(&[0x90; 16]), Err(RtpError::Truncated));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), x in any::<bool>()) {
            if let Some(first) = bytes.first_mut() {
                *first = 0x80 | (*first & 0x3f);
            }
            if x && bytes.len() > 16 {
                bytes[0] = 0xb0;
                bytes[12..14].copy_from_slice(&ONE_BYTE.to_be_bytes());
                bytes[14] = 0;
            }
            if let Ok(header) = RtpHeader::parse(&bytes) {
                header.csrcs(&bytes).count();
                header.extensions(&bytes).count();
                if let Ok(range) = header.payload(&bytes) {
                    prop_assert!(range.end <= bytes.len() && range.start <= range.end);
                }
                // Another packet than the parsed one: wrong, but no reason to stop the node.
                header.extensions(&bytes[..bytes.len() / 2]).count();
            }
        }
    }
}
