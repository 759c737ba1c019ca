//! Sources in slots: assigned, changed, emptied.

use _engine::core::{Codec, Command, Drop, Event};

use crate::packets::assert_continuous;
use crate::sender::Sender;
use crate::world::{Link, World};

fn two_sources(seed: u64, up: Link) -> World {
    let mut world = World::new(seed);
    for source in [11, 12] {
        let publisher = world.join(up, Link::with_delay(20));
        let mut sender = Sender::new(source, Codec::H264);
        sender.interval_us = 30_000 + u64::from(source) * 1000;
        world.publish(publisher, sender);
    }
    let subscriber = world.join(Link::with_delay(5), Link::with_delay(5));
    world.open_slot(subscriber, "v", Codec::H264);
    world
}

#[test]
fn the_old_source_goes_on_until_the_new_ones_key_frame() {
    let mut world = two_sources(1, Link::with_delay(20));
    world.assign(&[(2, "v", 11)]);
    for round in 0..20 {
        world.run_ms(700);
        world.assign(&[(2, "v", 11 + (round + 1) % 2)]);
    }
    world.run_ms(1000);
    let slot = world.peers[2].slot("v");
    assert_continuous(slot);
    let packets: Vec<_> = slot.contents().collect();
    for pair in packets.windows(2) {
        let ((a, ca), (b, cb)) = (pair[0], pair[1]);
        if ca.source != cb.source {
            assert!(cb.key && cb.part == 0, "{cb:?}");
        }
        let gap_us = b.at_us as i64 - a.at_us as i64;
        assert!(gap_us < 120_000, "no pause at the switch: {gap_us}");
        // The timestamps tell the time that really passed.
        let ticks_us = i64::from(b.timestamp.wrapping_sub(a.timestamp) as i32) * 100 / 9;
        assert!((ticks_us - gap_us).abs() < 50_000, "{ticks_us} {gap_us}");
    }
    let told: Vec<u32> = world.slot_events(2, "v").iter().map(|(_, source)| *source).collect();
    let expected: Vec<u32> = (0..21).map(|n| 11 + n % 2).collect();
    assert_eq!(told, expected);
}

#[test]
fn switches_survive_loss_reordering_and_duplication() {
    let up = Link { delay_ms: 20, jitter_ms: 15, loss: 0.05, duplication: 0.05 };
    let mut world = two_sources(2, up);
    world.peers[2].down = up;
    world.assign(&[(2, "v", 11)]);
    for round in 0..20 {
        world.run_ms(1000);
        world.assign(&[(2, "v", 11 + (round + 1) % 2)]);
    }
    world.run_ms(1500);
    for at in 0..2 {
        world.peers[at].senders[0].active = false;
    }
    world.run_ms(2000);
    let slot = world.peers[2].slot("v");
    let mut before: Option<(u32, u32, u8, u32)> = None;
    let mut switches = 0;
    for (packet, content) in slot.contents() {
        if let Some((source, frame, part, timestamp)) = before {
            let ticks = packet.timestamp.wrapping_sub(timestamp) as i32;
            if source == content.source {
                assert!((content.frame, content.part) > (frame, part), "in order by number: {content:?}");
                assert_eq!(ticks > 0, content.frame > frame);
            } else {
                switches += 1;
                // Places kept free for parameter sets may turn out to be the end of the frame before.
                let stray = !content.key && content.part == 2;
                assert!((ticks > 0 && content.key) || stray, "{content:?}");
            }
        }
        before = Some((content.source, content.frame, content.part, packet.timestamp));
    }
    assert_eq!(switches, 20);
    // What was cut off behind a switch may be missing, as nobody needs it.
    let (gaps, all) = (slot.gaps().len(), slot.packets.len());
    assert!(gaps <= 60 && all > 1400, "{gaps} of {all}");
}

#[test]
fn an_emptied_slot_is_silent_and_told_at_once() {
    let mut world = two_sources(3, Link::with_delay(20));
    world.assign(&[(2, "v", 11)]);
    world.run_ms(1000);
    let at_ms = world.now_ms();
    world.assign(&[(2, "v", 0)]);
    assert_eq!(world.slot_events(2, "v").last(), Some(&(at_ms, 0)));
    world.run_ms(50);
    let count = world.peers[2].slot("v").packets.len();
    world.run_ms(1000);
    assert_eq!(world.peers[2].slot("v").packets.len(), count);
    // And filled again it goes on as the same stream.
    world.assign(&[(2, "v", 11)]);
    world.run_ms(1000);
    let slot = world.peers[2].slot("v");
    assert_eq!(slot.gaps(), [0; 0]);
    assert!(slot.packets.len() > count);
    let packets: Vec<_> = slot.contents().collect();
    let pause = packets.windows(2).map(|p| p[1].0.timestamp.wrapping_sub(p[0].0.timestamp)).max().unwrap();
    assert!((90_000..110_000).contains(&pause), "as long as it was: {pause}");
}

#[test]
fn a_source_that_never_comes_ends_the_old_one_after_a_second() {
    let mut world = two_sources(4, Link::with_delay(20));
    world.assign(&[(2, "v", 11)]);
    world.run_ms(1000);
    let at_ms = world.now_ms();
    world.assign(&[(2, "v", 99)]);
    world.run_ms(3000);
    let (told_ms, source) = *world.slot_events(2, "v").last().unwrap();
    assert_eq!(source, 0);
    assert!((at_ms + 1000..at_ms + 1150).contains(&told_ms));
    let last_us = world.peers[2].slot("v").contents().last().unwrap().0.at_us;
    assert!((at_ms + 950..at_ms + 1160).contains(&(last_us / 1000)));
    // It comes after all: assigned before it was opened.
    world.publish(1, Sender::new(99, Codec::H264));
    world.run_ms(300);
    assert_eq!(world.slot_events(2, "v").last().unwrap().1, 99);
}

#[test]
fn assigned_back_before_the_switch_nothing_happens() {
    let mut world = two_sources(5, Link::with_delay(100));
    world.assign(&[(2, "v", 11)]);
    world.run_ms(1000);
    world.assign(&[(2, "v", 12)]);
    world.run_ms(50);
    world.assign(&[(2, "v", 11)]);
    world.run_ms(2000);
    assert!(world.peers[2].slot("v").contents().all(|(_, content)| content.source == 11));
    assert_continuous(world.peers[2].slot("v"));
    assert_eq!(world.slot_events(2, "v").len(), 1);
}

#[test]
fn closed_producers_and_transports_leave_empty_slots_and_no_trace() {
    let mut world = two_sources(6, Link::with_delay(20));
    world.open_slot(2, "w", Codec::H264);
    world.assign(&[(2, "v", 11), (2, "w", 12)]);
    world.run_ms(1000);
    world.command(Command::CloseProducer { source: 11 });
    assert_eq!(world.slot_events(2, "v").last().unwrap().1, 0);
    world.command(Command::CloseTransport { transport: 2 });
    assert_eq!(world.slot_events(2, "w").last().unwrap().1, 0);
    assert!(world.core.transport_stats(2).is_none());
    let silent: Vec<u32> = world
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Source { source, live: false } => Some(*source),
            _ => None,
        })
        .collect();
    assert_eq!(silent, [11, 12]);
    // Places are used again; NACKs for what the old ones sent find nothing, and nothing panics.
    let late = world.join(Link::default(), Link::default());
    world.publish(late, Sender::new(13, Codec::H264));
    world.assign(&[(2, "v", 13)]);
    world.run_ms(500);
    let newest = *world.peers[2].slot("v").packets.keys().last().unwrap();
    let ssrc = world.peers[2].slot("v").ssrc;
    let all: Vec<u16> = (0..100).map(|back| (newest - 99 + back) as u16).collect();
    world.peers[2].send_rtcp(|out| _engine::wire::rtcp::write_nack(out, 1, ssrc, &all));
    world.run_ms(100);
    let again = world.peers[2].slots[0].packets.values().filter(|packet| packet.again).count();
    assert_eq!(again, 0, "the peer had all of them");
    world.command(Command::CloseTransport { transport: 3 });
    world.run_ms(100);
    assert_eq!(world.core.stats().dropped(Drop::Command), 0);
}

#[test]
fn one_source_feeds_many_slots_and_late_joiners_begin_with_a_key_frame() {
    let mut world = two_sources(7, Link::with_delay(20));
    world.assign(&[(2, "v", 11)]);
    for _ in 0..10 {
        let at = world.join(Link::with_delay(30), Link::with_delay(30));
        world.open_slot(at, "v", Codec::H264);
        world.assign(&[(at, "v", 11)]);
        world.run_ms(350);
    }
    world.run_ms(1000);
    for at in 2..13 {
        let slot = world.peers[at].slot("v");
        assert_continuous(slot);
        assert!(slot.contents().next().unwrap().1.key);
        assert!(world.now_us - slot.contents().last().unwrap().0.at_us < 100_000);
    }
}

#[test]
fn a_slot_of_another_codec_stays_empty() {
    let mut world = two_sources(8, Link::with_delay(20));
    world.open_slot(2, "p", Codec::Vp8);
    world.assign(&[(2, "p", 11)]);
    world.run_ms(1000);
    assert_eq!(world.peers[2].slot("p").packets.len(), 0);
}

#[test]
fn live_is_told_when_media_begins_ends_and_returns() {
    let mut world = two_sources(9, Link::with_delay(20));
    let told = |world: &World| -> Vec<(u32, bool)> {
        let news = world.events.iter().filter_map(|(_, event)| match event {
            Event::Source { source, live } => Some((*source, *live)),
            _ => None,
        });
        news.filter(|(source, _)| *source == 11).collect()
    };
    world.run_ms(500);
    assert_eq!(told(&world), [(11, true)]);
    world.peers[0].sender(11).active = false;
    world.run_ms(1900);
    assert_eq!(told(&world), [(11, true)]);
    world.run_ms(400);
    assert_eq!(told(&world), [(11, true), (11, false)]);
    world.peers[0].sender(11).active = true;
    world.run_ms(100);
    assert_eq!(told(&world), [(11, true), (11, false), (11, true)]);
}
