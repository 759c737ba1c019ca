//! The two ciphers: key derivation, sealing and opening with explicit indices.

use aes::cipher::{InnerIvInit, KeyInit, StreamCipher};
use aes::Aes128Enc;
use ctr::{Ctr128BE, CtrCore};
use ring::{aead, hmac};

use super::{KeyLength, Profile, SrtpError};

const SHA1_80_TAG: usize = 10;
const GCM_TAG: usize = 16;
const ENCRYPTED: u32 = 0x8000_0000;

/// Labels of RFC 3711, 4.3.1.
const RTP_LABELS: [u8; 3] = [0, 1, 2];
const RTCP_LABELS: [u8; 3] = [3, 4, 5];

/// Session keys of one direction, for RTP or for RTCP.
pub(super) enum Cipher {
    Gcm { key: Box<aead::LessSafeKey>, salt: [u8; 12] },
    Cm { aes: Box<Aes128Enc>, salt: [u8; 14], mac: hmac::Key },
}

/// The RTP and the RTCP cipher from master key and salt.
pub(super) fn derive(profile: Profile, keying: &[u8]) -> Result<(Cipher, Cipher), KeyLength> {
    if keying.len() != profile.keying_len() {
        return Err(KeyLength);
    }
    let (key, salt) = keying.split_first_chunk::<16>().ok_or(KeyLength)?;
    let master = Master::new(key, salt);
    let cipher = |[key_label, auth_label, salt_label]: [u8; 3]| {
        let key: [u8; 16] = master.derive(key_label);
        match profile {
            Profile::AeadAes128Gcm => Cipher::gcm(&key, master.derive(salt_label)),
            Profile::Aes128CmHmacSha1_80 => {
                Cipher::cm(&key, master.derive(salt_label), &master.derive::<20>(auth_label))
            }
        }
    };
    Ok((cipher(RTP_LABELS), cipher(RTCP_LABELS)))
}

/// The pseudo-random function AES-CM of RFC 3711, 4.3.3, with a key derivation rate of zero.
pub(super) struct Master {
    aes: Aes128Enc,
    /// A GCM salt of 96 bits is padded on the right (RFC 7714, 11).
    salt: [u8; 14],
}

impl Master {
    pub fn new(key: &[u8; 16], salt: &[u8]) -> Self {
        let mut padded = [0; 14];
        padded[..salt.len()].copy_from_slice(salt);
        Self { aes: Aes128Enc::new(key.into()), salt: padded }
    }

    pub fn derive<const N: usize>(&self, label: u8) -> [u8; N] {
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&self.salt);
        iv[7] ^= label;
        let mut bytes = [0; N];
        keystream(&self.aes, &iv, &mut bytes);
        bytes
    }
}

fn keystream(aes: &Aes128Enc, iv: &[u8; 16], bytes: &mut [u8]) {
    let core: CtrCore<_, ctr::flavors::Ctr128BE> = CtrCore::inner_iv_init(aes, iv.into());
    Ctr128BE::from_core(core).apply_keystream(bytes);
}

impl Cipher {
    pub fn gcm(key: &[u8; 16], salt: [u8; 12]) -> Self {
        let key = aead::UnboundKey::new(&aead::AES_128_GCM, key).expect("16 bytes");
        Self::Gcm { key: Box::new(aead::LessSafeKey::new(key)), salt }
    }

    pub fn cm(key: &[u8; 16], salt: [u8; 14], auth: &[u8]) -> Self {
        Self::Cm {
            aes: Box::new(Aes128Enc::new(key.into())),
            salt,
            mac: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth),
        }
    }

    /// Encrypts the packet at `start` of `out` and appends the tag.
    pub fn seal_rtp(&self, out: &mut Vec<u8>, start: usize, header_len: usize, ssrc: u32, index: u64) {
        match self {
            Self::Gcm { key, salt } => {
                let nonce = gcm_rtp_nonce(salt, ssrc, index);
                seal_gcm(key, nonce, &[], out, start, header_len);
            }
            Self::Cm { aes, salt, mac } => {
                keystream(aes, &cm_iv(salt, ssrc, index), &mut out[start + header_len..]);
                let tag = cm_rtp_tag(mac, &out[start..], index);
                out.extend_from_slice(&tag.as_ref()[..SHA1_80_TAG]);
            }
        }
    }

    /// Decrypts and authenticates in place; returns the plain length. `packet` is long enough.
    pub fn open_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, SrtpError> {
        match self {
            Self::Gcm { key, salt } => {
                let (header, sealed) = packet.split_at_mut(header_len);
                let nonce = gcm_rtp_nonce(salt, ssrc, index);
                key.open_in_place(nonce, aead::Aad::from(&*header), sealed)
                    .map_err(|_| SrtpError::Authentication)?;
                Ok(packet.len() - GCM_TAG)
            }
            Self::Cm { aes, salt, mac } => {
                let (plain, tag) = packet.split_at_mut(packet.len() - SHA1_80_TAG);
                if !same(&cm_rtp_tag(mac, plain, index).as_ref()[..SHA1_80_TAG], tag) {
                    return Err(SrtpError::Authentication);
                }
                keystream(aes, &cm_iv(salt, ssrc, index), &mut plain[header_len..]);
                Ok(plain.len())
            }
        }
    }

    /// The index of an SRTCP packet that is long enough, and whether it says it is encrypted.
    pub fn rtcp_index(&self, packet: &[u8]) -> (u32, bool) {
        let tag_behind = match self {
            Self::Gcm { .. } => 0,
            Self::Cm { .. } => SHA1_80_TAG,
        };
        let word = super::super::be32(packet, packet.len() - tag_behind - 4).unwrap_or(0);
        (word & !ENCRYPTED, word & ENCRYPTED != 0)
    }

    /// Encrypts the compound at `start` of `out` and appends tag and index in the cipher's order.
    pub fn seal_rtcp(&self, out: &mut Vec<u8>, start: usize, ssrc: u32, index: u32) {
        let word = (index | ENCRYPTED).to_be_bytes();
        match self {
            Self::Gcm { key, salt } => {
                seal_gcm(key, gcm_rtcp_nonce(salt, ssrc, index), &word, out, start, 8);
                out.extend_from_slice(&word);
            }
            Self::Cm { aes, salt, mac } => {
                keystream(aes, &cm_iv(salt, ssrc, index.into()), &mut out[start + 8..]);
                out.extend_from_slice(&word);
                let tag = hmac::sign(mac, &out[start..]);
                out.extend_from_slice(&tag.as_ref()[..SHA1_80_TAG]);
            }
        }
    }

    /// Decrypts and authenticates in place; returns the plain length. `packet` is long enough.
    pub fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, index: u32) -> Result<usize, SrtpError> {
        match self {
            Self::Gcm { key, salt } => {
                let (sealed, word) = packet.split_at_mut(packet.len() - 4);
                let (header, sealed) = sealed.split_at_mut(8);
                let mut aad = [0; 12];
                aad[..8].copy_from_slice(header);
                aad[8..].copy_from_slice(word);
                key.open_in_place(gcm_rtcp_nonce(salt, ssrc, index), aead::Aad::from(aad), sealed)
                    .map_err(|_| SrtpError::Authentication)?;
                Ok(packet.len() - 4 - GCM_TAG)
            }
            Self::Cm { aes, salt, mac } => {
                let (signed, tag) = packet.split_at_mut(packet.len() - SHA1_80_TAG);
                if !same(&hmac::sign(mac, signed).as_ref()[..SHA1_80_TAG], tag) {
                    return Err(SrtpError::Authentication);
                }
                let len = signed.len() - 4;
                keystream(aes, &cm_iv(salt, ssrc, index.into()), &mut signed[8..len]);
                Ok(len)
            }
        }
    }
}

/// Seals `out[start + clear..]`; what lies before from `start` on, and `more`, is authenticated.
fn seal_gcm(
    key: &aead::LessSafeKey,
    nonce: aead::Nonce,
    more: &[u8],
    out: &mut Vec<u8>,
    start: usize,
    clear: usize,
) {
    let (header, payload) = out[start..].split_at_mut(clear);
    let sealed = if more.is_empty() {
        key.seal_in_place_separate_tag(nonce, aead::Aad::from(&*header), payload)
    } else {
        let mut aad = [0; 12];
        aad[..8].copy_from_slice(header);
        aad[8..].copy_from_slice(more);
        key.seal_in_place_separate_tag(nonce, aead::Aad::from(aad), payload)
    };
    let tag = sealed.expect("a datagram is shorter than GCM's limit");
    out.extend_from_slice(tag.as_ref());
}

/// RFC 7714, 8.1: SSRC, ROC and sequence number over the salt.
fn gcm_rtp_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> aead::Nonce {
    let mut nonce = *salt;
    xor(&mut nonce[2..6], &ssrc.to_be_bytes());
    xor(&mut nonce[6..12], &index.to_be_bytes()[2..]);
    aead::Nonce::assume_unique_for_key(nonce)
}

/// RFC 7714, 9.1: SSRC and SRTCP index over the salt.
fn gcm_rtcp_nonce(salt: &[u8; 12], ssrc: u32, index: u32) -> aead::Nonce {
    let mut nonce = *salt;
    xor(&mut nonce[2..6], &ssrc.to_be_bytes());
    xor(&mut nonce[8..12], &index.to_be_bytes());
    aead::Nonce::assume_unique_for_key(nonce)
}

/// RFC 3711, 4.1.1: salt, SSRC and packet index; the low 16 bits count blocks.
fn cm_iv(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(salt);
    xor(&mut iv[4..8], &ssrc.to_be_bytes());
    xor(&mut iv[8..14], &index.to_be_bytes()[2..]);
    iv
}

/// RFC 3711, 4.2: the ROC is signed behind the packet.
fn cm_rtp_tag(mac: &hmac::Key, packet: &[u8], index: u64) -> hmac::Tag {
    let mut context = hmac::Context::with_key(mac);
    context.update(packet);
    context.update(&((index >> 16) as u32).to_be_bytes());
    context.sign()
}

fn xor(bytes: &mut [u8], with: &[u8]) {
    for (byte, with) in bytes.iter_mut().zip(with) {
        *byte ^= with;
    }
}

/// Compares tags in constant time.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}
