use proptest::prelude::*;

use super::*;

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

/// Whoever writes a victim's address as the sender's has the answers sent there.
#[test]
fn no_answer_to_a_stranger_is_longer_than_the_question() {
    let mut question = Vec::new();
    Builder::new(&mut question, Class::Request, &[1; 12]).username("ourufrag0123");
    for code in [ErrorCode::BadRequest, ErrorCode::Unauthenticated] {
        let mut answer = Vec::new();
        write_error(&mut answer, &[1; 12], code, &[], None);
        assert!(answer.len() <= question.len(), "{} to {}", answer.len(), question.len());
    }
}
