//! STUN (RFC 8489) as ICE uses it (RFC 8445, section 7): parse without copying, build answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ring::hmac;

use super::{be16, be32};

const MAGIC_COOKIE: u32 = 0x2112_a442;
const HEADER_LEN: usize = 20;
const FINGERPRINT_XOR: u32 = 0x5354_554e;
const INTEGRITY_LEN: usize = 20;
/// How many unknown attributes an error response lists.
const MAX_UNKNOWN: usize = 8;

pub const BINDING: u16 = 0x001;

mod attribute {
    pub const USERNAME: u16 = 0x0006;
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub const ERROR_CODE: u16 = 0x0009;
    pub const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub const PRIORITY: u16 = 0x0024;
    pub const USE_CANDIDATE: u16 = 0x0025;
    pub const FINGERPRINT: u16 = 0x8028;
    pub const ICE_CONTROLLED: u16 = 0x8029;
    pub const ICE_CONTROLLING: u16 = 0x802a;
    /// Understood, and of no use here: they must not make a 420.
    pub const IGNORED: [u16; 4] = [
        0x0014, // REALM
        0x0015, // NONCE
        0x001c, // MESSAGE-INTEGRITY-SHA256
        0x0001, // MAPPED-ADDRESS
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StunError {
    /// Shorter than 20 bytes, or an attribute runs over the end.
    Truncated,
    /// Length, magic cookie or leading bits are not STUN's.
    NotStun,
    /// An attribute's value has the wrong size.
    Attribute,
    /// FINGERPRINT is there and wrong.
    Fingerprint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Request,
    Indication,
    Success,
    Error,
}

pub type TransactionId = [u8; 12];

/// The key of MESSAGE-INTEGRITY: an ICE password, prepared once.
#[derive(Clone, Debug)]
pub struct IntegrityKey(hmac::Key);

impl IntegrityKey {
    pub fn new(password: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes()))
    }
}

/// A parsed message; FINGERPRINT has been checked if there, MESSAGE-INTEGRITY has not.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    pub class: Class,
    pub method: u16,
    pub transaction: TransactionId,
    /// As sent: "answerer's ufrag:offerer's ufrag" (RFC 8445, 7.2.2).
    pub username: Option<&'a [u8]>,
    pub priority: Option<u32>,
    pub use_candidate: bool,
    /// The tie-breaker of ICE-CONTROLLING.
    pub controlling: Option<u64>,
    /// The tie-breaker of ICE-CONTROLLED.
    pub controlled: Option<u64>,
    pub xor_mapped_address: Option<SocketAddr>,
    pub error_code: Option<u16>,
    pub has_fingerprint: bool,
    integrity_at: Option<usize>,
    unknown: [u16; MAX_UNKNOWN],
    unknown_count: usize,
}

impl<'a> Message<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<Self, StunError> {
        let header: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(StunError::Truncated)?;
        let kind = u16::from_be_bytes([header[0], header[1]]);
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let cookie = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        if kind & 0xc000 != 0 || cookie != MAGIC_COOKIE || length % 4 != 0 {
            return Err(StunError::NotStun);
        }
        if bytes.len() != HEADER_LEN + length {
            return Err(StunError::Truncated);
        }
        let mut transaction = [0; 12];
        transaction.copy_from_slice(&header[8..]);
        let mut message = Self {
            bytes,
            class: match kind & 0x0110 {
                0x0000 => Class::Request,
                0x0010 => Class::Indication,
                0x0100 => Class::Success,
                _ => Class::Error,
            },
            method: (kind & 0x000f) | ((kind & 0x00e0) >> 1) | ((kind & 0x3e00) >> 2),
            transaction,
            username: None,
            priority: None,
            use_candidate: false,
            controlling: None,
            controlled: None,
            xor_mapped_address: None,
            error_code: None,
            has_fingerprint: false,
            integrity_at: None,
            unknown: [0; MAX_UNKNOWN],
            unknown_count: 0,
        };
        message.read_attributes()?;
        Ok(message)
    }

    fn read_attributes(&mut self) -> Result<(), StunError> {
        let bytes = self.bytes;
        let mut at = HEADER_LEN;
        while at < bytes.len() {
            let kind = be16(bytes, at).ok_or(StunError::Truncated)?;
            let length = usize::from(be16(bytes, at + 2).ok_or(StunError::Truncated)?);
            let value = bytes.get(at + 4..at + 4 + length).ok_or(StunError::Truncated)?;
            let next = at + 4 + length.next_multiple_of(4);
            if kind == attribute::FINGERPRINT {
                // RFC 8489, 14.7: it is the last attribute.
                let sent = u32::from_be_bytes(value.try_into().map_err(|_| StunError::Attribute)?);
                if next != bytes.len() || sent != fingerprint(&bytes[..at]) {
                    return Err(StunError::Fingerprint);
                }
                self.has_fingerprint = true;
            } else if self.integrity_at.is_none() {
                // RFC 8489, 14.5: what follows MESSAGE-INTEGRITY is not protected, so not read.
                self.read_attribute(kind, value, at)?;
            }
            at = next;
        }
        Ok(())
    }

    fn read_attribute(&mut self, kind: u16, value: &'a [u8], at: usize) -> Result<(), StunError> {
        let wrong = StunError::Attribute;
        match kind {
            attribute::USERNAME => {
                if value.len() > 513 {
                    return Err(wrong);
                }
                self.username = self.username.or(Some(value));
            }
            attribute::MESSAGE_INTEGRITY => {
                if value.len() != INTEGRITY_LEN {
                    return Err(wrong);
                }
                self.integrity_at = Some(at);
            }
            attribute::PRIORITY => {
                self.priority = Some(u32::from_be_bytes(value.try_into().map_err(|_| wrong)?));
            }
            attribute::USE_CANDIDATE => self.use_candidate = true,
            attribute::ICE_CONTROLLING => {
                self.controlling = Some(u64::from_be_bytes(value.try_into().map_err(|_| wrong)?));
            }
            attribute::ICE_CONTROLLED => {
                self.controlled = Some(u64::from_be_bytes(value.try_into().map_err(|_| wrong)?));
            }
            attribute::XOR_MAPPED_ADDRESS => {
                let address = unxor_address(value, &self.transaction).ok_or(wrong)?;
                self.xor_mapped_address = Some(address);
            }
            attribute::ERROR_CODE => {
                let word = be32(value, 0).ok_or(wrong)?;
                self.error_code = Some(((word >> 8 & 7) * 100 + (word & 0xff)) as u16);
            }
            attribute::UNKNOWN_ATTRIBUTES => {}
            known if attribute::IGNORED.contains(&known) => {}
            comprehension_required if comprehension_required < 0x8000 => {
                if let Some(place) = self.unknown.get_mut(self.unknown_count) {
                    *place = comprehension_required;
                    self.unknown_count += 1;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Comprehension-required attributes that are not known here: answered with 420.
    pub fn unknown_attributes(&self) -> &[u16] {
        &self.unknown[..self.unknown_count]
    }

    pub fn has_integrity(&self) -> bool {
        self.integrity_at.is_some()
    }

    /// Whether MESSAGE-INTEGRITY is there and made with this key.
    pub fn verify(&self, key: &IntegrityKey) -> bool {
        let Some(at) = self.integrity_at else { return false };
        let tag = &self.bytes[at + 4..at + 4 + INTEGRITY_LEN];
        // The length field counts up to the end of MESSAGE-INTEGRITY while the HMAC is made.
        let mut signed = [0u8; 2048];
        let Some(signed) = signed.get_mut(..at) else { return false };
        signed.copy_from_slice(&self.bytes[..at]);
        signed[2..4].copy_from_slice(&((at + 4 + INTEGRITY_LEN - HEADER_LEN) as u16).to_be_bytes());
        hmac::verify(&key.0, signed, tag).is_ok()
    }
}

fn unxor_address(value: &[u8], transaction: &TransactionId) -> Option<SocketAddr> {
    let family = *value.get(1)?;
    let port = be16(value, 2)? ^ (MAGIC_COOKIE >> 16) as u16;
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    mask[4..].copy_from_slice(transaction);
    let ip = match (family, &value[4..]) {
        (1, bytes) => {
            let bytes: [u8; 4] = bytes.try_into().ok()?;
            IpAddr::V4(Ipv4Addr::from(std::array::from_fn(|i| bytes[i] ^ mask[i])))
        }
        (2, bytes) => {
            let bytes: [u8; 16] = bytes.try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(std::array::from_fn::<u8, 16, _>(|i| bytes[i] ^ mask[i])))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn fingerprint(covered: &[u8]) -> u32 {
    // The length field already counts FINGERPRINT itself when it is made.
    crc32fast::hash(covered) ^ FINGERPRINT_XOR
}

/// Builds one message, attribute by attribute, at the end of a buffer.
pub struct Builder<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Builder<'a> {
    pub fn new(out: &'a mut Vec<u8>, class: Class, transaction: &TransactionId) -> Self {
        let start = out.len();
        let class_bits: u16 = match class {
            Class::Request => 0x0000,
            Class::Indication => 0x0010,
            Class::Success => 0x0100,
            Class::Error => 0x0110,
        };
        out.extend_from_slice(&(class_bits | BINDING).to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
        out.extend_from_slice(transaction);
        Self { out, start }
    }

    pub fn username(self, username: &str) -> Self {
        self.attribute(attribute::USERNAME, username.as_bytes())
    }

    pub fn priority(self, priority: u32) -> Self {
        self.attribute(attribute::PRIORITY, &priority.to_be_bytes())
    }

    pub fn use_candidate(self) -> Self {
        self.attribute(attribute::USE_CANDIDATE, &[])
    }

    pub fn controlling(self, tie_breaker: u64) -> Self {
        self.attribute(attribute::ICE_CONTROLLING, &tie_breaker.to_be_bytes())
    }

    pub fn controlled(self, tie_breaker: u64) -> Self {
        self.attribute(attribute::ICE_CONTROLLED, &tie_breaker.to_be_bytes())
    }

    pub fn xor_mapped_address(self, address: SocketAddr) -> Self {
        let mut value = [0u8; 20];
        let port = address.port() ^ (MAGIC_COOKIE >> 16) as u16;
        value[2..4].copy_from_slice(&port.to_be_bytes());
        let len = match address.ip() {
            IpAddr::V4(ip) => {
                value[1] = 1;
                value[4..8].copy_from_slice(&ip.octets());
                8
            }
            IpAddr::V6(ip) => {
                value[1] = 2;
                value[4..20].copy_from_slice(&ip.octets());
                20
            }
        };
        // Magic cookie and transaction id lie side by side in the header.
        let mask = &self.out[self.start + 4..self.start + HEADER_LEN];
        for (byte, mask) in value[4..].iter_mut().zip(mask) {
            *byte ^= mask;
        }
        self.attribute(attribute::XOR_MAPPED_ADDRESS, &value[..len])
    }

    pub fn error_code(self, code: ErrorCode) -> Self {
        let number = code.number();
        // Without a phrase: no answer is longer than its question, whoever may have asked.
        self.attribute(attribute::ERROR_CODE, &[0, 0, (number / 100) as u8, (number % 100) as u8])
    }

    pub fn unknown_attributes(self, kinds: &[u16]) -> Self {
        let value: Vec<u8> = kinds.iter().flat_map(|kind| kind.to_be_bytes()).collect();
        self.attribute(attribute::UNKNOWN_ATTRIBUTES, &value)
    }

    /// Any attribute; `value` is padded here.
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.out.extend_from_slice(&kind.to_be_bytes());
        self.out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.out.extend_from_slice(value);
        let padded = (self.out.len() - self.start).next_multiple_of(4);
        self.out.resize(self.start + padded, 0);
        self.set_length(0);
        self
    }

    /// Signs what is there so far.
    pub fn integrity(mut self, key: &IntegrityKey) -> Self {
        self.set_length(4 + INTEGRITY_LEN);
        let tag = hmac::sign(&key.0, &self.out[self.start..]);
        self.attribute(attribute::MESSAGE_INTEGRITY, tag.as_ref())
    }

    /// Ends the message with FINGERPRINT.
    pub fn finish(mut self) {
        self.set_length(8);
        let sum = fingerprint(&self.out[self.start..]);
        self.attribute(attribute::FINGERPRINT, &sum.to_be_bytes());
    }

    /// `coming`: bytes of the attribute that the length field must count before it is written.
    fn set_length(&mut self, coming: usize) {
        let length = self.out.len() - self.start - HEADER_LEN + coming;
        self.out[self.start + 2..self.start + 4].copy_from_slice(&(length as u16).to_be_bytes());
    }
}

/// Appends the success response to a connectivity check that came from `mapped`.
pub fn write_success(out: &mut Vec<u8>, transaction: &TransactionId, mapped: SocketAddr, key: &IntegrityKey) {
    Builder::new(out, Class::Success, transaction).xor_mapped_address(mapped).integrity(key).finish();
}

/// Appends an error response; `unknown` is listed with 420. Signed when there is a `key`
/// (RFC 8489, 9.1.3: 400 and 401 are not, for nobody is known to hold one).
pub fn write_error(
    out: &mut Vec<u8>,
    transaction: &TransactionId,
    code: ErrorCode,
    unknown: &[u16],
    key: Option<&IntegrityKey>,
) {
    let mut message = Builder::new(out, Class::Error, transaction).error_code(code);
    if code == ErrorCode::UnknownAttribute {
        message = message.unknown_attributes(unknown);
    }
    if let Some(key) = key {
        message = message.integrity(key);
    }
    message.finish();
}

/// Errors that an ICE-lite agent answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    BadRequest,
    Unauthenticated,
    UnknownAttribute,
    RoleConflict,
}

impl ErrorCode {
    pub fn number(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthenticated => 401,
            Self::UnknownAttribute => 420,
            Self::RoleConflict => 487,
        }
    }
}

#[cfg(test)]
mod tests;
