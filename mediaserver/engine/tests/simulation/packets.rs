//! What a slot's packets look like.

use _engine::core::{Codec, Drop, Event, Extension, ExtensionIds};
use _engine::wire::rtp::HeaderFields;

use crate::peer::Slot;
use crate::sender::{Sender, ORIENTATION, TWCC};
use crate::world::{Link, World};

/// Checks that a slot is one stream: nothing missing, nothing twice, time going forward with
/// frames, and the CSRC naming the source.
pub fn assert_continuous(slot: &Slot) {
    assert_eq!(slot.gaps(), [0; 0], "{} packets", slot.packets.len());
    assert_eq!(slot.repeated, 0);
    let packets: Vec<_> = slot.contents().collect();
    for pair in packets.windows(2) {
        let ((a, ca), (b, cb)) = (pair[0], pair[1]);
        let ticks = b.timestamp.wrapping_sub(a.timestamp) as i32;
        if (ca.source, ca.frame) == (cb.source, cb.frame) {
            assert_eq!((ticks, cb.part), (0, ca.part + 1), "{ca:?} {cb:?}");
        } else {
            assert!(ticks > 0, "{ticks} {ca:?} {cb:?}");
            assert!(ca.source != cb.source || cb.frame == ca.frame + 1, "{ca:?} {cb:?}");
        }
    }
    for (packet, content) in packets {
        assert_eq!(packet.csrc, content.source);
    }
}

/// A publisher with one source, and a subscriber whose slot "v" shows it.
pub fn pair(seed: u64, sender: Sender) -> World {
    let mut world = World::new(seed);
    let publisher = world.join(Link::with_delay(10), Link::with_delay(10));
    let subscriber = world.join(Link::with_delay(10), Link::with_delay(10));
    let (codec, source) = (sender.codec, sender.source);
    world.open_slot(subscriber, "v", codec);
    world.publish(publisher, sender);
    world.assign(&[(subscriber, "v", source)]);
    world
}

#[test]
fn everything_arrives_in_order_from_a_key_frame_on() {
    let mut world = pair(1, Sender::new(7, Codec::H264));
    world.run_ms(3000);
    let slot = world.peers[1].slot("v");
    assert_continuous(slot);
    let (_, first) = slot.contents().next().unwrap();
    assert!(first.key && first.part == 0);
    let frames = slot.contents().filter(|(_, content)| content.part == 0).count();
    assert!(frames >= 72, "{frames}");
    let markers = slot.packets.values().filter(|packet| packet.marker).count();
    assert_eq!(markers, frames);
    assert_eq!(world.slot_events(1, "v").iter().map(|e| e.1).collect::<Vec<_>>(), [7]);
}

#[test]
fn sequence_numbers_and_timestamps_wrap_in_and_out() {
    let mut sender = Sender::new(7, Codec::H264);
    sender.index = 65_500;
    sender.timestamp_base = u32::MAX - 90_000;
    sender.parts = 60;
    let mut world = pair(2, sender);
    // 1500 packets a second: the slot's numbers wrap, too.
    world.run_ms(50_000);
    let slot = world.peers[1].slot("v");
    assert_continuous(slot);
    assert!(*slot.packets.keys().last().unwrap() > 65_536);
    assert!(world.core.transport_stats(1).unwrap().producers[0].lost == 0);
}

#[test]
fn header_extensions_get_the_ids_and_values_of_the_slot() {
    let mut world = World::new(3);
    let publisher = world.join(Link::default(), Link::default());
    let subscriber = world.join(Link::default(), Link::default());
    world.open_slot(subscriber, "v", Codec::H264);
    world.open_slot_with(subscriber, "w", Codec::H264, |slot| {
        slot.extensions =
            ExtensionIds::default().with(Extension::AbsSendTime, 12).with(Extension::AudioLevel, 13);
    });
    world.open_slot_with(subscriber, "x", Codec::H264, |slot| slot.extensions = ExtensionIds::default());
    world.publish(publisher, Sender::new(7, Codec::H264));
    world.assign(&[(subscriber, "v", 7), (subscriber, "w", 7), (subscriber, "x", 7)]);
    world.run_ms(1000);
    for packet in world.peers[subscriber].slot("v").packets.values() {
        let ids: Vec<u8> = packet.extensions.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, if packet.marker { &[1, 2, 4][..] } else { &[1, 2] });
        assert_eq!(packet.extensions[0].1, b"v");
    }
    let times: Vec<u32> = world.peers[subscriber]
        .slot("w")
        .packets
        .values()
        .map(|packet| match &packet.extensions[..] {
            [(12, time)] => u32::from_be_bytes([0, time[0], time[1], time[2]]),
            other => panic!("{other:?}"),
        })
        .collect();
    let elapsed = (times[times.len() - 1] - times[0]) as f64 / f64::from(1 << 18);
    assert!((0.8..1.0).contains(&elapsed), "{elapsed} s");
    assert!(world.peers[subscriber].slot("x").packets.values().all(|packet| packet.extensions.is_empty()));
    // The transport-wide numbers of all slots are one sequence.
    let twcc = &world.peers[subscriber].twcc_received;
    assert_eq!(twcc.len() as u16, twcc.last().unwrap() - twcc.first().unwrap() + 1);
    const { assert!(TWCC != 2 && ORIENTATION != 4, "ids differ between the sides") };
}

#[test]
fn padding_between_frames_leaves_no_gaps() {
    let mut sender = Sender::new(7, Codec::H264);
    sender.padding = 2;
    let mut world = pair(4, sender);
    world.peers[0].up.jitter_ms = 6;
    world.run_ms(5000);
    let slot = world.peers[1].slot("v");
    assert_eq!(slot.gaps(), [0; 0]);
    let empty = slot.packets.values().filter(|packet| packet.payload.is_empty()).count();
    assert!((1..125).contains(&empty), "only what came late is forwarded: {empty} of 250");
    let padding = world.core.stats().padding_received as usize + empty;
    assert!((240..=260).contains(&padding), "{padding}");
}

#[test]
fn vp8_picture_ids_go_on_when_the_source_changes() {
    let mut world = pair(5, Sender::new(7, Codec::Vp8));
    world.peers[0].sender(7).picture_id = 0x7ff0;
    let mut other = Sender::new(8, Codec::Vp8);
    other.picture_id = 5;
    world.publish(0, other);
    for round in 0..6 {
        world.run_ms(1000);
        world.assign(&[(1, "v", 7 + (round + 1) % 2)]);
    }
    world.run_ms(1000);
    let slot = world.peers[1].slot("v");
    assert_continuous(slot);
    let mut before: Option<(u32, u32, u16, u8)> = None;
    for (packet, content) in slot.contents() {
        let p = &packet.payload;
        let (id, tl0) = (u16::from_be_bytes([p[2] & 0x7f, p[3]]), p[4]);
        if let Some((source, frame, before_id, before_tl0)) = before {
            let step = u16::from((source, frame) != (content.source, content.frame));
            assert_eq!(id, (before_id + step) % 0x8000, "{content:?}");
            assert_eq!(tl0, before_tl0.wrapping_add(step as u8));
        }
        before = Some((content.source, content.frame, id, tl0));
    }
    assert!(world.slot_events(1, "v").len() >= 6);
}

#[test]
fn sound_begins_with_a_marker_and_needs_no_key_frame() {
    let mut world = pair(6, Sender::new(7, Codec::Opus));
    world.publish(0, Sender::new(8, Codec::Opus));
    world.run_ms(1000);
    world.assign(&[(1, "v", 8)]);
    world.run_ms(1000);
    let slot = world.peers[1].slot("v");
    assert_continuous(slot);
    let marked: Vec<u32> =
        slot.contents().filter(|(p, _)| p.marker && p.csrc == 8).map(|(_, c)| c.frame).collect();
    let first = slot.contents().find(|(p, _)| p.csrc == 8).unwrap().1.frame;
    assert!(marked.contains(&first));
    let levels = slot.packets.values().filter(|p| p.extensions.contains(&(3, vec![0x80 | 127]))).count();
    assert_eq!(levels, slot.packets.len());
}

#[test]
fn unknown_streams_and_payload_types_are_counted_and_close_no_slot() {
    let mut world = pair(7, Sender::new(7, Codec::H264));
    world.run_ms(500);
    for n in 0..20u16 {
        let probe = |ssrc, payload_type| HeaderFields {
            marker: false,
            payload_type,
            sequence: n,
            timestamp: 0,
            ssrc,
            csrcs: &[],
            extensions: &[],
        };
        let mut bytes = Vec::new();
        let header_len = probe(0x1234, 50).write(&mut bytes);
        bytes.extend_from_slice(b"media");
        world.peers[0].send_rtp(bytes, header_len, u64::from(n));
        // The producer's own stream with another payload type keeps its numbers together.
        let sender = world.peers[0].sender(7);
        let (ssrc, index) = (sender.ssrc, sender.index);
        sender.index += 1;
        let mut bytes = Vec::new();
        let header_len = HeaderFields { sequence: index as u16, ..probe(ssrc, 50) }.write(&mut bytes);
        bytes.extend_from_slice(b"comfort noise");
        world.peers[0].send_rtp(bytes, header_len, index);
        world.run_ms(20);
    }
    assert_eq!(world.core.stats().dropped(Drop::UnknownStream), 20);
    assert_eq!(world.core.stats().dropped(Drop::UnknownPayloadType), 20);
    assert_continuous(world.peers[1].slot("v"));
}

#[test]
fn a_new_ssrc_on_the_same_section_is_the_same_source() {
    let mut world = pair(8, Sender::new(7, Codec::H264));
    world.run_ms(1000);
    let sender = world.peers[0].sender(7);
    (sender.ssrc, sender.rtx_ssrc) = (0xabcd, 0xabce);
    sender.index = 40_000;
    sender.timestamp_base = 99;
    world.run_ms(2000);
    let slot = world.peers[1].slot("v");
    assert_eq!(slot.gaps(), [0; 0]);
    let last = slot.contents().last().unwrap().0.at_us;
    assert!(world.now_us - last < 100_000, "it goes on");
    let news: Vec<bool> = world
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Source { live, .. } => Some(*live),
            _ => None,
        })
        .collect();
    assert_eq!(news, [true]);
}

#[test]
fn a_jump_of_sequence_numbers_or_timestamps_is_not_passed_on() {
    let mut world = pair(9, Sender::new(7, Codec::H264));
    world.run_ms(1000);
    world.peers[0].sender(7).index += 20_000;
    world.run_ms(2000);
    world.peers[0].sender(7).timestamp_base = 0x8888_0000;
    world.run_ms(1000);
    let slot = world.peers[1].slot("v");
    assert_eq!(slot.gaps(), [0; 0]);
    let packets: Vec<_> = slot.contents().collect();
    for pair in packets.windows(2) {
        let ticks = pair[1].0.timestamp.wrapping_sub(pair[0].0.timestamp);
        assert!(ticks < 90_000, "{ticks}");
    }
    assert!(world.now_us - packets.last().unwrap().0.at_us < 100_000);
}
