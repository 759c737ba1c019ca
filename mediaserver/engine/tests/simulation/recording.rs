//! What a recorder is handed: everything that came, as it came.

use std::sync::{Arc, Mutex};

use _engine::core::{Codec, Command, ProducerParameters, Protocol, Tap, NTP_TO_UNIX};
use _engine::wire::rtcp::{Compound, Packet};
use _engine::wire::rtp::RtpHeader;

use crate::packets::pair;
use crate::sender::{Content, Sender};
use crate::simulcast::{simulcast, RIDS};
use crate::world::{World, NODE_NTP};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Begin(u32, String, String),
    Packet(u32, u64, Protocol, Vec<u8>),
    End(u32),
}

#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Told>>>);

impl Tap for Recorder {
    fn begin(&mut self, file: &str, label: &str, parameters: &ProducerParameters) {
        self.0.lock().unwrap().push(Told::Begin(parameters.source, file.into(), label.into()));
    }

    fn packet(&mut self, source: u32, at_ns: u64, protocol: Protocol, parts: &[&[u8]]) {
        self.0.lock().unwrap().push(Told::Packet(source, at_ns, protocol, parts.concat()));
    }

    fn end(&mut self, source: u32) {
        self.0.lock().unwrap().push(Told::End(source));
    }

    fn tick(&mut self) {}
}

impl Recorder {
    fn told(&self) -> Vec<Told> {
        self.0.lock().unwrap().clone()
    }

    fn packets(&self, wanted: Protocol) -> Vec<(u64, Vec<u8>)> {
        let packets = self.told().into_iter().filter_map(|told| match told {
            Told::Packet(7, at_ns, protocol, bytes) if protocol == wanted => Some((at_ns, bytes)),
            _ => None,
        });
        packets.collect()
    }
}

fn record(world: &mut World) -> Recorder {
    let recorder = Recorder::default();
    world.core.set_tap(Box::new(recorder.clone()));
    world.command(Command::Record { source: 7, file: "a/b".into(), label: "use=camera".into() });
    recorder
}

#[test]
fn every_packet_comes_once_and_what_was_sent_again_as_it_was() {
    let mut world = pair(1, Sender::new(7, Codec::H264));
    let recorder = record(&mut world);
    world.peers[0].up.loss = 0.1;
    world.peers[0].up.duplication = 0.05;
    world.run_ms(10_000);
    world.peers[0].up.loss = 0.0;
    world.run_ms(1000);
    let sender = Sender::new(7, Codec::H264);
    let mut numbers = Vec::new();
    for (at_ns, bytes) in recorder.packets(Protocol::Rtp) {
        let header = RtpHeader::parse(&bytes).unwrap();
        assert_eq!((header.ssrc, header.payload_type), (sender.ssrc, sender.payload_type));
        let payload = &bytes[header.payload(&bytes).unwrap()];
        assert_eq!(Content::read(payload).unwrap().source, 7);
        let since_ns = at_ns - ((NODE_NTP >> 32) - NTP_TO_UNIX) * 1_000_000_000;
        assert!(since_ns / 1000 <= world.now_us);
        numbers.push(header.sequence);
    }
    numbers.sort_unstable();
    let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
    assert_eq!(numbers, (first..=last).collect::<Vec<_>>(), "all of them, each once");
    assert!(numbers.len() > 700, "{}", numbers.len());
    assert!(world.core.transport_stats(1).unwrap().producers[0].repaired > 50);
}

#[test]
fn sender_reports_come_alone_and_as_they_were() {
    let mut world = pair(2, Sender::new(7, Codec::H264));
    let recorder = record(&mut world);
    world.run_ms(5000);
    let reports = recorder.packets(Protocol::Rtcp);
    assert!(reports.len() >= 3, "{}", reports.len());
    for (_, bytes) in reports {
        let packets: Vec<_> = Compound::new(&bytes).collect();
        let [Ok(Packet::SenderReport { info, .. })] = packets[..] else { panic!("{packets:?}") };
        assert_eq!(info.ssrc, Sender::new(7, Codec::H264).ssrc);
    }
}

#[test]
fn all_layers_are_kept_from_a_picture_on_though_nobody_watches() {
    let mut world = simulcast(3, RIDS);
    world.run_ms(1000);
    let before = world.peers[0].senders.iter().map(|sender| sender.key_frames.len()).max();
    let recorder = record(&mut world);
    world.run_ms(2000);
    let mut ssrcs: Vec<u32> = recorder
        .packets(Protocol::Rtp)
        .iter()
        .map(|(_, bytes)| RtpHeader::parse(bytes).unwrap().ssrc)
        .collect();
    ssrcs.sort_unstable();
    ssrcs.dedup();
    assert_eq!(ssrcs.len(), 3);
    assert!(world.peers[0].senders.iter().map(|sender| sender.key_frames.len()).max() > before);
}

#[test]
fn it_begins_and_ends_as_told_or_with_the_producer() {
    let mut world = pair(4, Sender::new(7, Codec::Opus));
    let recorder = record(&mut world);
    world.run_ms(200);
    world.command(Command::StopRecording { source: 7 });
    world.command(Command::StopRecording { source: 7 });
    let told = recorder.told();
    assert_eq!(told[0], Told::Begin(7, "a/b".into(), "use=camera".into()));
    assert!(told.len() > 5);
    assert_eq!(told.iter().filter(|told| **told == Told::End(7)).count(), 1);
    world.run_ms(200);
    assert_eq!(recorder.told().len(), told.len(), "nothing more");
    world.command(Command::Record { source: 7, file: "a/c".into(), label: String::new() });
    world.run_ms(200);
    world.command(Command::CloseProducer { source: 7 });
    assert_eq!(recorder.told().last(), Some(&Told::End(7)));
}
