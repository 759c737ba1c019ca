//! How many pixels a key frame has: tells which simulcast layer is the larger.

use crate::core::parameters::Codec;
use crate::wire::codec::vp8;

/// Pixels of the picture that a key frame's first packet announces, if it does.
pub fn pixels(codec: Codec, payload: &[u8]) -> Option<u32> {
    match codec {
        Codec::Opus => None,
        Codec::Vp8 => vp8_pixels(payload),
        Codec::H264 => sps_pixels(sequence_parameter_set(payload)?),
    }
}

/// RFC 6386, 9.1: frame tag, start code, width and height with scaling bits.
fn vp8_pixels(payload: &[u8]) -> Option<u32> {
    let frame = payload.get(vp8::Descriptor::parse(payload)?.len..)?;
    match *frame {
        [tag, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] if tag & 1 == 0 => {
            let width = u32::from(u16::from_le_bytes([w0, w1]) & 0x3fff);
            Some(width * u32::from(u16::from_le_bytes([h0, h1]) & 0x3fff))
        }
        _ => None,
    }
}

/// The SPS in a single NAL unit packet or a STAP-A (RFC 6184), without its NAL header.
fn sequence_parameter_set(payload: &[u8]) -> Option<&[u8]> {
    const SPS: u8 = 7;
    const STAP_A: u8 = 24;
    let (&first, mut rest) = payload.split_first()?;
    match first & 0x1f {
        SPS => Some(rest),
        STAP_A => loop {
            let (size, after) = rest.split_first_chunk::<2>()?;
            let (unit, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
            if unit.first()? & 0x1f == SPS {
                return unit.get(1..);
            }
            rest = after;
        },
        _ => None,
    }
}

/// ITU-T H.264, 7.3.2.1.1; the crop is left aside.
fn sps_pixels(sps: &[u8]) -> Option<u32> {
    // An SPS is short, and its first bytes hold what is looked for.
    let bytes = unescape(&sps[..sps.len().min(96)]);
    let mut bits = Bits { bytes: &bytes, at: 0 };
    let profile = bits.take(8)?;
    bits.take(16)?;
    bits.exp_golomb()?;
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128) {
        if bits.exp_golomb()? == 3 {
            bits.take(1)?;
        }
        bits.exp_golomb()?;
        bits.exp_golomb()?;
        bits.take(1)?;
        if bits.take(1)? == 1 {
            return None; // scaling matrices: not sent by cameras
        }
    }
    bits.exp_golomb()?;
    match bits.exp_golomb()? {
        0 => {
            bits.exp_golomb()?;
        }
        1 => {
            bits.take(1)?;
            bits.exp_golomb()?;
            bits.exp_golomb()?;
            for _ in 0..bits.exp_golomb()?.min(255) {
                bits.exp_golomb()?;
            }
        }
        _ => {}
    }
    bits.exp_golomb()?;
    bits.take(1)?;
    let width = bits.exp_golomb()?.checked_add(1)?;
    let height = bits.exp_golomb()?.checked_add(1)?;
    let fields = 2 - bits.take(1)?;
    width.checked_mul(height)?.checked_mul(256 * fields)
}

/// Takes emulation prevention bytes out (7.4.1).
fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut zeros = 0;
    for &byte in bytes {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        plain.push(byte);
    }
    plain
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let bit = self.bytes.get(self.at / 8)? >> (7 - self.at % 8) & 1;
            value = value << 1 | u32::from(bit);
            self.at += 1;
        }
        Some(value)
    }

    /// ue(v), 9.1; se(v) has the same length.
    fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
        }
        (zeros < 31).then_some(())?;
        Some((1 << zeros) - 1 + self.take(zeros)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_size_of_key_frames() {
        let vp8 = [0x10, 0x50, 0x01, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01];
        assert_eq!(pixels(Codec::Vp8, &vp8), Some(640 * 480));
        // 640x480, constrained baseline, from x264.
        let sps = [0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x3d, 0xb0, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01];
        assert_eq!(pixels(Codec::H264, &sps), Some(640 * 480));
        let mut stap = vec![0x78, 0, 2, 0x68, 0xce, 0, sps.len() as u8];
        stap.extend_from_slice(&sps);
        assert_eq!(pixels(Codec::H264, &stap), Some(640 * 480));
        assert_eq!(pixels(Codec::H264, &[0x65, 1, 2]), None);
        assert_eq!(pixels(Codec::Opus, &sps), None);
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), sps in any::<bool>()) {
            if let (true, Some(first)) = (sps, bytes.first_mut()) {
                *first = 0x67;
            }
            pixels(Codec::H264, &bytes);
            pixels(Codec::Vp8, &bytes);
        }
    }
}
