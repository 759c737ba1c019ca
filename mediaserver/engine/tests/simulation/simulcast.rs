//! Several layers of one source: the first that can be seen, then the largest that is sent.

use _engine::core::Codec;
use _engine::wire::rtp::HeaderFields;

use crate::packets::assert_continuous;
use crate::sender::{Sender, MID, RID};
use crate::world::{Link, World};

pub const RIDS: [&str; 3] = ["q", "h", "f"];

/// A publisher with three layers of source 7, and a subscriber. Layer n has n + 1 packets a frame.
pub fn simulcast(seed: u64, order: [&str; 3]) -> World {
    let mut world = World::new(seed);
    let publisher = world.join(Link::with_delay(10), Link::with_delay(10));
    let subscriber = world.join(Link::with_delay(10), Link::with_delay(10));
    world.open_slot(subscriber, "v", Codec::H264);
    for (n, rid) in order.into_iter().enumerate() {
        let mut layer = Sender::new(7, Codec::H264);
        layer.rid = rid.into();
        (layer.ssrc, layer.rtx_ssrc) = (0x2000 + n as u32, 0x3000 + n as u32);
        layer.timestamp_base = 0x1111_0000 * (n as u32 + 1);
        layer.parts = 2 * n as u8 + 1;
        if n == 0 {
            world.open_producer(publisher, &layer, |parameters| {
                parameters.rids = order.map(String::from).to_vec()
            });
        }
        world.peers[publisher].senders.push(layer);
    }
    world
}

/// How many packets the frames of the last second had.
fn parts(world: &World) -> Vec<u8> {
    let since_us = world.now_us - 1_000_000;
    let recent = world.peers[1].slot("v").contents().filter(|(packet, c)| packet.at_us > since_us && !c.key);
    let mut parts: Vec<u8> =
        recent.filter(|(packet, _)| packet.marker).map(|(_, content)| content.part + 1).collect();
    parts.dedup();
    parts
}

#[test]
fn settles_on_the_largest_layer() {
    let mut world = simulcast(1, RIDS);
    world.assign(&[(1, "v", 7)]);
    world.run_ms(3000);
    assert_eq!(parts(&world), [5]);
    assert_eq!(world.peers[1].slot("v").gaps(), [0; 0]);
    assert_eq!(world.slot_events(1, "v").len(), 1, "one source, one event");
}

#[test]
fn does_not_wait_for_a_top_layer_that_is_silent_and_takes_it_when_it_comes() {
    let mut world = simulcast(2, RIDS);
    world.peers[0].senders[2].active = false;
    world.run_ms(500);
    world.assign(&[(1, "v", 7)]);
    world.run_ms(400);
    let first = world.peers[1].slot("v").contents().next().unwrap().0.at_us;
    assert!(world.now_us - first > 300_000, "soon");
    world.run_ms(1600);
    assert_eq!(parts(&world), [3]);
    world.peers[0].senders[2].active = true;
    world.run_ms(2500);
    assert_eq!(parts(&world), [5]);
    assert_eq!(world.peers[1].slot("v").gaps(), [0; 0]);
}

#[test]
fn falls_back_when_its_layer_falls_silent() {
    let mut world = simulcast(3, RIDS);
    world.assign(&[(1, "v", 7)]);
    world.run_ms(3000);
    world.peers[0].senders[2].active = false;
    world.run_ms(3000);
    assert_eq!(parts(&world), [3]);
    let slot = world.peers[1].slot("v");
    assert_eq!(slot.gaps(), [0; 0]);
    let arrivals: Vec<u64> = slot.packets.values().map(|packet| packet.at_us).collect();
    let pause_us = arrivals.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!((500_000..800_000).contains(&pause_us), "{pause_us}");
}

#[test]
fn time_is_continuous_across_layers_with_other_timestamp_bases() {
    let mut world = simulcast(4, RIDS);
    world.assign(&[(1, "v", 7)]);
    for _ in 0..3 {
        world.run_ms(2000);
        world.peers[0].senders[2].active ^= true;
    }
    world.run_ms(2000);
    let slot = world.peers[1].slot("v");
    let packets: Vec<_> = slot.contents().collect();
    for pair in packets.windows(2) {
        let ticks_us = i64::from(pair[1].0.timestamp.wrapping_sub(pair[0].0.timestamp) as i32) * 100 / 9;
        let gap_us = pair[1].0.at_us as i64 - pair[0].0.at_us as i64;
        assert!(ticks_us >= 0 && (ticks_us - gap_us).abs() < 60_000, "{ticks_us} {gap_us}");
    }
}

#[test]
fn repairs_by_repaired_rid() {
    let mut world = simulcast(5, RIDS);
    world.assign(&[(1, "v", 7)]);
    world.run_ms(1000);
    world.peers[0].up.loss = 0.1;
    world.run_ms(5000);
    world.peers[0].up.loss = 0.0;
    world.run_ms(1500);
    assert_eq!(world.peers[1].slot("v").gaps(), [0; 0]);
    let stats = world.core.transport_stats(1).unwrap();
    assert!(stats.producers.iter().all(|layer| layer.repaired > 5 && layer.lost == 0), "{stats:?}");
}

#[test]
fn one_layer_of_a_plain_producer_needs_no_rid() {
    let mut world = World::new(6);
    let publisher = world.join(Link::default(), Link::default());
    let subscriber = world.join(Link::default(), Link::default());
    world.open_slot(subscriber, "v", Codec::H264);
    let mut sender = Sender::new(7, Codec::H264);
    sender.mid = "unknown".into(); // told by the declared SSRC
    let ssrc = sender.ssrc;
    world.open_producer(publisher, &sender, |p| (p.mid, p.ssrcs) = ("m7".into(), vec![ssrc]));
    world.peers[publisher].senders.push(sender);
    world.assign(&[(subscriber, "v", 7)]);
    world.run_ms(1000);
    assert_continuous(world.peers[subscriber].slot("v"));
    assert!(world.peers[subscriber].slot("v").packets.len() > 50);
}

/// Two layers claim a larger picture than the other, in turn, within frames of a thousand packets:
/// with each claim the whole frame would go to everybody again.
#[test]
fn layers_that_outbid_each_other_are_not_sent_again_and_again() {
    let mut world = simulcast(7, RIDS);
    world.peers[0].senders.iter_mut().for_each(|sender| sender.active = false);
    world.assign(&[(1, "v", 7)]);
    let sps = |width: u64| {
        // Baseline: ids and counts of zero, width and height (in macroblocks) of 15 bits each.
        let bits = (0b11_1110 << 31 | width << 16 | 128 << 1 | 1) << 27;
        [&[0x67, 0x42, 0xc0, 0x1e][..], &u64::to_be_bytes(bits)].concat()
    };
    let (mut index, before) = ([1000u64; 2], world.core.stats().rtp_sent);
    for n in 0..400u64 {
        // Two long frames, then single packets of both.
        let (layer, width) = if n < 300 { (n / 150, 128) } else { (n % 2, 129 + n - 300) };
        let layer = layer as usize;
        let mut bytes = Vec::new();
        let fields = HeaderFields {
            marker: false,
            payload_type: 96,
            sequence: index[layer] as u16,
            timestamp: 5,
            ssrc: 0x2000 + layer as u32,
            csrcs: &[],
            extensions: &[(MID, b"m7"), (RID, RIDS[layer].as_bytes())],
        };
        let header_len = fields.write(&mut bytes);
        bytes.extend_from_slice(&sps(width));
        world.peers[0].send_rtp(bytes, header_len, index[layer]);
        index[layer] += 1;
        world.run_ms(1);
    }
    world.run_ms(50);
    let sent = world.core.stats().rtp_sent - before;
    assert!(sent <= 800, "{sent} packets for 400");
}
