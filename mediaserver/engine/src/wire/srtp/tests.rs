use proptest::prelude::*;

use super::cipher::{Cipher, Master};
use super::*;

const PROFILES: [Profile; 2] = [Profile::Aes128CmHmacSha1_80, Profile::AeadAes128Gcm];
/// RFC 7714, 16 and 17.
const GCM_KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const GCM_SALT: &[u8; 12] = b"Quid pro quo";

fn bytes(hex: &str) -> Vec<u8> {
    let hex: String = hex.split_whitespace().collect();
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn array<const N: usize>(hex: &str) -> [u8; N] {
    bytes(hex).try_into().unwrap()
}

fn pair(profile: Profile) -> (Sender, Receiver) {
    let keying: Vec<u8> = (0..profile.keying_len() as u8).collect();
    (Sender::new(profile, &keying).unwrap(), Receiver::new(profile, &keying).unwrap())
}

/// A packet of SSRC 9 with this index, protected.
fn packet(sender: &Sender, index: u64) -> Vec<u8> {
    let mut out = vec![0x80, 96];
    out.extend_from_slice(&(index as u16).to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 9]);
    out.extend_from_slice(b"payload");
    sender.protect_rtp(&mut out, 0, 12, index);
    out
}

#[test]
fn rfc_3711_b2_key_stream() {
    let aes = Cipher::cm(
        &array("2B7E151628AED2A6ABF7158809CF4F3C"),
        array("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"),
        &[0; 20],
    );
    let mut out = vec![0; 48];
    aes.seal_rtp(&mut out, 0, 0, 0, 0);
    assert_eq!(
        out[..48],
        bytes(
            "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB
             41E95B3BB0A2E8DD477901E4FCA894C0"
        )
    );
}

#[test]
fn rfc_3711_b3_key_derivation() {
    let master =
        Master::new(&array("E1F97A0D3E018BE0D64FA32C06DE4139"), &bytes("0EC675AD498AFEEBB6960B3AABE6"));
    assert_eq!(master.derive::<16>(0), array("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(master.derive::<14>(2), array("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(master.derive::<20>(1), array("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
}

#[test]
fn aes_cm_packet_as_libsrtp_makes_it() {
    let keying = bytes("E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6");
    let plain = bytes("800f1234 decafbad cafebabe abababab abababab abababab abababab");
    let sealed =
        bytes("800f1234 decafbad cafebabe 4e55dc4c e79978d8 8ca4d215 949d2402 b78d6acc 99ea179b 8dbb");
    let mut out = plain.clone();
    Sender::new(Profile::Aes128CmHmacSha1_80, &keying).unwrap().protect_rtp(&mut out, 0, 12, 0x1234);
    assert_eq!(out, sealed);
    let mut receiver = Receiver::new(Profile::Aes128CmHmacSha1_80, &keying).unwrap();
    let opened = receiver.unprotect_rtp(&mut out, 12).unwrap();
    assert_eq!((opened.index, &out[..opened.len]), (0x1234, &plain[..]));
}

#[test]
fn rfc_7714_16_1_srtp() {
    let cipher = Cipher::gcm(&GCM_KEY, *GCM_SALT);
    let plain = bytes(
        "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070
         61727465 73207472 6573",
    );
    let sealed = bytes(
        "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a
         51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
    );
    let mut out = plain.clone();
    cipher.seal_rtp(&mut out, 0, 12, 0x5501_a0b2, 0xf17b);
    assert_eq!(out, sealed);
    assert_eq!(cipher.open_rtp(&mut out, 12, 0x5501_a0b2, 0xf17b), Ok(plain.len()));
    assert_eq!(out[..plain.len()], plain);
}

#[test]
fn rfc_7714_17_1_srtcp() {
    let cipher = Cipher::gcm(&GCM_KEY, *GCM_SALT);
    let plain = bytes(
        "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef
         deadbeef deadbeef deadbeef",
    );
    let sealed = bytes(
        "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda
         4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4",
    );
    let mut out = plain.clone();
    cipher.seal_rtcp(&mut out, 0, 0x4d61_7273, 0x5d4);
    assert_eq!(out, sealed);
    assert_eq!(cipher.rtcp_index(&out), (0x5d4, true));
    assert_eq!(cipher.open_rtcp(&mut out, 0x4d61_7273, 0x5d4), Ok(plain.len()));
    assert_eq!(out[..plain.len()], plain);
}

#[test]
fn keys_of_a_wrong_length_are_refused() {
    for profile in PROFILES {
        for len in [0, 16, profile.keying_len() - 1, profile.keying_len() + 1] {
            assert!(Sender::new(profile, &vec![0; len]).is_err());
            assert!(Receiver::new(profile, &vec![0; len]).is_err());
        }
    }
    assert_eq!(Profile::from_dtls(2), None);
}

#[test]
fn replays_are_refused_and_late_packets_taken() {
    for profile in PROFILES {
        let (sender, mut receiver) = pair(profile);
        for index in (1000..1200).filter(|index| index % 10 != 0) {
            assert_eq!(receiver.unprotect_rtp(&mut packet(&sender, index), 12).unwrap().index, index);
        }
        assert!(receiver.unprotect_rtp(&mut packet(&sender, 1190), 12).is_ok());
        assert!(receiver.unprotect_rtp(&mut packet(&sender, 1080), 12).is_ok());
        for index in [1199, 1190, 1080, 1079] {
            let refused = receiver.unprotect_rtp(&mut packet(&sender, index), 12);
            assert_eq!(refused, Err(SrtpError::Replayed), "{index}");
        }
    }
}

#[test]
fn the_roll_over_counter_is_found_around_the_wrap() {
    for profile in PROFILES {
        let (sender, mut receiver) = pair(profile);
        let order = [0xfffe, 0x1_0001, 0xffff, 0x1_0000, 0x1_8000, 0x1_fff0, 0x2_0000, 0x1_fff1, 0x2_7fff];
        for index in order {
            let opened = receiver.unprotect_rtp(&mut packet(&sender, index), 12).unwrap();
            assert_eq!(opened.index, index);
        }
        let replayed = receiver.unprotect_rtp(&mut packet(&sender, 0x2_7fff), 12);
        assert_eq!(replayed, Err(SrtpError::Replayed));
    }
}

#[test]
fn a_stream_that_began_at_zero_has_nothing_before_it() {
    let (sender, mut receiver) = pair(Profile::AeadAes128Gcm);
    receiver.unprotect_rtp(&mut packet(&sender, 0), 12).unwrap();
    let before = receiver.unprotect_rtp(&mut packet(&sender, 0xffff), 12);
    assert_eq!(before, Err(SrtpError::Replayed));
}

#[test]
fn a_packet_that_comes_a_thousand_later_is_taken_once_and_the_too_old_refused() {
    let (sender, mut receiver) = pair(Profile::AeadAes128Gcm);
    let mut open = |index| receiver.unprotect_rtp(&mut packet(&sender, index), 12).map(|plain| plain.index);
    for index in (0..2000).filter(|index| index % 1000 != 7) {
        assert_eq!(open(index), Ok(index));
    }
    let late = [1007, 1007, 976, 975, 7].map(&mut open);
    let replayed = Err(SrtpError::Replayed);
    assert_eq!(late, [Ok(1007), replayed, replayed, replayed, replayed]);
    // Far ahead: what is behind is another turn of the ring.
    assert_eq!([9000, 9000 - 1023, 9000 - 1024].map(&mut open), [Ok(9000), Ok(7977), replayed]);
}

#[test]
fn a_forged_packet_changes_nothing() {
    for profile in PROFILES {
        let (sender, mut receiver) = pair(profile);
        receiver.unprotect_rtp(&mut packet(&sender, 10), 12).unwrap();
        let mut forged = packet(&sender, 30_000);
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(receiver.unprotect_rtp(&mut forged, 12), Err(SrtpError::Authentication));
        assert!(receiver.unprotect_rtp(&mut packet(&sender, 11), 12).is_ok());
        assert!(receiver.unprotect_rtp(&mut packet(&sender, 30_000), 12).is_ok());
    }
}

#[test]
fn rtcp_in_clear_and_replayed_is_refused() {
    for profile in PROFILES {
        let (sender, mut receiver) = pair(profile);
        let mut out = vec![1, 2, 3];
        out.extend_from_slice(&[0x80, 201, 0, 1, 0, 0, 0, 9]);
        sender.protect_rtcp(&mut out, 3, 7);
        let sealed = out.split_off(3);
        let mut again = sealed.clone();
        assert_eq!(receiver.unprotect_rtcp(&mut sealed.clone()), Ok(8));
        assert_eq!(receiver.unprotect_rtcp(&mut again), Err(SrtpError::Replayed));
        let mut clear = sealed.clone();
        let word = clear.len() - if profile == Profile::AeadAes128Gcm { 4 } else { 14 };
        clear[word] &= 0x7f;
        assert_eq!(receiver.unprotect_rtcp(&mut clear), Err(SrtpError::NotEncrypted));
        assert_eq!(receiver.unprotect_rtcp(&mut [0; 15]), Err(SrtpError::Malformed));
    }
}

#[test]
fn a_peer_cannot_make_us_keep_endless_streams() {
    let (sender, mut receiver) = pair(Profile::AeadAes128Gcm);
    for ssrc in 0..MAX_STREAMS as u32 + 1 {
        let mut out = vec![0x80, 96, 0, 0, 0, 0, 0, 1];
        out.extend_from_slice(&ssrc.to_be_bytes());
        sender.protect_rtp(&mut out, 0, 12, 0);
        let opened = receiver.unprotect_rtp(&mut out, 12).map(|_| ());
        let expected = if ssrc < MAX_STREAMS as u32 { Ok(()) } else { Err(SrtpError::TooManyStreams) };
        assert_eq!(opened, expected);
    }
}

proptest! {
    #[test]
    fn what_is_protected_is_read_back(
        gcm in any::<bool>(),
        payload in proptest::collection::vec(any::<u8>(), 0..1400),
        roc in 0u64..2,
        sequence in any::<u16>(),
        before in 0usize..40,
    ) {
        let (sender, mut receiver) = pair(PROFILES[usize::from(gcm)]);
        if roc == 1 {
            // The receiver must have been there when the counter rolled over.
            for index in [0x7fff, 0xfffe] {
                receiver.unprotect_rtp(&mut packet(&sender, index), 12).unwrap();
            }
        }
        let sequence = if roc == 1 { sequence & 0x7ffd } else { sequence };
        let index = roc << 16 | u64::from(sequence);
        let mut plain = vec![0x80, 111];
        plain.extend_from_slice(&sequence.to_be_bytes());
        plain.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 9]);
        plain.extend_from_slice(&payload);
        let mut out = vec![0xee; before];
        out.extend_from_slice(&plain);
        sender.protect_rtp(&mut out, before, 12, index);
        prop_assert_eq!(out.len(), before + plain.len() + sender.profile().rtp_overhead());
        let opened = receiver.unprotect_rtp(&mut out[before..], 12).unwrap();
        prop_assert_eq!(opened.index, index);
        prop_assert_eq!(&out[before..before + opened.len], &plain[..]);
    }

    #[test]
    fn rtcp_is_read_back(gcm in any::<bool>(), body in proptest::collection::vec(any::<u8>(), 0..300), index in 0u32..0x8000_0000) {
        let (sender, mut receiver) = pair(PROFILES[usize::from(gcm)]);
        let mut plain = vec![0x80, 200, 0, 9, 1, 2, 3, 4];
        plain.extend_from_slice(&body);
        let mut out = plain.clone();
        sender.protect_rtcp(&mut out, 0, index);
        prop_assert_eq!(out.len(), plain.len() + sender.profile().rtcp_overhead());
        let len = receiver.unprotect_rtcp(&mut out).unwrap();
        prop_assert_eq!(&out[..len], &plain[..]);
    }

    #[test]
    fn any_bytes_never_panic(gcm in any::<bool>(), mut bytes in proptest::collection::vec(any::<u8>(), 0..120), header in 0usize..120) {
        let (_, mut receiver) = pair(PROFILES[usize::from(gcm)]);
        let _ = receiver.unprotect_rtcp(&mut bytes);
        prop_assert!(receiver.unprotect_rtp(&mut bytes, header).is_err());
    }
}
