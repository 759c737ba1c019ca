//! What the packet path must know of payloads: key frames, and VP8's picture numbering.

/// H.264 payloads (RFC 6184).
pub mod h264 {
    const IDR: u8 = 5;
    const SPS: u8 = 7;
    const STAP_A: u8 = 24;
    const FU_A: u8 = 28;

    /// Whether a decoder can start at this packet: it holds an SPS, or begins an IDR picture.
    pub fn starts_key_frame(payload: &[u8]) -> bool {
        match payload.first().map(|b| b & 0x1f) {
            Some(IDR | SPS) => true,
            Some(STAP_A) => aggregated(&payload[1..]).any(|t| t == IDR || t == SPS),
            Some(FU_A) => payload.get(1).is_some_and(|fu| fu & 0x80 != 0 && matches!(fu & 0x1f, IDR | SPS)),
            _ => false,
        }
    }

    /// Whether this packet holds parameter sets only, or begins with them (SPS).
    pub fn holds_sps(payload: &[u8]) -> bool {
        match payload.first().map(|b| b & 0x1f) {
            Some(SPS) => true,
            Some(STAP_A) => aggregated(&payload[1..]).any(|t| t == SPS),
            _ => false,
        }
    }

    /// The types of the NAL units in a STAP-A, up to the first malformed one.
    fn aggregated(mut rest: &[u8]) -> impl Iterator<Item = u8> + '_ {
        std::iter::from_fn(move || {
            let (size, after) = rest.split_first_chunk::<2>()?;
            let nal = after.get(..usize::from(u16::from_be_bytes(*size)))?;
            rest = &after[nal.len()..];
            Some(nal.first()? & 0x1f)
        })
    }
}

/// VP8 payloads (RFC 7741).
pub mod vp8 {
    /// The payload descriptor, with where its numbers lie in the payload.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Descriptor {
        /// Bytes of the descriptor; the VP8 payload header follows.
        pub len: usize,
        /// First packet of a frame.
        pub starts_frame: bool,
        /// N: no other frame refers to this one.
        pub discardable: bool,
        /// 7 or 15 bits, see `picture_id_bits`.
        pub picture_id: Option<u16>,
        pub picture_id_bits: u8,
        pub tl0_pic_idx: Option<u8>,
        pub temporal_id: Option<u8>,
        /// Y: this frame refers only to the base layer.
        pub layer_sync: bool,
        picture_id_at: usize,
        tl0_pic_idx_at: usize,
    }

    impl Descriptor {
        /// `None` when the payload ends inside the descriptor.
        pub fn parse(payload: &[u8]) -> Option<Self> {
            let first = *payload.first()?;
            let mut found = Self {
                len: 1,
                starts_frame: first & 0x10 != 0 && first & 0x07 == 0,
                discardable: first & 0x20 != 0,
                picture_id: None,
                picture_id_bits: 0,
                tl0_pic_idx: None,
                temporal_id: None,
                layer_sync: false,
                picture_id_at: 0,
                tl0_pic_idx_at: 0,
            };
            if first & 0x80 == 0 {
                return Some(found);
            }
            let flags = *payload.get(1)?;
            let mut at = 2;
            if flags & 0x80 != 0 {
                let high = *payload.get(at)?;
                found.picture_id_at = at;
                if high & 0x80 != 0 {
                    let low = *payload.get(at + 1)?;
                    found.picture_id = Some(u16::from_be_bytes([high & 0x7f, low]));
                    found.picture_id_bits = 15;
                    at += 2;
                } else {
                    found.picture_id = Some(u16::from(high));
                    found.picture_id_bits = 7;
                    at += 1;
                }
            }
            if flags & 0x40 != 0 {
                found.tl0_pic_idx = Some(*payload.get(at)?);
                found.tl0_pic_idx_at = at;
                at += 1;
            }
            if flags & 0x30 != 0 {
                let byte = *payload.get(at)?;
                if flags & 0x20 != 0 {
                    found.temporal_id = Some(byte >> 6);
                    found.layer_sync = byte & 0x20 != 0;
                }
                at += 1;
            }
            found.len = at;
            Some(found)
        }

        /// Writes other numbers into a copy of the payload this was parsed from, in the same
        /// width; numbers that the descriptor lacks stay away.
        pub fn rewrite(&self, payload: &mut [u8], picture_id: u16, tl0_pic_idx: u8) {
            let id = picture_id.to_be_bytes();
            match (self.picture_id_bits, payload.get_mut(self.picture_id_at..)) {
                (15, Some([high, low, ..])) => (*high, *low) = (0x80 | id[0], id[1]),
                (7, Some([byte, ..])) => *byte = id[1] & 0x7f,
                _ => {}
            }
            if self.tl0_pic_idx.is_some() {
                if let Some(byte) = payload.get_mut(self.tl0_pic_idx_at) {
                    *byte = tl0_pic_idx;
                }
            }
        }
    }

    /// Whether a decoder can start at this packet: the first of a key frame.
    pub fn starts_key_frame(payload: &[u8]) -> bool {
        Descriptor::parse(payload)
            .is_some_and(|d| d.starts_frame && payload.get(d.len).is_some_and(|b| b & 1 == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn h264_key_frames_in_every_packetization() {
        assert!(h264::starts_key_frame(&[0x65, 1]));
        assert!(h264::starts_key_frame(&[0x67, 1]));
        assert!(!h264::starts_key_frame(&[0x41, 1]));
        assert!(!h264::starts_key_frame(&[0x68, 1]), "a PPS alone starts nothing");
        assert!(h264::starts_key_frame(&[0x78, 0, 1, 0x68, 0, 2, 0x67, 9]));
        assert!(!h264::starts_key_frame(&[0x78, 0, 1, 0x68, 0, 9, 0x67, 9]), "cut off");
        assert!(h264::starts_key_frame(&[0x7c, 0x85, 1]));
        assert!(!h264::starts_key_frame(&[0x7c, 0x05, 1]), "the middle of an IDR");
        assert!(!h264::starts_key_frame(&[0x7c]));
        assert!(!h264::starts_key_frame(&[]));
        assert!(h264::holds_sps(&[0x78, 0, 2, 0x67, 9, 0, 1, 0x68]));
        assert!(!h264::holds_sps(&[0x65, 1]));
    }

    #[test]
    fn vp8_descriptor_with_every_field() {
        let mut payload = vec![0x90, 0xf0, 0x81, 0x02, 0x33, 0x60, 0x00, 0x9d];
        let d = vp8::Descriptor::parse(&payload).unwrap();
        assert_eq!((d.len, d.picture_id, d.picture_id_bits), (6, Some(0x102), 15));
        assert_eq!((d.tl0_pic_idx, d.temporal_id, d.layer_sync), (Some(0x33), Some(1), true));
        assert!(vp8::starts_key_frame(&payload));
        d.rewrite(&mut payload, 0x7fff, 9);
        let d = vp8::Descriptor::parse(&payload).unwrap();
        assert_eq!((d.picture_id, d.tl0_pic_idx), (Some(0x7fff), Some(9)));
        payload[6] |= 1;
        assert!(!vp8::starts_key_frame(&payload));
    }

    #[test]
    fn vp8_short_descriptors() {
        assert!(vp8::starts_key_frame(&[0x10, 0x00]));
        assert!(!vp8::starts_key_frame(&[0x11, 0x00]), "partition 1");
        assert!(!vp8::starts_key_frame(&[0x00, 0x00]), "not the start");
        assert!(!vp8::starts_key_frame(&[0x10]));
        let mut payload = [0x90, 0x80, 0x7f, 0x00];
        let d = vp8::Descriptor::parse(&payload).unwrap();
        assert_eq!((d.picture_id, d.picture_id_bits, d.len), (Some(127), 7, 3));
        d.rewrite(&mut payload, 0x1ff, 1);
        assert_eq!(payload, [0x90, 0x80, 0x7f, 0x00]);
        assert_eq!(vp8::Descriptor::parse(&[0x90, 0x80, 0x80]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..40), cut in 0usize..40) {
            h264::starts_key_frame(&bytes);
            h264::holds_sps(&bytes);
            vp8::starts_key_frame(&bytes);
            if let Some(d) = vp8::Descriptor::parse(&bytes) {
                prop_assert!(d.len <= bytes.len());
                bytes.truncate(cut);
                d.rewrite(&mut bytes, 0xffff, 0xff);
            }
        }
    }
}
