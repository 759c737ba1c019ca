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

pub mod door;
pub mod output;
pub mod parameters;

pub use door::{Command, Event, IceCredentials, IceState};
pub use output::{Output, Path, Transmit};
pub use parameters::{Codec, Extension, ExtensionIds, MediaKind, ProducerParameters, SlotParameters};

use std::time::Instant;

/// All transports of one packet thread.
pub struct Core {}

impl Core {
    /// `ntp`: the wall clock at `now`, 32.32 fixed point seconds since 1900. `seed`: of SSRCs
    /// and first sequence numbers.
    pub fn new(now: Instant, ntp: u64, seed: u64) -> Self;
    /// Does what the Python side wants.
    pub fn command(&mut self, now: Instant, command: Command);
    /// Takes one datagram; it is decrypted in place.
    pub fn receive(&mut self, now: Instant, path: Path, datagram: &mut [u8]);
    /// When `tick` wants to be called; `None` while there is nothing to wait for.
    pub fn timeout(&self) -> Option<Instant>;
    /// Does what is due.
    pub fn tick(&mut self, now: Instant);
    /// Datagrams to send; clear it when they are sent.
    pub fn transmits(&mut self) -> &mut Output;
    pub fn poll_event(&mut self) -> Option<Event>;
    /// Counters of the node: `stats().iter()` yields (name, value).
    pub fn stats(&self) -> &Stats;
    /// `None` for a transport that does not exist.
    pub fn transport_stats(&self, transport: u64) -> Option<TransportStats>;
}
