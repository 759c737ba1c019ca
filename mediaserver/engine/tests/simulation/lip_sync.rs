//! Picture and sound of one publisher stay together, whoever is in the slots.

use _engine::core::Codec;

use crate::peer::{Received, Slot};
use crate::sender::Sender;
use crate::world::{Link, World};

/// Publishers (camera 10 n, microphone 10 n + 1) with clocks that differ in everything, and a
/// subscriber with slots "v" and "a".
fn stage(seed: u64, publishers: u32) -> World {
    let mut world = World::new(seed);
    for n in 1..=publishers {
        let up = Link { delay_ms: u64::from(n) * 20, jitter_ms: 8, ..Link::default() };
        let at = world.join(up, Link::with_delay(10));
        world.peers[at].clock_offset_s = 77 + u64::from(n) * 1_000_000_007 % 4_000_000_000;
        world.peers[at].clock_drift_ppm = f64::from(n) * 20.0 - 30.0;
        for (codec, source, drift) in [(Codec::H264, 10 * n, 80.0), (Codec::Opus, 10 * n + 1, -90.0)] {
            let mut sender = Sender::new(source, codec);
            sender.drift_ppm = drift;
            sender.timestamp_base = 0xffff_0000u32.wrapping_add(source.wrapping_mul(0x3333_1111));
            world.publish(at, sender);
        }
    }
    let subscriber = world.join(Link::with_delay(10), Link::with_delay(10));
    world.open_slot(subscriber, "v", Codec::H264);
    world.open_slot(subscriber, "a", Codec::Opus);
    world
}

/// NTP seconds at which a receiver that knows a report would play a packet.
fn play_s(packet: &Received, report: (u64, u32), clock_rate: f64) -> f64 {
    let ticks = packet.timestamp.wrapping_sub(report.1) as i32;
    // Seconds of the node's day, so that a double holds microseconds.
    let ntp = report.0.wrapping_sub(crate::world::NODE_NTP) as f64 / 4_294_967_296.0;
    ntp + f64::from(ticks) / clock_rate
}

/// For each packet that came after the first report since `since_us`: play time minus capture
/// time, in milliseconds, by the newest report before it.
fn offsets_ms(slot: &Slot, source: u32, since_us: u64, clock_rate: f64) -> Vec<f64> {
    slot.contents()
        .filter(|(packet, content)| content.source == source && packet.at_us > since_us)
        .filter_map(|(packet, content)| {
            let mut reports = slot.reports.iter().filter(|(us, _)| (since_us..packet.at_us).contains(us));
            let (_, info) = reports.next_back()?;
            let play = play_s(packet, (info.ntp, info.rtp_timestamp), clock_rate);
            Some(play * 1e3 - content.captured_us as f64 / 1e3)
        })
        .collect()
}

fn extremes(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)))
}

#[test]
fn within_ten_milliseconds_after_each_of_ten_switches() {
    let mut world = stage(1, 3);
    world.run_ms(1500);
    for round in 0..=10u32 {
        let n = round % 3 + 1;
        world.assign(&[(3, "v", 10 * n), (3, "a", 10 * n + 1)]);
        world.run_ms(2500);
        // 400 ms: the longest that a key frame took.
        let since_us = world.now_us - 2_100_000;
        let video = offsets_ms(world.peers[3].slot("v"), 10 * n, since_us, 90_000.0);
        let audio = offsets_ms(world.peers[3].slot("a"), 10 * n + 1, since_us, 48_000.0);
        assert!(video.len() > 25 && audio.len() > 50, "round {round}: {} {}", video.len(), audio.len());
        let ((v0, v1), (a0, a1)) = (extremes(&video), extremes(&audio));
        let error = (v1 - a0).abs().max((a1 - v0).abs());
        assert!(error < 10.0, "round {round}: video {v0}..{v1}, audio {a0}..{a1}");
    }
}

#[test]
fn a_report_follows_each_switch_at_once() {
    let mut world = stage(2, 2);
    world.run_ms(2500);
    for round in 0..4u32 {
        let source = 10 * (round % 2 + 1);
        world.assign(&[(2, "v", source)]);
        world.run_ms(1500);
        let slot = world.peers[2].slot("v");
        let first = slot.contents().rev_find(source);
        let report = slot.reports.iter().find(|(us, _)| *us >= first).unwrap();
        assert!(report.0 - first < 25_000, "{} us", report.0 - first);
    }
}

trait LastRun {
    /// When the last run of packets of a source began.
    fn rev_find(self, source: u32) -> u64;
}

impl<'a, I: Iterator<Item = (&'a Received, crate::sender::Content)>> LastRun for I {
    fn rev_find(self, source: u32) -> u64 {
        let (mut began, mut inside) = (0, false);
        for (packet, content) in self {
            if content.source == source && !inside {
                began = packet.at_us;
            }
            inside = content.source == source;
        }
        began
    }
}

#[test]
fn a_receiver_that_still_has_the_report_before_the_switch_is_not_misled() {
    let mut world = stage(3, 3);
    world.run_ms(3000);
    for round in 0..6u32 {
        let n = round % 3 + 1;
        let report = world.peers[3].slot("v").reports.last().map(|(_, info)| (info.ntp, info.rtp_timestamp));
        let since_us = world.now_us;
        world.assign(&[(3, "v", 10 * n)]);
        world.run_ms(2000);
        let Some(report) = report else { continue };
        let slot = world.peers[3].slot("v");
        let errors: Vec<f64> = slot
            .contents()
            .filter(|(packet, content)| packet.at_us > since_us && content.source == 10 * n)
            .map(|(packet, content)| {
                play_s(packet, report, 90_000.0) * 1e3 - content.captured_us as f64 / 1e3
            })
            .collect();
        let (low, high) = extremes(&errors);
        // The one-way delay of the publisher's reports: 20 n plus jitter, and no more.
        let delay = f64::from(n) * 20.0;
        assert!(low > delay - 3.0 && high < delay + 12.0, "round {round}: {low}..{high}");
    }
}

#[test]
fn before_the_sources_first_report_there_is_none() {
    let mut world = stage(4, 1);
    world.assign(&[(1, "v", 10)]);
    world.run_ms(200);
    let slot = world.peers[1].slot("v");
    assert!(slot.packets.len() > 5 && slot.reports.is_empty());
    world.run_ms(1500);
    assert!(!world.peers[1].slot("v").reports.is_empty());
}

#[test]
fn reports_count_packets_and_bytes() {
    let mut world = stage(5, 1);
    world.assign(&[(1, "v", 10)]);
    world.run_ms(5000);
    let slot = world.peers[1].slot("v");
    let (at_us, info) = *slot.reports.last().unwrap();
    let sent = slot.packets.values().filter(|packet| packet.at_us <= at_us + 5000).count() as i64;
    assert!((i64::from(info.packets) - sent).abs() <= 10, "{} {sent}", info.packets);
    assert!(info.octets as usize <= slot.bytes() && info.octets > info.packets * 18);
}
