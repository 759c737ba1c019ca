//! Key frames are asked for when needed, once for all, not too often, and again until they come.

use _engine::core::{Codec, Command};
use _engine::wire::rtcp;

use crate::packets::pair;
use crate::sender::Sender;
use crate::world::{Link, World};

#[test]
fn a_crowd_that_joins_at_once_costs_one_request() {
    let mut world = pair(1, Sender::new(7, Codec::H264));
    world.run_ms(1000);
    let before = world.peers[0].heard.plis.len();
    let joined: Vec<usize> = (0..30).map(|_| world.join(Link::default(), Link::default())).collect();
    for &at in &joined {
        world.open_slot(at, "v", Codec::H264);
    }
    let changes: Vec<_> = joined.iter().map(|&at| (at, "v", 7)).collect();
    world.assign(&changes);
    world.run_ms(600);
    assert_eq!(world.peers[0].heard.plis.len() - before, 1);
    for at in joined {
        let (first, _) = world.peers[at].slot("v").contents().next().unwrap();
        assert!(world.now_us - first.at_us > 450_000, "within 150 ms");
    }
}

#[test]
fn subscribers_requests_are_merged_and_throttled() {
    let mut world = pair(2, Sender::new(7, Codec::H264));
    world.run_ms(1000);
    let (before, ssrc) = (world.peers[0].heard.plis.len(), world.peers[1].slot("v").ssrc);
    for _ in 0..100 {
        world.peers[1].send_rtcp(|out| rtcp::write_pli(out, 1, ssrc));
        world.peers[1].send_rtcp(|out| rtcp::write_fir(out, 1, ssrc, 3));
        world.run_ms(20);
    }
    let plis = world.peers[0].heard.plis.len() - before;
    assert!((5..=7).contains(&plis), "{plis} in 2 s");
    assert_eq!(world.core.stats().keyframe_requests_received, 200);
}

#[test]
fn asks_again_each_half_second_while_a_slot_waits() {
    let mut world = pair(3, Sender::new(7, Codec::H264));
    world.run_ms(200);
    world.peers[0].down.loss = 1.0; // no request arrives
    let late = world.join(Link::default(), Link::default());
    world.open_slot(late, "v", Codec::H264);
    let before = world.core.stats().keyframe_requests_sent;
    world.assign(&[(late, "v", 7)]);
    world.run_ms(3000);
    let sent = world.core.stats().keyframe_requests_sent - before;
    assert!((5..=7).contains(&sent), "{sent}");
    world.peers[0].down.loss = 0.0;
    world.run_ms(1000);
    assert!(world.peers[late].slot("v").packets.len() > 30);
    let sent = world.core.stats().keyframe_requests_sent;
    world.run_ms(2000);
    assert_eq!(world.core.stats().keyframe_requests_sent, sent, "nobody waits any more");
}

#[test]
fn mends_on_request() {
    let mut world = pair(4, Sender::new(7, Codec::H264));
    world.run_ms(1000);
    let before = world.peers[0].heard.plis.len();
    world.command(Command::RequestKeyframe { source: 7 });
    world.run_ms(100);
    assert_eq!(world.peers[0].heard.plis.len(), before + 1);
}

#[test]
fn fir_where_only_that_was_negotiated() {
    let mut world = World::new(5);
    let publisher = world.join(Link::default(), Link::default());
    let subscriber = world.join(Link::default(), Link::default());
    world.open_slot(subscriber, "v", Codec::H264);
    let sender = Sender::new(7, Codec::H264);
    world.open_producer(publisher, &sender, |parameters| (parameters.pli, parameters.fir) = (false, true));
    world.peers[publisher].senders.push(sender);
    world.run_ms(500);
    world.assign(&[(subscriber, "v", 7)]);
    world.run_ms(500);
    let heard = &world.peers[publisher].heard;
    assert!(heard.plis.is_empty() && !heard.firs.is_empty());
    assert!(world.peers[subscriber].slot("v").packets.len() > 20);
}

#[test]
fn a_still_picture_is_asked_for_and_sent_to_who_comes_late() {
    let mut world = pair(8, Sender::new(7, Codec::H264));
    world.run_ms(1000);
    world.peers[0].sender(7).active = false;
    world.run_ms(5000);
    let late = world.join(Link::default(), Link::default());
    world.open_slot(late, "v", Codec::H264);
    let before = world.peers[0].heard.plis.len();
    world.assign(&[(late, "v", 7)]);
    world.run_ms(100);
    assert!(world.peers[0].heard.plis.len() > before);
}

#[test]
fn the_first_key_frame_of_a_source_needs_no_request() {
    let mut world = pair(9, Sender::new(7, Codec::H264));
    world.run_ms(2000);
    assert_eq!(world.core.stats().keyframe_requests_sent, 0);
}

#[test]
fn nobody_watching_nobody_asks() {
    let mut world = World::new(6);
    let publisher = world.join(Link::default(), Link::default());
    world.publish(publisher, Sender::new(7, Codec::H264));
    world.run_ms(1000);
    world.peers[publisher].up.loss = 0.5;
    world.run_ms(5000);
    assert_eq!(world.core.stats().keyframe_requests_sent, 0);
}

#[test]
fn what_cannot_be_repaired_calls_for_a_key_frame() {
    let mut world = pair(7, Sender::new(7, Codec::H264));
    world.run_ms(1000);
    let before = world.peers[0].heard.plis.len();
    // The publisher has forgotten what it sent: NACKs go unanswered.
    world.peers[0].up.loss = 1.0;
    world.run_ms(40);
    world.peers[0].up.loss = 0.0;
    world.peers[0].sender(7).forget();
    world.run_ms(3000);
    assert!(world.peers[0].heard.plis.len() > before);
}
