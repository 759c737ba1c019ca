//! Bad input: counted and dropped; the lesson goes on.

use _engine::core::{Codec, Command, Drop, Event, Path};
use _engine::wire::rtcp;
use _engine::wire::rtp::HeaderFields;
use proptest::prelude::*;

use crate::packets::{assert_continuous, pair};
use crate::sender::{Sender, MID};
use crate::world::credentials;

#[test]
fn ten_thousand_garbage_datagrams_from_strangers() {
    let mut world = pair(1, Sender::new(7, Codec::H264));
    world.run_ms(500);
    let sent_before = world.core.stats().datagrams_received;
    for n in 0..10_000u64 {
        let len = (world.random.next() % 1400) as usize;
        let mut datagram: Vec<u8> = (0..len).map(|_| world.random.next() as u8).collect();
        let path =
            Path { socket: 0, local: None, remote: ([203, 0, 113, 1], 1024 + n as u16 % 60_000).into() };
        let now = world.now();
        world.core.receive(now, path, &mut datagram);
        assert!(world.core.transmits().is_empty(), "nothing is answered to strangers");
        if n % 100 == 0 {
            world.run_ms(10);
        }
    }
    let stats = world.core.stats();
    let dropped: u64 = [Drop::UnknownKind, Drop::UnknownAddress, Drop::StunMalformed, Drop::StunUnknownUser]
        .into_iter()
        .map(|reason| stats.dropped(reason))
        .sum();
    assert_eq!(dropped, 10_000);
    assert!(stats.datagrams_received > sent_before + 10_000);
    assert_continuous(world.peers[1].slot("v"));
}

#[test]
fn forged_replayed_and_damaged_media_changes_nothing() {
    let mut world = pair(2, Sender::new(7, Codec::H264));
    world.peers[0].up.duplication = 1.0;
    world.run_ms(1000);
    assert!(world.core.stats().dropped(Drop::SrtpReplayed) > 60);
    // Somebody who can write the publisher's address, but has no key.
    let ssrc = world.peers[0].senders[0].ssrc;
    for n in 0..200u16 {
        let mut bytes = Vec::new();
        let fields = HeaderFields {
            marker: true,
            payload_type: 96,
            sequence: world.peers[0].senders[0].index as u16 + n * 100,
            timestamp: 5,
            ssrc: if n % 2 == 0 { ssrc } else { u32::from(n) },
            csrcs: &[],
            extensions: &[(MID, b"m7")],
        };
        fields.write(&mut bytes);
        bytes.extend_from_slice(&[0x67; 60]);
        world.peers[0].send_raw(bytes);
        let mut rtcp = vec![0x80, 203, 0, 1, 0, 0, 0, 0];
        rtcp.extend_from_slice(&[0; 40]);
        world.peers[0].send_raw(rtcp);
        world.run_ms(3);
    }
    assert!(world.core.stats().dropped(Drop::SrtpAuthentication) >= 200);
    assert_continuous(world.peers[1].slot("v"));
    assert_eq!(world.core.transport_stats(1).unwrap().producers[0].lost, 0);
}

#[test]
fn a_check_with_the_wrong_password_moves_nothing() {
    let mut world = pair(3, Sender::new(7, Codec::H264));
    world.run_ms(500);
    let mut forged = world.peers[1].check(false);
    let len = forged.len();
    forged.truncate(len - 8); // without FINGERPRINT
    forged[3] -= 8;
    let tag = forged.len() - 1;
    forged[tag] ^= 1;
    let path = Path { socket: 0, local: None, remote: ([203, 0, 113, 1], 9).into() };
    let now = world.now();
    world.core.receive(now, path, &mut forged);
    assert_eq!(world.core.stats().dropped(Drop::StunUnauthenticated), 1);
    world.drain();
    world.run_ms(500);
    assert_eq!(world.core.transport_stats(2).unwrap().remote, Some(world.peers[1].address));
    assert_continuous(world.peers[1].slot("v"));
}

#[test]
fn commands_about_nothing_are_counted() {
    let mut world = pair(4, Sender::new(7, Codec::H264));
    let used = credentials(0, "one");
    let commands = [
        Command::CloseTransport { transport: 99 },
        Command::RestartIce { transport: 99, credentials: credentials(5, "x") },
        Command::RestartIce { transport: 1, credentials: used.clone() },
        Command::OpenTransport { transport: 98, credentials: used },
        Command::SendDtls { transport: 99, datagram: vec![22] },
        Command::CloseProducer { source: 99 },
        Command::RequestKeyframe { source: 99 },
        Command::Assign(vec![(2, "unknown".into(), 7), (99, "v".into(), 7)]),
        Command::OpenProducer { transport: 99, parameters: Sender::new(5, Codec::H264).parameters() },
        Command::OpenProducer { transport: 1, parameters: Sender::new(0, Codec::H264).parameters() },
    ];
    let before = world.core.stats().dropped(Drop::Command);
    for command in commands {
        world.command(command);
    }
    assert_eq!(world.core.stats().dropped(Drop::Command), before + 11);
    world.run_ms(500);
    assert_continuous(world.peers[1].slot("v"));
}

/// A peer's checks come from two ports in turn, each nominated; and it floods with DTLS.
#[test]
fn one_peer_cannot_keep_the_python_side_busy() {
    let mut world = pair(5, Sender::new(7, Codec::H264));
    world.run_ms(100);
    let (now, remote) = (world.now(), world.peers[0].address);
    world.events.clear();
    for n in 0..5000u16 {
        let remote = (remote.ip(), 5000 + n % 2).into();
        world.core.receive(now, Path { socket: 0, local: None, remote }, &mut [22, 1, 2, 3]);
        let mut check = world.peers[0].check(false);
        world.core.receive(now, Path { socket: 0, local: None, remote }, &mut check);
        world.core.transmits().clear();
    }
    world.drain();
    assert!(world.events.len() <= 100, "{}", world.events.len());
    assert!(world.core.stats().dropped(Drop::PeerEventLimit) > 5000);
    assert_eq!(world.core.stats().dropped(Drop::EventOverflow), 0);
    // Later its handshake is heard again, and the others have not noticed.
    world.run_ms(1000);
    world.events.clear();
    world.peers[0].send_raw(vec![22, 1, 2, 3]);
    world.run_ms(100);
    assert!(world.events.iter().any(|(_, event)| matches!(event, Event::Dtls { transport: 1, .. })));
}

/// A packet of the publisher's old SSRC comes after the first ones of the new.
#[test]
fn a_stream_goes_on_under_another_ssrc_once() {
    let mut world = pair(8, Sender::new(7, Codec::H264));
    world.run_ms(500);
    let mut late = world.peers[0].senders[0].clone();
    let sender = &mut world.peers[0].senders[0];
    (sender.ssrc, sender.rtx_ssrc, sender.key_wanted) = (0x7777, 0x7778, true);
    world.run_ms(60);
    (late.parts, late.interval_us) = (1, 0);
    let now_us = world.now_us;
    for _ in 0..3 {
        let packet = late.frame(now_us, &mut 0).remove(0);
        world.peers[0].send_rtp(packet.bytes, packet.header_len, packet.index);
        world.run_ms(60);
    }
    assert_eq!(world.core.transport_stats(1).unwrap().producers[0].ssrc, 0x7777);
    assert_eq!(world.core.stats().dropped(Drop::UnknownStream), 3);
    // Later it may change again.
    let sender = &mut world.peers[0].senders[0];
    (sender.ssrc, sender.rtx_ssrc, sender.key_wanted) = (0x8888, 0x8889, true);
    world.run_ms(1000);
    assert_eq!(world.core.transport_stats(1).unwrap().producers[0].ssrc, 0x8888);
    let last = world.peers[1].slot("v").contents().last().unwrap().0.at_us;
    assert!(world.now_us - last < 100_000);
}

/// Without RTX a retransmission with other header extensions would be another packet under a
/// nonce that was used.
#[test]
fn an_open_slot_keeps_what_was_negotiated() {
    let mut world = pair(9, Sender::new(7, Codec::H264));
    let before = world.core.stats().dropped(Drop::Command);
    world.open_slot_with(1, "v", Codec::H264, |slot| {
        (slot.ssrc, slot.rtx_ssrc) = (0x5000_0000, Some(0x5000_0001));
    });
    assert_eq!(world.core.stats().dropped(Drop::Command), before, "the same again");
    world.open_slot_with(1, "v", Codec::H264, |slot| {
        (slot.ssrc, slot.rtx_ssrc, slot.payload_type) = (0x5000_0000, Some(0x5000_0001), 99);
    });
    world.open_slot_with(1, "w", Codec::H264, |slot| (slot.ssrc, slot.rtx_ssrc) = (5, Some(5)));
    assert_eq!(world.core.stats().dropped(Drop::Command), before + 2);
}

#[test]
fn events_that_nobody_takes_are_bounded() {
    let mut world = pair(5, Sender::new(7, Codec::H264));
    world.run_ms(100);
    let path = Path { socket: 0, local: None, remote: world.peers[0].address };
    for n in 0..70_000 {
        let now = world.now();
        world.peers[0].generation = n.to_string();
        let credentials = credentials(0, &world.peers[0].generation);
        world.core.command(now, Command::RestartIce { transport: 1, credentials });
        let mut check = world.peers[0].check(false);
        world.core.receive(now, path, &mut check);
        world.core.transmits().clear();
    }
    assert!(world.core.stats().dropped(Drop::EventOverflow) > 1000);
}

/// Statuses of "not received" cost a peer two bytes for eight thousand: a datagram could claim
/// millions. What is read is bounded by what was sent.
#[test]
fn feedback_about_what_was_never_sent_is_not_read() {
    let mut world = pair(6, Sender::new(7, Codec::H264));
    world.run_ms(100);
    let sent = world.core.transport_stats(2).unwrap().packets_sent;
    for _ in 0..100 {
        world.peers[1].send_rtcp(|out| {
            for _ in 0..30 {
                // Count 15 (TWCC), 8 words; base 0, 65 535 statuses: eight runs of 8191 losses and a short one.
                out.extend_from_slice(&[
                    0x8f, 205, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 0, 0, 0, 0,
                ]);
                out.extend_from_slice(&[0x1f, 0xff].repeat(10));
            }
        });
    }
    world.run_ms(20);
    let stats = world.core.transport_stats(2).unwrap();
    assert!(world.core.stats().twcc_feedback_received >= 3000);
    assert!(stats.twcc_lost > 0 && stats.twcc_lost <= 8 * (sent + 10), "{} of {sent}", stats.twcc_lost);
}

#[test]
fn asking_again_for_what_never_was_is_soon_not_heard() {
    let mut world = pair(7, Sender::new(7, Codec::H264));
    world.run_ms(500);
    let ssrc = world.peers[1].slot("v").ssrc;
    for first in [20_000u16, 30_000] {
        let lost: Vec<u16> = (first..first + 4250).collect();
        world.peers[1].send_rtcp(|out| rtcp::write_nack(out, 1, ssrc, &lost));
    }
    world.run_ms(100);
    assert_eq!(world.core.stats().dropped(Drop::RetransmissionLimit), 2);
    // A second later losses are mended as before.
    world.run_ms(1000);
    world.peers[1].down.loss = 0.1;
    world.run_ms(1000);
    world.peers[1].down.loss = 0.0;
    world.run_ms(500);
    assert_eq!(world.peers[1].slot("v").gaps(), [0; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// A peer with keys may send what it likes: any payload under any header, any RTCP.
    #[test]
    fn authenticated_nonsense_never_panics(
        packets in proptest::collection::vec(
            (any::<u16>(), 90u8..100, 0u32..4, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..80)),
            1..60,
        ),
        compounds in proptest::collection::vec(
            (200u8..207, 0u8..32, proptest::collection::vec(any::<u8>(), 0..20)),
            0..20,
        ),
        vp8 in any::<bool>(),
    ) {
        let codec = if vp8 { Codec::Vp8 } else { Codec::H264 };
        let mut world = pair(6, Sender::new(7, codec));
        world.run_ms(60);
        let ssrc = world.peers[0].senders[0].ssrc;
        for (step, payload_type, stream, padded, payload) in packets {
            let mut bytes = Vec::new();
            let fields = HeaderFields {
                marker: false,
                payload_type,
                sequence: step,
                timestamp: u32::from(step) << 16,
                ssrc: ssrc + stream,
                csrcs: &[],
                extensions: &[(MID, b"m7")],
            };
            let header_len = fields.write(&mut bytes);
            bytes[0] |= u8::from(padded) << 5;
            bytes.extend_from_slice(&payload);
            world.peers[0].send_rtp(bytes, header_len, u64::from(step));
            world.run_ms(1);
        }
        for (at, (packet_type, count, mut body)) in compounds.into_iter().enumerate() {
            body.truncate(body.len() / 4 * 4);
            world.peers[at % 2].send_rtcp(|out| {
                out.extend_from_slice(&[0x80 | count, packet_type, 0, (body.len() / 4) as u8]);
                out.extend_from_slice(&body);
            });
            world.run_ms(1);
        }
        world.run_ms(200);
    }
}
