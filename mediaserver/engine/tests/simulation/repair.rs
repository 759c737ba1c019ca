//! Lost packets come again, on both sides.

use _engine::core::Codec;
use _engine::wire::rtcp;

use crate::packets::pair;
use crate::sender::Sender;
use crate::world::{Link, World};

fn lossy(seed: u64, up_loss: f64, down_loss: f64) -> World {
    let mut world = pair(seed, Sender::new(7, Codec::H264));
    world.run_ms(1000);
    world.peers[0].up.loss = up_loss;
    world.peers[1].down.loss = down_loss;
    world
}

/// Lets the last repairs come through.
fn settle(world: &mut World) {
    world.run_ms(300);
    for at in 0..2 {
        world.peers[at].up.loss = 0.0;
        world.peers[at].down.loss = 0.0;
    }
    world.run_ms(1000);
}

fn assert_whole(world: &World) {
    let slot = world.peers[1].slot("v");
    let mut contents: Vec<_> = slot.contents().map(|(_, content)| content).collect();
    let all = contents.len();
    assert_eq!(slot.gaps(), [0; 0], "of {all}");
    assert!(contents.is_sorted_by_key(|content| (content.frame, content.part)));
    contents.dedup();
    assert_eq!(contents.len(), all);
    let frames = contents.last().unwrap().frame - contents[0].frame + 1;
    let keys = contents.iter().filter(|c| c.key && c.part == 0).count();
    assert_eq!(all, frames as usize * 3 + keys * 2, "every packet of every frame");
}

#[test]
fn ten_percent_lost_towards_a_subscriber() {
    let mut world = lossy(1, 0.0, 0.1);
    world.run_ms(20_000);
    settle(&mut world);
    assert_whole(&world);
    let again = world.peers[1].slot("v").packets.values().filter(|packet| packet.again).count();
    assert!(again > 100, "{again}");
    let stats = world.core.transport_stats(2).unwrap();
    assert!(stats.slots[0].retransmitted as usize >= again);
    assert!(stats.rtt_ms.is_some_and(|rtt| (19..25).contains(&rtt)), "{:?}", stats.rtt_ms);
}

#[test]
fn ten_percent_lost_from_a_publisher() {
    let mut world = lossy(2, 0.1, 0.0);
    world.run_ms(20_000);
    settle(&mut world);
    assert_whole(&world);
    let stats = world.core.transport_stats(1).unwrap();
    assert!(stats.producers[0].repaired > 100 && stats.producers[0].lost == 0, "{stats:?}");
    // Hardly more was asked for than was lost.
    assert!(world.peers[0].heard.nacked < 300, "{}", world.peers[0].heard.nacked);
}

#[test]
fn ten_percent_lost_on_all_ways_with_reordering_and_duplication() {
    let mut world = lossy(3, 0.1, 0.1);
    for at in 0..2 {
        world.peers[at].up = Link { delay_ms: 20, jitter_ms: 10, loss: 0.1, duplication: 0.05 };
        world.peers[at].down = world.peers[at].up;
    }
    world.run_ms(20_000);
    settle(&mut world);
    assert_whole(&world);
}

#[test]
fn without_rtx_the_same_packet_comes_again() {
    let mut world = World::new(4);
    let publisher = world.join(Link::with_delay(10), Link::with_delay(10));
    let subscriber = world.join(Link::with_delay(10), Link::with_delay(10));
    world.open_slot_with(subscriber, "v", Codec::H264, |slot| {
        (slot.rtx_payload_type, slot.rtx_ssrc) = (None, None);
    });
    world.publish(publisher, Sender::new(7, Codec::H264));
    world.assign(&[(subscriber, "v", 7)]);
    world.run_ms(500);
    world.peers[subscriber].down.loss = 0.1;
    world.run_ms(10_000);
    settle(&mut world);
    assert_whole(&world);
    let slot = world.peers[subscriber].slot("v");
    assert!(slot.nacks > 20);
    // One SRTP index, one content: no counter of the transport in it.
    assert!(slot.packets.values().all(|packet| packet.extensions.iter().all(|(id, _)| *id != 2)));
}

#[test]
fn a_packet_asked_for_twice_within_a_round_trip_is_sent_once() {
    let mut world = lossy(5, 0.0, 0.0);
    let slot = world.peers[1].slot("v");
    let (ssrc, newest) = (slot.ssrc, *slot.packets.keys().last().unwrap());
    let before = world.core.stats().retransmitted;
    for _ in 0..10 {
        world.peers[1].send_rtcp(|out| rtcp::write_nack(out, 1, ssrc, &[newest as u16]));
    }
    world.run_ms(30);
    assert_eq!(world.core.stats().retransmitted, before + 1);
    world.peers[1].send_rtcp(|out| rtcp::write_nack(out, 1, ssrc, &[newest as u16]));
    world.run_ms(30);
    assert_eq!(world.core.stats().retransmitted, before + 2);
}

#[test]
fn a_peer_that_asks_for_everything_is_bounded() {
    let mut world = lossy(6, 0.0, 0.0);
    world.run_ms(5000);
    let slot = world.peers[1].slot("v");
    let (ssrc, newest) = (slot.ssrc, *slot.packets.keys().last().unwrap());
    let all: Vec<u16> = (0..400).map(|back| (newest - 399 + back) as u16).collect();
    let before = world.core.stats().retransmitted;
    for _ in 0..50 {
        world.peers[1].send_rtcp(|out| rtcp::write_nack(out, 1, ssrc, &all));
        world.run_ms(20);
    }
    let sent = world.core.stats().retransmitted - before;
    assert!((400..700).contains(&sent), "{sent}");
}

#[test]
fn packets_from_before_a_switch_are_sent_again_as_they_were() {
    let mut world = lossy(7, 0.0, 0.0);
    world.publish(0, Sender::new(8, Codec::H264));
    world.run_ms(200);
    world.peers[1].asks = false;
    // Lose the last frames of source 7, then switch.
    world.peers[1].down.loss = 1.0;
    world.run_ms(120);
    world.peers[1].down.loss = 0.0;
    world.assign(&[(1, "v", 8)]);
    world.run_ms(300);
    let missing = world.peers[1].slot("v").gaps();
    assert!(missing.len() >= 6 && world.slot_events(1, "v").last().unwrap().1 == 8);
    world.peers[1].asks = true;
    world.run_ms(200);
    let slot = world.peers[1].slot("v");
    assert_eq!(slot.gaps(), [0; 0]);
    for index in missing {
        let packet = &slot.packets[&index];
        assert_eq!((packet.again, packet.csrc, packet.content.unwrap().source), (true, 7, 7));
    }
    crate::packets::assert_continuous(slot);
}

#[test]
fn a_lost_parameter_set_is_waited_for_when_the_switch_begins_behind_it() {
    // The first packet of the first key frame is lost on its way to the node.
    let mut world = World::new(8);
    let publisher = world.join(Link::with_delay(10), Link::with_delay(10));
    let subscriber = world.join(Link::with_delay(10), Link::with_delay(10));
    world.open_slot(subscriber, "v", Codec::H264);
    world.publish(publisher, Sender::new(7, Codec::H264));
    world.run_ms(500);
    world.assign(&[(subscriber, "v", 7)]);
    let plis = world.peers[publisher].heard.plis.len();
    while world.peers[publisher].heard.plis.len() == plis {
        world.run_ms(1);
    }
    // Just before the key frame leaves: its SPS is dropped by taking it out by hand.
    let sender = world.peers[publisher].sender(7);
    assert!(sender.key_wanted);
    let frame = sender.frame;
    let mut twcc = world.peers[publisher].twcc;
    let now_us = world.now_us + 100_000;
    let packets = world.peers[publisher].sender(7).frame(now_us, &mut twcc);
    world.peers[publisher].twcc = twcc;
    assert_eq!(packets.len(), 5);
    for packet in packets.into_iter().skip(1) {
        world.peers[publisher].send_rtp(packet.bytes, packet.header_len, packet.index);
    }
    world.run_ms(500);
    let slot = world.peers[subscriber].slot("v");
    let (_, first) = slot.contents().next().unwrap();
    assert_eq!((first.frame, first.part, first.key), (frame, 0, true), "the SPS came by repair");
    assert_eq!(slot.gaps(), [0; 0]);
}
