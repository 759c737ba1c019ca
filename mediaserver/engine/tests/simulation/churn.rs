//! Everything opens, changes and closes at any time, in any order.

use _engine::core::{Codec, Command, Drop};

use crate::packets::pair;
use crate::sender::Sender;
use crate::world::{credentials, Link, Random, World};

const SLOTS: [(&str, Codec); 3] = [("v", Codec::H264), ("w", Codec::H264), ("a", Codec::Opus)];

struct Lesson {
    world: World,
    /// Places of peers that are there, and sources that are published.
    present: Vec<usize>,
    sources: Vec<u32>,
    random: Random,
    /// Slots and what they were last assigned.
    wanted: Vec<(usize, &'static str, Codec, u32)>,
}

impl Lesson {
    fn below(&mut self, bound: usize) -> usize {
        (self.random.next() % bound.max(1) as u64) as usize
    }

    fn step(&mut self) {
        match self.below(12) {
            0 if self.present.len() < 12 => self.join(),
            1 if self.present.len() > 3 => self.leave(),
            2 | 3 => self.publish(),
            4 => self.unpublish(),
            5 => self.restart(),
            6 => self.rekey(),
            7 => self.pause(),
            _ => self.assign(),
        }
        let ms = self.below(60) as u64;
        self.world.run_ms(ms);
    }

    fn join(&mut self) {
        let link = Link { delay_ms: self.below(40) as u64, jitter_ms: 5, loss: 0.02, duplication: 0.02 };
        let at = self.world.connect_without_keys(link, link);
        self.world.set_keys(at);
        for (mid, codec) in SLOTS {
            self.world.open_slot(at, mid, codec);
            self.wanted.push((at, mid, codec, 0));
        }
        self.present.push(at);
    }

    fn leave(&mut self) {
        let n = self.below(self.present.len());
        let at = self.present.swap_remove(n);
        let transport = self.world.peers[at].transport();
        let gone: Vec<u32> = self.world.peers[at].senders.iter().map(|sender| sender.source).collect();
        self.sources.retain(|source| !gone.contains(source));
        self.wanted.retain(|slot| slot.0 != at);
        self.world.command(Command::CloseTransport { transport });
    }

    fn publish(&mut self) {
        let n = self.below(self.present.len());
        // Now and then a source that exists is opened anew.
        let source = 1 + self.below(14) as u32;
        if self.sources.contains(&source) {
            return;
        }
        let codec = if source.is_multiple_of(3) { Codec::Opus } else { Codec::H264 };
        let mut sender = Sender::new(source, codec);
        // SSRCs differ each time, as a browser's do.
        sender.ssrc = (self.random.next() >> 33) as u32 | 1 << 30;
        sender.rtx_ssrc = sender.ssrc ^ 0xffff;
        self.world.publish(self.present[n], sender);
        self.sources.push(source);
    }

    fn unpublish(&mut self) {
        if self.sources.is_empty() {
            return;
        }
        let n = self.below(self.sources.len());
        let source = self.sources.swap_remove(n);
        for peer in &mut self.world.peers {
            peer.senders.retain(|sender| sender.source != source);
        }
        self.world.command(Command::CloseProducer { source });
    }

    fn restart(&mut self) {
        let n = self.below(self.present.len());
        let at = self.present[n];
        let generation = format!("g{}", self.random.next());
        let transport = self.world.peers[at].transport();
        self.world.command(Command::RestartIce { transport, credentials: credentials(at, &generation) });
        self.world.peers[at].generation = generation;
        if self.below(2) == 0 {
            let port = 5000 + self.below(1000) as u16;
            self.world.peers[at].address.set_port(port);
        }
    }

    /// A DTLS handshake done again that yields keys: here, the same.
    fn rekey(&mut self) {
        let n = self.below(self.present.len());
        self.world.set_keys(self.present[n]);
    }

    fn pause(&mut self) {
        let n = self.below(self.present.len());
        for sender in &mut self.world.peers[self.present[n]].senders {
            sender.active ^= true;
        }
    }

    fn assign(&mut self) {
        if self.wanted.is_empty() {
            return;
        }
        let mut changes = Vec::new();
        for _ in 0..4 {
            let n = self.below(self.wanted.len());
            let source = self.below(15) as u32;
            let slot = &mut self.wanted[n];
            slot.3 = source;
            changes.push((slot.0, slot.1, source));
        }
        self.world.assign(&changes);
    }

    /// With everybody sending, every slot shows what it should.
    fn assert_settles(&mut self) {
        for &at in &self.present {
            for sender in &mut self.world.peers[at].senders {
                sender.active = true;
            }
            (self.world.peers[at].up.loss, self.world.peers[at].down.loss) = (0.0, 0.0);
        }
        self.world.run_ms(4000);
        for &(at, mid, codec, source) in &self.wanted {
            let published =
                self.sources.contains(&source) && source.is_multiple_of(3) == (codec == Codec::Opus);
            let expected = if published { source } else { 0 };
            let transport = self.world.peers[at].transport();
            let stats = self.world.core.transport_stats(transport).unwrap();
            let shown = stats.slots.iter().find(|slot| slot.mid == mid).unwrap().source;
            let told = self.world.slot_events(at, mid).last().map_or(0, |(_, source)| *source);
            assert_eq!((shown, told), (expected, expected), "peer {at} {mid} wants {source}");
            let recent = self.world.peers[at]
                .slot(mid)
                .packets
                .values()
                .filter(|p| p.at_us + 300_000 > self.world.now_us);
            let sources: Vec<u32> = recent.map(|packet| packet.csrc).collect();
            assert!(sources.iter().all(|&csrc| csrc == expected), "{sources:?}");
            assert_eq!(sources.is_empty(), expected == 0, "peer {at} {mid}");
        }
    }
}

#[test]
fn every_slot_shows_what_it_should_after_any_history() {
    for seed in 1..=6 {
        let world = World::new(seed);
        let random = Random(seed * 1000);
        let mut lesson = Lesson { world, present: vec![], sources: vec![], random, wanted: vec![] };
        (0..4).for_each(|_| lesson.join());
        (0..300).for_each(|_| lesson.step());
        lesson.assert_settles();
        assert_eq!(lesson.world.core.stats().dropped(Drop::Command), 0);
    }
}

#[test]
fn keys_set_again_interrupt_nothing_and_use_no_index_twice() {
    let mut world = pair(1, Sender::new(7, Codec::H264));
    for _ in 0..5 {
        world.run_ms(500);
        world.set_keys(0);
        world.set_keys(1);
    }
    crate::packets::assert_continuous(world.peers[1].slot("v"));
}
