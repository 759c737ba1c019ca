//! SRTP and SRTCP (RFC 3711) with the two profiles that WebRTC peers agree on:
//! AEAD_AES_128_GCM (RFC 7714) and AES128_CM_HMAC_SHA1_80 (RFC 5764).
//!
//! [`Receiver`] keeps a roll-over counter and a replay window for each SSRC; [`Sender`] keeps
//! nothing: the caller owns the extended packet indices, so that they can outlive the process.

use std::collections::HashMap;

mod cipher;
mod replay;

use cipher::Cipher;
use replay::Window;

/// The last index that one master key may protect with one SSRC (RFC 3711, 9.2).
pub const MAX_RTP_INDEX: u64 = (1 << 48) - 1;
pub const MAX_RTCP_INDEX: u32 = (1 << 31) - 1;
/// SSRCs that one peer may send in its lifetime; only authenticated packets count.
const MAX_STREAMS: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    Aes128CmHmacSha1_80,
    AeadAes128Gcm,
}

impl Profile {
    /// By the number that DTLS-SRTP negotiates (RFC 5764, 4.1.2; RFC 7714, 14.2).
    pub fn from_dtls(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::Aes128CmHmacSha1_80),
            7 => Some(Self::AeadAes128Gcm),
            _ => None,
        }
    }

    /// Bytes of the master salt; the master key has 16.
    pub fn salt_len(self) -> usize {
        match self {
            Self::Aes128CmHmacSha1_80 => 14,
            Self::AeadAes128Gcm => 12,
        }
    }

    /// Bytes of master key and master salt together.
    pub fn keying_len(self) -> usize {
        16 + self.salt_len()
    }

    /// Bytes that protection adds to an RTP packet.
    pub fn rtp_overhead(self) -> usize {
        match self {
            Self::Aes128CmHmacSha1_80 => 10,
            Self::AeadAes128Gcm => 16,
        }
    }

    /// Bytes that protection adds to an RTCP packet: tag and index.
    pub fn rtcp_overhead(self) -> usize {
        self.rtp_overhead() + 4
    }
}

/// Master key and salt together have not the profile's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLength;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrtpError {
    /// Too short, or no RTP or RTCP header.
    Malformed,
    /// Seen before, or older than the window.
    Replayed,
    /// The tag is wrong.
    Authentication,
    /// An SRTCP packet in clear (RFC 8827, 6.5 forbids it).
    NotEncrypted,
    /// One peer sends more SSRCs than are kept.
    TooManyStreams,
}

/// A packet that was authenticated and decrypted in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unprotected {
    /// Bytes of the plain packet, from its beginning.
    pub len: usize,
    /// ROC and sequence number: the packet's place in its stream.
    pub index: u64,
}

/// What a peer sends us: one master key, any number of SSRCs.
pub struct Receiver {
    profile: Profile,
    rtp: Cipher,
    rtcp: Cipher,
    rtp_windows: HashMap<u32, Window>,
    rtcp_windows: HashMap<u32, Window>,
}

impl Receiver {
    /// `keying`: master key, then master salt.
    pub fn new(profile: Profile, keying: &[u8]) -> Result<Self, KeyLength> {
        let (rtp, rtcp) = cipher::derive(profile, keying)?;
        Ok(Self { profile, rtp, rtcp, rtp_windows: HashMap::new(), rtcp_windows: HashMap::new() })
    }

    /// Decrypts an SRTP packet in place. `header_len`: where its payload begins
    /// ([`super::rtp::RtpHeader::len`]). A packet that fails changes no state (its bytes may be
    /// overwritten).
    pub fn unprotect_rtp(&mut self, packet: &mut [u8], header_len: usize) -> Result<Unprotected, SrtpError> {
        if header_len < 12 || packet.len() < header_len + self.profile.rtp_overhead() {
            return Err(SrtpError::Malformed);
        }
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        let ssrc = u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]);
        let window = self.rtp_windows.get(&ssrc);
        let index = match window {
            Some(window) => window.estimate(sequence).ok_or(SrtpError::Replayed)?,
            None if self.rtp_windows.len() >= MAX_STREAMS => return Err(SrtpError::TooManyStreams),
            None => u64::from(sequence),
        };
        if window.is_some_and(|window| !window.is_new(index)) {
            return Err(SrtpError::Replayed);
        }
        let len = self.rtp.open_rtp(packet, header_len, ssrc, index)?;
        self.rtp_windows.entry(ssrc).or_default().accept(index);
        Ok(Unprotected { len, index })
    }

    /// Decrypts an SRTCP packet in place and returns the length of the plain compound.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        if packet.len() < 8 + self.profile.rtcp_overhead() {
            return Err(SrtpError::Malformed);
        }
        let ssrc = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        let (index, encrypted) = self.rtcp.rtcp_index(packet);
        if !encrypted {
            return Err(SrtpError::NotEncrypted);
        }
        match self.rtcp_windows.get(&ssrc) {
            Some(window) if !window.is_new(index.into()) => return Err(SrtpError::Replayed),
            None if self.rtcp_windows.len() >= MAX_STREAMS => return Err(SrtpError::TooManyStreams),
            _ => {}
        }
        let len = self.rtcp.open_rtcp(packet, ssrc, index)?;
        self.rtcp_windows.entry(ssrc).or_default().accept(index.into());
        Ok(len)
    }
}

/// What we send to a peer: one master key, any number of SSRCs, no state.
///
/// An index must never be used twice with one SSRC: with GCM that gives the key away.
pub struct Sender {
    profile: Profile,
    rtp: Cipher,
    rtcp: Cipher,
}

impl Sender {
    /// `keying`: master key, then master salt.
    pub fn new(profile: Profile, keying: &[u8]) -> Result<Self, KeyLength> {
        let (rtp, rtcp) = cipher::derive(profile, keying)?;
        Ok(Self { profile, rtp, rtcp })
    }

    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Protects the plain packet that the caller has just appended to `out` at `start`: header
    /// (of `header_len` bytes) and payload are written once, straight into the buffer that the
    /// socket sends from, and encrypted there; the tag is appended.
    ///
    /// `index`: ROC << 16 | the sequence number in the header.
    ///
    /// # Panics
    /// When less than a header lies at `start`, or the header has another sequence number.
    pub fn protect_rtp(&self, out: &mut Vec<u8>, start: usize, header_len: usize, index: u64) {
        let packet = &out[start..];
        assert!(header_len >= 12 && packet.len() >= header_len, "a header must lie at start");
        assert_eq!(index as u16, u16::from_be_bytes([packet[2], packet[3]]), "index and header differ");
        let ssrc = u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]);
        self.rtp.seal_rtp(out, start, header_len, ssrc, index);
    }

    /// Protects the plain RTCP compound at `start` of `out` in place; tag and index are
    /// appended. `index`: 31 bits, one higher each time.
    ///
    /// # Panics
    /// When less than an RTCP header (8 bytes) lies at `start`.
    pub fn protect_rtcp(&self, out: &mut Vec<u8>, start: usize, index: u32) {
        let packet = &out[start..];
        assert!(packet.len() >= 8, "an RTCP header must lie at start");
        let ssrc = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        self.rtcp.seal_rtcp(out, start, ssrc, index & 0x7fff_ffff);
    }
}

#[cfg(test)]
mod tests;
