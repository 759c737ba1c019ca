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
        let mut value = vec![0, 0, (number / 100) as u8, (number % 100) as u8];
        value.extend_from_slice(code.reason().as_bytes());
        self.attribute(attribute::ERROR_CODE, &value)
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

    fn reason(self) -> &'static str {
        match self {
            Self::BadRequest => "Bad Request",
            Self::Unauthenticated => "Unauthenticated",
            Self::UnknownAttribute => "Unknown Attribute",
            Self::RoleConflict => "Role Conflict",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 5769, 2.1: sample request.
    const REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74\
        002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56\
        781ef2b5b2d3f249c1b571a280280004e57a3bcf";
    /// RFC 5769, 2.2: sample IPv4 response.
    const RESPONSE_V4: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220\
        002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
    /// RFC 5769, 2.3: sample IPv6 response.
    const RESPONSE_V6: &str = "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220\
        002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed41\
        80280004c8fb0b4c";
    const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn rfc_5769_request() {
        let request = bytes(REQUEST);
        let message = Message::parse(&request).unwrap();
        assert_eq!((message.class, message.method), (Class::Request, BINDING));
        assert_eq!(message.transaction[..4], [0xb7, 0xe7, 0xa7, 0x01]);
        assert_eq!(message.username, Some(&b"evtj:h6vY"[..]));
        assert_eq!(message.priority, Some(0x6e00_01ff));
        assert_eq!(message.controlled, Some(0x932f_f9b1_5126_3b36));
        assert_eq!(message.controlling, None);
        assert!(!message.use_candidate && message.has_fingerprint);
        assert!(message.unknown_attributes().is_empty());
        assert!(message.verify(&IntegrityKey::new(PASSWORD)));
        assert!(!message.verify(&IntegrityKey::new("another")));
    }

    #[test]
    fn rfc_5769_responses() {
        for (hex, address) in
            [(RESPONSE_V4, "192.0.2.1:32853"), (RESPONSE_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
        {
            let response = bytes(hex);
            let message = Message::parse(&response).unwrap();
            assert_eq!(message.class, Class::Success);
            assert_eq!(message.xor_mapped_address, Some(address.parse().unwrap()));
            assert!(message.verify(&IntegrityKey::new(PASSWORD)));
        }
    }

    #[test]
    fn reads_the_answers_it_builds() {
        let key = IntegrityKey::new("password");
        let transaction = [7; 12];
        for address in ["192.0.2.1:5", "[2001:db8::1]:65535"] {
            let mut out = vec![1, 2, 3]; // whatever lies before in the buffer
            write_success(&mut out, &transaction, address.parse().unwrap(), &key);
            let message = Message::parse(&out[3..]).unwrap();
            assert_eq!((message.class, message.transaction), (Class::Success, transaction));
            assert_eq!(message.xor_mapped_address, Some(address.parse().unwrap()));
            assert!(message.verify(&key) && message.has_fingerprint);
        }
        for code in [400, 401, 420, 487] {
            let kind = [
                ErrorCode::BadRequest,
                ErrorCode::Unauthenticated,
                ErrorCode::UnknownAttribute,
                ErrorCode::RoleConflict,
            ]
            .into_iter()
            .find(|kind| kind.number() == code)
            .unwrap();
            let mut out = Vec::new();
            write_error(&mut out, &transaction, kind, &[0x7777], (code == 487).then_some(&key));
            let message = Message::parse(&out).unwrap();
            assert_eq!((message.class, message.error_code), (Class::Error, Some(code)));
            assert_eq!(message.verify(&key), code == 487);
            let listed = out.windows(6).any(|w| w == [0, 0x0a, 0, 2, 0x77, 0x77]);
            assert_eq!(listed, code == 420);
        }
    }

    #[test]
    fn unknown_required_attributes_are_listed_and_optional_ones_ignored() {
        let mut out = Vec::new();
        Builder::new(&mut out, Class::Request, &[0; 12])
            .attribute(0x7abc, b"x")
            .attribute(0xc001, b"network cost")
            .controlling(5)
            .use_candidate()
            .finish();
        let message = Message::parse(&out).unwrap();
        assert_eq!(message.unknown_attributes(), [0x7abc]);
        assert_eq!((message.controlling, message.use_candidate), (Some(5), true));
    }

    #[test]
    fn nothing_behind_message_integrity_is_believed() {
        let key = IntegrityKey::new("password");
        let mut out = Vec::new();
        Builder::new(&mut out, Class::Request, &[0; 12]).integrity(&key).use_candidate().finish();
        let message = Message::parse(&out).unwrap();
        assert!(message.verify(&key) && !message.use_candidate);
    }

    #[test]
    fn refuses_damage() {
        let request = bytes(REQUEST);
        let kind = |bytes: &[u8]| Message::parse(bytes).err();
        assert_eq!(kind(&request[..19]), Some(StunError::Truncated));
        assert_eq!(kind(&request[..request.len() - 4]), Some(StunError::Truncated));
        let mut damaged = request.clone();
        damaged[30] ^= 1;
        assert_eq!(kind(&damaged), Some(StunError::Fingerprint));
        damaged = request.clone();
        damaged[4] ^= 1;
        assert_eq!(kind(&damaged), Some(StunError::NotStun));
        let mut out = Vec::new();
        Builder::new(&mut out, Class::Request, &[0; 12]).attribute(attribute::PRIORITY, b"12").finish();
        assert_eq!(kind(&out), Some(StunError::Attribute));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Message::parse(&bytes).map(|m| m.verify(&IntegrityKey::new("p")));
            // Past the header's checks, into the attributes.
            bytes.truncate(bytes.len() / 4 * 4);
            if bytes.len() >= HEADER_LEN {
                bytes[0] &= 0x3f;
                let length = (bytes.len() - HEADER_LEN) as u16;
                bytes[2..4].copy_from_slice(&length.to_be_bytes());
                bytes[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
                let _ = Message::parse(&bytes).map(|m| m.verify(&IntegrityKey::new("p")));
            }
        }

        /// Up to the end of MESSAGE-INTEGRITY; FINGERPRINT may be taken off by anybody.
        #[test]
        fn one_flipped_bit_is_noticed(at in 0usize..800) {
            let mut request = bytes(REQUEST);

            request[at / 8] ^= 1 << (at % 8);
            let believed = Message::parse(&request)
                .is_ok_and(|m| m.verify(&IntegrityKey::new(PASSWORD)));
            prop_assert!(!believed);
        }
    }
}
