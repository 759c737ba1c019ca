//! What goes in and what comes out beside datagrams.

use std::net::SocketAddr;

use super::parameters::{ProducerParameters, SlotParameters};
use crate::wire::srtp::Profile;

/// Username fragments and passwords of both sides (RFC 8445, 5.3).
#[derive(Clone, Debug)]
pub struct IceCredentials {
    pub local_ufrag: String,
    pub local_pwd: String,
    pub remote_ufrag: String,
    pub remote_pwd: String,
}

/// What the Python side wants. Commands about what does not exist are counted and do nothing.
#[derive(Clone, Debug)]
pub enum Command {
    /// An id in use opens anew: what was there is closed first.
    OpenTransport {
        transport: u64,
        credentials: IceCredentials,
    },
    /// Media goes on over the old path until the new credentials are nominated.
    RestartIce {
        transport: u64,
        credentials: IceCredentials,
    },
    SendDtls {
        transport: u64,
        datagram: Vec<u8>,
    },
    /// Keys: master key, then master salt. They replace what was there.
    SetSrtp {
        transport: u64,
        profile: Profile,
        local_key: Vec<u8>,
        remote_key: Vec<u8>,
    },
    /// With its producers and slots.
    CloseTransport {
        transport: u64,
    },
    OpenProducer {
        transport: u64,
        parameters: ProducerParameters,
    },
    CloseProducer {
        source: u32,
    },
    OpenSlot {
        transport: u64,
        parameters: SlotParameters,
    },
    /// (transport, mid of the slot, source or 0): all at one instant. A source may be assigned
    /// before its producer is opened.
    Assign(Vec<(u64, String, u32)>),
    RequestKeyframe {
        source: u32,
    },
    /// All layers and sender reports go to the tap until `StopRecording`, or the producer's end.
    Record {
        source: u32,
        file: String,
        label: String,
    },
    StopRecording {
        source: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IceState {
    /// A pair was nominated (for the first time, after a restart, or after it had expired).
    Connected,
    /// Another pair was nominated.
    Moved,
    /// No valid check for 30 s.
    Expired,
}

/// What the Python side must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A DTLS datagram from an address that ICE has validated.
    Dtls {
        transport: u64,
        datagram: Vec<u8>,
    },
    Ice {
        transport: u64,
        state: IceState,
        remote: SocketAddr,
    },
    /// RTP of a source arrives; or none has for 2 s.
    Source {
        source: u32,
        live: bool,
    },
    /// The source that is forwarded in a slot from now on; 0: none.
    Slot {
        transport: u64,
        mid: String,
        source: u32,
    },
    /// (source, level in -dBov), loudest first; empty when a group has fallen silent.
    Speakers {
        group: u32,
        levels: Vec<(u32, u8)>,
    },
}
