//! What publishers are told.

use _engine::core::Codec;
use _engine::wire::rtcp;
use _engine::wire::rtp::HeaderFields;

use crate::packets::pair;
use crate::sender::{Sender, TWCC};

#[test]
fn transport_feedback_tells_every_arrival_and_loss() {
    let mut world = pair(1, Sender::new(7, Codec::H264));
    // Audio is numbered, too, though its section did not ask for feedback.
    let audio = Sender::new(8, Codec::Opus);
    world.open_producer(0, &audio, |parameters| parameters.twcc = false);
    world.peers[0].senders.push(audio);
    world.peers[0].up.jitter_ms = 15;
    world.peers[0].up.loss = 0.05;
    world.run_ms(10_000);
    let heard = &world.peers[0].heard;
    let (told, arrived) = (heard.arrivals.len(), heard.arrivals.values().flatten().count());
    let sent = world.peers[0].twcc.wrapping_sub(65_500) as usize;
    assert!(told + 10 >= sent && told <= sent, "{told} of {sent}");
    let loss = 1.0 - arrived as f64 / told as f64;
    assert!((0.03..0.07).contains(&loss), "{loss}");
    assert!((95..=205).contains(&heard.feedback), "{} reports in 10 s", heard.feedback);
}

#[test]
fn probes_on_unknown_ssrcs_count_for_feedback() {
    let mut world = pair(2, Sender::new(7, Codec::H264));
    world.run_ms(500);
    for n in 0..30u16 {
        let mut bytes = Vec::new();
        let counter = (1000 + n).to_be_bytes();
        let fields = HeaderFields {
            marker: false,
            payload_type: 97,
            sequence: n,
            timestamp: 0,
            ssrc: 0,
            csrcs: &[],
            extensions: &[(TWCC, &counter)],
        };
        let header_len = fields.write(&mut bytes);
        bytes[0] |= 0x20;
        bytes.extend_from_slice(&[0; 199]);
        bytes.push(200);
        world.peers[0].twcc = 1000 + n;
        world.peers[0].send_rtp(bytes, header_len, u64::from(n));
    }
    world.run_ms(300);
    let arrivals = &world.peers[0].heard.arrivals;
    assert!((1000..1030).all(|n| arrivals.get(&n).is_some_and(Option::is_some)), "{arrivals:?}");
}

#[test]
fn receiver_reports_tell_loss_and_allow_the_round_trip() {
    let mut world = pair(3, Sender::new(7, Codec::H264));
    world.peers[0].up.loss = 0.2;
    world.run_ms(10_000);
    let ssrc = world.peers[0].senders[0].ssrc;
    let blocks: Vec<_> = world.peers[0].heard.blocks.iter().filter(|block| block.ssrc == ssrc).collect();
    assert!((9..=11).contains(&blocks.len()), "{}", blocks.len());
    let mean = blocks.iter().map(|b| f64::from(b.fraction_lost) / 256.0).sum::<f64>() / blocks.len() as f64;
    assert!((0.13..0.27).contains(&mean), "{mean}");
    let last = blocks.last().unwrap();
    assert!(last.lost > 80 && last.last_sr != 0);
    assert!(last.delay_since_last_sr < 2 * 65_536, "{}", last.delay_since_last_sr);
}

#[test]
fn subscribers_reports_are_read() {
    let mut world = pair(4, Sender::new(7, Codec::H264));
    world.run_ms(3000);
    world.peers[1].send_rtcp(|out| {
        let block = rtcp::ReportBlock { ssrc: 0x5000_0000, fraction_lost: 51, ..Default::default() };
        rtcp::write_receiver_report(out, 1, &[block]);
        rtcp::write_transport_feedback(out, 1, 0x5000_0000, 0, 1, &[Some(1000), None, Some(3000)]);
    });
    world.run_ms(50);
    let stats = world.core.transport_stats(2).unwrap();
    assert_eq!(stats.slots[0].fraction_lost, 51);
    assert_eq!((stats.twcc_arrived, stats.twcc_lost), (2, 1));
    assert!(stats.rtt_ms.is_some_and(|rtt| (19..25).contains(&rtt)));
    assert_eq!(world.core.stats().twcc_feedback_received, 1);
}
