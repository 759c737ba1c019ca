//! The network and the clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use _engine::core::{
    Codec, Command, Core, Event, Extension, ExtensionIds, IceCredentials, MediaKind, Path,
    ProducerParameters, SlotParameters,
};
use _engine::wire::srtp::Profile;

use crate::peer::Peer;
use crate::sender::Sender;

/// The node's wall clock at the start: some day of 2026, in NTP's 32.32 format.
pub const NODE_NTP: u64 = 0xed80_0000 << 32;

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [0, 1).
    pub fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// One direction of a peer's line.
#[derive(Clone, Copy, Default)]
pub struct Link {
    pub delay_ms: u64,
    /// Up to so much is added to single packets, which reorders them.
    pub jitter_ms: u64,
    pub loss: f64,
    pub duplication: f64,
}

impl Link {
    pub fn with_delay(delay_ms: u64) -> Self {
        Self { delay_ms, ..Self::default() }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Delivery {
    at_us: u64,
    order: u64,
    peer: usize,
    /// From which of the peer's addresses to the core, or to the peer.
    from: Option<SocketAddr>,
    datagram: Vec<u8>,
}

pub struct World {
    pub core: Core,
    pub peers: Vec<Peer>,
    /// (microseconds, event), DTLS left out.
    pub events: Vec<(u64, Event)>,
    pub random: Random,
    pub now_us: u64,
    start: Instant,
    flying: BinaryHeap<Reverse<Delivery>>,
    order: u64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let start = Instant::now();
        Self {
            core: Core::new(start, NODE_NTP, seed),
            peers: Vec::new(),
            events: Vec::new(),
            random: Random(seed),
            now_us: 0,
            start,
            flying: BinaryHeap::new(),
            order: 0,
        }
    }

    pub fn now(&self) -> Instant {
        self.start + Duration::from_micros(self.now_us)
    }

    pub fn now_ms(&self) -> u64 {
        self.now_us / 1000
    }

    pub fn command(&mut self, command: Command) {
        let now = self.now();
        self.core.command(now, command);
        self.drain();
    }

    /// A peer with an open transport (its id is the peer's place plus 1), keys and a nominated
    /// pair. `up` and `down` as the peer sees them.
    pub fn join(&mut self, up: Link, down: Link) -> usize {
        let at = self.connect_without_keys(up, down);
        self.set_keys(at);
        self.run_ms(up.delay_ms + up.jitter_ms + down.delay_ms + down.jitter_ms + 2);
        assert!(self.peers[at].checks_answered > 0);
        at
    }

    pub fn connect_without_keys(&mut self, up: Link, down: Link) -> usize {
        let at = self.peers.len();
        let peer = Peer::new(at, up, down);
        self.command(Command::OpenTransport {
            transport: peer.transport(),
            credentials: credentials(at, "one"),
        });
        self.peers.push(peer);
        at
    }

    pub fn set_keys(&mut self, at: usize) {
        let (local_key, remote_key) = (self.peers[at].node_key(), self.peers[at].own_key());
        let transport = self.peers[at].transport();
        self.command(Command::SetSrtp { transport, profile: Profile::AeadAes128Gcm, local_key, remote_key });
        self.peers[at].has_keys = true;
    }

    /// Opens a producer for what the sender sends, and lets it send.
    pub fn publish(&mut self, at: usize, sender: Sender) {
        let source = sender.source;
        self.open_producer(at, &sender, |_| {});
        self.peers[at].senders.push(sender);
        assert_ne!(source, 0);
    }

    /// A producer for one or several senders (simulcast layers); `change` adapts parameters.
    pub fn open_producer(
        &mut self,
        at: usize,
        sender: &Sender,
        change: impl FnOnce(&mut ProducerParameters),
    ) {
        let mut parameters = sender.parameters();
        change(&mut parameters);
        let transport = self.peers[at].transport();
        self.command(Command::OpenProducer { transport, parameters });
    }

    pub fn open_slot(&mut self, at: usize, mid: &str, codec: Codec) {
        self.open_slot_with(at, mid, codec, |_| {});
    }

    pub fn open_slot_with(
        &mut self,
        at: usize,
        mid: &str,
        codec: Codec,
        change: impl FnOnce(&mut SlotParameters),
    ) {
        let audio = codec == Codec::Opus;
        let n = self.peers[at].slots.len() as u32;
        let mut parameters = SlotParameters {
            mid: mid.into(),
            kind: if audio { MediaKind::Audio } else { MediaKind::Video },
            codec,
            clock_rate: if audio { 48_000 } else { 90_000 },
            payload_type: if audio { 109 } else { 120 },
            rtx_payload_type: (!audio).then_some(121),
            ssrc: 0x5000_0000 + 2 * n,
            rtx_ssrc: (!audio).then_some(0x5000_0001 + 2 * n),
            cname: "lesson".into(),
            extensions: ExtensionIds::default()
                .with(Extension::Mid, 1)
                .with(Extension::Twcc, 2)
                .with(Extension::AudioLevel, 3)
                .with(Extension::VideoOrientation, 4),
            nack: !audio,
        };
        change(&mut parameters);
        self.peers[at].add_slot(&parameters);
        let transport = self.peers[at].transport();
        self.command(Command::OpenSlot { transport, parameters });
    }

    pub fn assign(&mut self, changes: &[(usize, &str, u32)]) {
        let changes =
            changes.iter().map(|&(at, mid, source)| (self.peers[at].transport(), mid.to_string(), source));
        self.command(Command::Assign(changes.collect()));
    }

    pub fn run_ms(&mut self, ms: u64) {
        let end = self.now_us + ms * 1000;
        while self.now_us < end {
            self.now_us += 1000;
            self.step();
        }
    }

    /// One millisecond.
    fn step(&mut self) {
        for at in 0..self.peers.len() {
            for (from, datagram) in self.peers[at].tick(self.now_us) {
                self.launch(at, Some(from), datagram);
            }
        }
        while self.flying.peek().is_some_and(|Reverse(next)| next.at_us <= self.now_us) {
            let Some(Reverse(delivery)) = self.flying.pop() else { break };
            self.land(delivery);
        }
        let now = self.now();
        if self.core.timeout().is_some_and(|timeout| timeout <= now) {
            self.core.tick(now);
        }
        self.drain();
    }

    fn land(&mut self, mut delivery: Delivery) {
        let now = self.now();
        match delivery.from {
            Some(remote) => {
                self.core.receive(now, Path { socket: 0, local: None, remote }, &mut delivery.datagram);
                self.drain();
            }
            None => self.peers[delivery.peer].receive(self.now_us, &mut delivery.datagram),
        }
    }

    /// Takes what the core has to say.
    pub fn drain(&mut self) {
        let output = std::mem::take(self.core.transmits());
        for transmit in &output.transmits {
            let (path, datagram) = output.datagram(transmit);
            if let Some(at) = self.peers.iter().position(|peer| peer.address == path.remote) {
                self.launch(at, None, datagram.to_vec());
            }
        }
        *self.core.transmits() = output;
        self.core.transmits().clear();
        while let Some(event) = self.core.poll_event() {
            self.events.push((self.now_us, event));
        }
    }

    /// Sends a datagram over a peer's line: to the core from an address, or to the peer.
    pub fn launch(&mut self, peer: usize, from: Option<SocketAddr>, datagram: Vec<u8>) {
        let link = if from.is_some() { self.peers[peer].up } else { self.peers[peer].down };
        if self.random.fraction() < link.loss {
            return;
        }
        let copies = if self.random.fraction() < link.duplication { 2 } else { 1 };
        for _ in 0..copies {
            let jitter_us = (self.random.fraction() * link.jitter_ms as f64 * 1000.0) as u64;
            let at_us = self.now_us + link.delay_ms * 1000 + jitter_us;
            self.order += 1;
            let delivery = Delivery { at_us, order: self.order, peer, from, datagram: datagram.clone() };
            self.flying.push(Reverse(delivery));
        }
    }

    /// (milliseconds, source) of the events about a slot.
    pub fn slot_events(&self, at: usize, mid: &str) -> Vec<(u64, u32)> {
        let transport = self.peers[at].transport();
        let matching = self.events.iter().filter_map(|(us, event)| match event {
            Event::Slot { transport: t, mid: m, source } if (*t, m.as_str()) == (transport, mid) => {
                Some((us / 1000, *source))
            }
            _ => None,
        });
        matching.collect()
    }
}

pub fn credentials(peer: usize, generation: &str) -> IceCredentials {
    IceCredentials {
        local_ufrag: format!("node{peer}{generation}"),
        local_pwd: format!("password{peer}{generation}"),
        remote_ufrag: format!("peer{peer}"),
        remote_pwd: "unused".into(),
    }
}
