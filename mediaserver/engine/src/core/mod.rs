//! The packet engine without I/O: transports, producers, slots.
//!
//! Bytes, commands and an instant go in; datagrams (in an arena) and events come out. It knows
//! no sockets, no threads and no clock, so that simulations drive it through the same door as
//! the shell:
//!
//! ```text
//! core.receive(now, path, &mut datagram);  core.command(now, command);  core.tick(now);
//! // then, after each batch:
//! send(core.transmits());  core.transmits().clear();
//! while let Some(event) = core.poll_event() { … }
//! sleep_until(core.timeout());
//! ```
//!
//! The way of a packet: [`receive`] (decrypt) → [`demux`] (which producer, which layer) →
//! [`producer`] (order, losses, cache) → [`forward`] (to every slot: [`slot`] and [`rewriter`])
//! → [`transport`] (encrypt into the arena). RTCP comes in through [`feedback`] and goes out
//! from [`reports`].

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

mod allowance;
mod cache;
mod clock;
mod commands;
mod demux;
pub mod door;
mod feedback;
mod forward;
mod ice;
mod keyframe;
mod nack;
mod numbering;
pub mod output;
pub mod parameters;
mod picture;
mod producer;
mod random;
mod receive;
mod receiver;
mod reports;
mod rewriter;
mod slot;
mod speakers;
pub mod stats;
mod table;
mod tap;
mod transport;
mod twcc;
mod watch;

pub use clock::NTP_TO_UNIX;
pub use door::{Command, Event, IceCredentials, IceState};
pub use output::{Output, Path, Transmit};
pub use parameters::{Codec, Extension, ExtensionIds, MediaKind, ProducerParameters, SlotParameters};
pub use stats::{Drop, LayerStats, SlotStats, Stats, TransportStats};
pub use tap::{Protocol, Tap};

use clock::NodeClock;
use producer::Producer;
use random::Random;
use slot::Slot;
use speakers::Ranking;
use table::Table;
use transport::Transport;

/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(10);
/// Events that wait to be taken; more are dropped.
const MAX_EVENTS: usize = 1 << 16;

/// All transports of one packet thread.
pub struct Core {
    clock: NodeClock,
    random: Random,
    /// Serials of layers given so far.
    serial: u64,
    transports: Table<Transport>,
    producers: Table<Producer>,
    slots: Table<Slot>,
    by_id: HashMap<u64, usize>,
    by_ufrag: HashMap<String, usize>,
    /// Addresses that ICE has validated: (socket, remote).
    by_address: HashMap<(usize, SocketAddr), usize>,
    by_source: HashMap<u32, usize>,
    rankings: BTreeMap<u32, Ranking>,
    tap: Option<Box<dyn Tap>>,
    output: Output,
    events: VecDeque<Event>,
    stats: Stats,
    ticked: Instant,
    tick_due: Instant,
    watch_due: Instant,
    rank_due: Instant,
}

impl Core {
    /// `ntp`: the wall clock at `now`, 32.32 fixed point seconds since 1900. `seed`: of SSRCs
    /// and first sequence numbers.
    pub fn new(now: Instant, ntp: u64, seed: u64) -> Self {
        Self {
            clock: NodeClock::new(now, ntp),
            random: Random::new(seed),
            serial: 0,
            transports: Table::default(),
            producers: Table::default(),
            slots: Table::default(),
            by_id: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_address: HashMap::new(),
            by_source: HashMap::new(),
            rankings: BTreeMap::new(),
            tap: None,
            output: Output::default(),
            events: VecDeque::new(),
            stats: Stats::default(),
            ticked: now,
            tick_due: now,
            watch_due: now,
            rank_due: now,
        }
    }

    /// When `tick` wants to be called; `None` while there is nothing to wait for.
    pub fn timeout(&self) -> Option<Instant> {
        (!self.transports.is_empty()).then_some(self.tick_due)
    }

    /// Does what is due; costs next to nothing when called too early.
    pub fn tick(&mut self, now: Instant) {
        if now < self.tick_due {
            return;
        }
        (self.ticked, self.tick_due) = (now, now + TICK);
        if let Some(tap) = &mut self.tap {
            tap.tick();
        }
        self.report(now);
        self.watch(now);
    }

    /// Datagrams to send; clear it when they are sent.
    pub fn transmits(&mut self) -> &mut Output {
        &mut self.output
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Counters of the node: `stats().iter()` yields (name, value).
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// `None` for a transport that does not exist.
    pub fn transport_stats(&self, transport: u64) -> Option<TransportStats> {
        let transport = &self.transports[*self.by_id.get(&transport)?];
        let layers = transport.producers.iter().flat_map(|&place| {
            let producer = &self.producers[place];
            producer.layers.iter().map(|layer| layer.stats(self.ticked, producer.parameters.source))
        });
        Some(TransportStats {
            remote: transport.ice.selected().map(|path| path.remote),
            encrypted: transport.outbound.is_some(),
            rtt_ms: transport.rtt_ms,
            packets_received: transport.packets_received,
            bytes_received: transport.bytes_received,
            packets_sent: transport.packets_sent,
            bytes_sent: transport.bytes_sent,
            twcc_arrived: transport.twcc_arrived,
            twcc_lost: transport.twcc_lost,
            remb_bps: transport.remb_bps,
            producers: layers.collect(),
            slots: transport.slots.iter().map(|&place| self.slots[place].stats()).collect(),
        })
    }

    fn emit(&mut self, event: Event) {
        emit(&mut self.events, &mut self.stats, event);
    }
}

/// Queues an event; drops it when nobody takes any.
fn emit(events: &mut VecDeque<Event>, stats: &mut Stats, event: Event) {
    if events.len() < MAX_EVENTS {
        events.push_back(event);
    } else {
        stats.drop(Drop::EventOverflow);
    }
}
