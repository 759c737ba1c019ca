//! Wire formats: parse and write, no state beyond SRTP contexts, no clock, no I/O.
//!
//! Every parser takes any bytes without panicking; what it refuses is a typed error.

pub mod codec;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
pub mod srtp;
pub mod stun;

/// What a datagram on the shared port is (RFC 7983, with RFC 5761 for RTP against RTCP).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Stun,
    Dtls,
    Rtp,
    Rtcp,
    Other,
}

/// Demultiplexes by the first two bytes.
pub fn classify(datagram: &[u8]) -> Kind {
    match *datagram {
        [0..=3, ..] => Kind::Stun,
        [20..=63, ..] => Kind::Dtls,
        [128..=191, 192..=223, ..] => Kind::Rtcp,
        [128..=191, _, ..] => Kind::Rtp,
        _ => Kind::Other,
    }
}

pub(crate) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(crate) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demultiplexes_by_the_first_two_bytes() {
        assert_eq!(classify(&[0, 1]), Kind::Stun);
        assert_eq!(classify(&[3]), Kind::Stun);
        assert_eq!(classify(&[4]), Kind::Other);
        assert_eq!(classify(&[20]), Kind::Dtls);
        assert_eq!(classify(&[63]), Kind::Dtls);
        assert_eq!(classify(&[64]), Kind::Other);
        assert_eq!(classify(&[128, 96]), Kind::Rtp);
        assert_eq!(classify(&[144, 0x80 | 96]), Kind::Rtp);
        assert_eq!(classify(&[128, 200]), Kind::Rtcp);
        assert_eq!(classify(&[191, 223]), Kind::Rtcp);
        assert_eq!(classify(&[128]), Kind::Other);
        assert_eq!(classify(&[192, 96]), Kind::Other);
        assert_eq!(classify(&[]), Kind::Other);
    }
}
