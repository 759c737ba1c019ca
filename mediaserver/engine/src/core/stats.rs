//! Counters: of the node, and of one transport.

/// Why a datagram, a packet or a command came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// Neither STUN nor DTLS, RTP or RTCP (RFC 7983).
    UnknownKind,
    /// From an address that no ICE check has validated.
    UnknownAddress,
    StunMalformed,
    /// For a username fragment that is not ours, or without one.
    StunUnknownUser,
    /// MESSAGE-INTEGRITY is wrong or missing.
    StunUnauthenticated,
    /// A response or another method: an ICE-lite agent sends no checks.
    StunUnexpected,
    RtpMalformed,
    RtcpMalformed,
    /// Before the DTLS handshake has given keys.
    NoKeys,
    SrtpAuthentication,
    SrtpReplayed,
    SrtpStreams,
    /// Nothing tells which producer the packet belongs to.
    UnknownStream,
    /// Neither the producer's payload type nor its RTX.
    UnknownPayloadType,
    /// There already, by a retransmission.
    Duplicate,
    /// Too late to have a place.
    TooOld,
    /// The event queue is full: nobody takes events.
    EventOverflow,
    /// More than a peer may ask for at a time.
    RetransmissionLimit,
    /// More DTLS or moves than a peer may trouble the Python side with.
    PeerEventLimit,
    /// A command about what does not exist, or that contradicts itself.
    Command,
}

impl Drop {
    pub const ALL: [Self; 20] = [
        Self::UnknownKind,
        Self::UnknownAddress,
        Self::StunMalformed,
        Self::StunUnknownUser,
        Self::StunUnauthenticated,
        Self::StunUnexpected,
        Self::RtpMalformed,
        Self::RtcpMalformed,
        Self::NoKeys,
        Self::SrtpAuthentication,
        Self::SrtpReplayed,
        Self::SrtpStreams,
        Self::UnknownStream,
        Self::UnknownPayloadType,
        Self::Duplicate,
        Self::TooOld,
        Self::EventOverflow,
        Self::RetransmissionLimit,
        Self::PeerEventLimit,
        Self::Command,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownKind => "drop_unknown_kind",
            Self::UnknownAddress => "drop_unknown_address",
            Self::StunMalformed => "drop_stun_malformed",
            Self::StunUnknownUser => "drop_stun_unknown_user",
            Self::StunUnauthenticated => "drop_stun_unauthenticated",
            Self::StunUnexpected => "drop_stun_unexpected",
            Self::RtpMalformed => "drop_rtp_malformed",
            Self::RtcpMalformed => "drop_rtcp_malformed",
            Self::NoKeys => "drop_no_keys",
            Self::SrtpAuthentication => "drop_srtp_authentication",
            Self::SrtpReplayed => "drop_srtp_replayed",
            Self::SrtpStreams => "drop_srtp_streams",
            Self::UnknownStream => "drop_unknown_stream",
            Self::UnknownPayloadType => "drop_unknown_payload_type",
            Self::Duplicate => "drop_duplicate",
            Self::TooOld => "drop_too_old",
            Self::EventOverflow => "drop_event_overflow",
            Self::RetransmissionLimit => "drop_retransmission_limit",
            Self::PeerEventLimit => "drop_peer_event_limit",
            Self::Command => "drop_command",
        }
    }
}

/// What the node has done since it started.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub datagrams_received: u64,
    pub bytes_received: u64,
    pub rtp_received: u64,
    pub rtcp_received: u64,
    pub stun_received: u64,
    pub dtls_received: u64,
    pub rtp_sent: u64,
    pub rtcp_sent: u64,
    pub bytes_sent: u64,
    /// Packets without media: padding and probes.
    pub padding_received: u64,
    /// Lost packets that a publisher sent again.
    pub repaired: u64,
    /// Packets sent again to subscribers.
    pub retransmitted: u64,
    pub nacks_sent: u64,
    pub nacks_received: u64,
    pub keyframe_requests_sent: u64,
    pub keyframe_requests_received: u64,
    pub twcc_feedback_sent: u64,
    pub twcc_feedback_received: u64,
    pub remb_received: u64,
    pub slot_switches: u64,
    drops: [u64; Drop::ALL.len()],
}

impl Stats {
    pub(super) fn drop(&mut self, reason: Drop) {
        self.drops[reason as usize] += 1;
    }

    pub fn dropped(&self, reason: Drop) -> u64 {
        self.drops[reason as usize]
    }

    /// Every counter as (name, value).
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counters = [
            ("datagrams_received", self.datagrams_received),
            ("bytes_received", self.bytes_received),
            ("rtp_received", self.rtp_received),
            ("rtcp_received", self.rtcp_received),
            ("stun_received", self.stun_received),
            ("dtls_received", self.dtls_received),
            ("rtp_sent", self.rtp_sent),
            ("rtcp_sent", self.rtcp_sent),
            ("bytes_sent", self.bytes_sent),
            ("padding_received", self.padding_received),
            ("repaired", self.repaired),
            ("retransmitted", self.retransmitted),
            ("nacks_sent", self.nacks_sent),
            ("nacks_received", self.nacks_received),
            ("keyframe_requests_sent", self.keyframe_requests_sent),
            ("keyframe_requests_received", self.keyframe_requests_received),
            ("twcc_feedback_sent", self.twcc_feedback_sent),
            ("twcc_feedback_received", self.twcc_feedback_received),
            ("remb_received", self.remb_received),
            ("slot_switches", self.slot_switches),
        ];
        let drops = Drop::ALL.into_iter().map(|reason| (reason.name(), self.dropped(reason)));
        counters.into_iter().chain(drops)
    }
}

/// One transport, for the technician.
#[derive(Clone, Debug, PartialEq)]
pub struct TransportStats {
    /// Where media goes to; `None` before ICE has nominated a pair.
    pub remote: Option<std::net::SocketAddr>,
    pub encrypted: bool,
    /// By the receiver reports of the peer, milliseconds.
    pub rtt_ms: Option<u32>,
    pub packets_received: u64,
    pub bytes_received: u64,
    pub packets_sent: u64,
    pub bytes_sent: u64,
    /// By the peer's transport-wide feedback: packets that it says arrived, and not.
    pub twcc_arrived: u64,
    pub twcc_lost: u64,
    /// The peer's last REMB.
    pub remb_bps: u64,
    pub producers: Vec<LayerStats>,
    pub slots: Vec<SlotStats>,
}

/// One incoming stream.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerStats {
    pub source: u32,
    /// Empty without simulcast.
    pub rid: String,
    pub ssrc: u32,
    pub packets: u64,
    pub bytes: u64,
    /// Never arrived, nor repaired so far.
    pub lost: u64,
    pub repaired: u64,
    /// Milliseconds.
    pub jitter_ms: u32,
    pub key_frames: u64,
    /// RTP has arrived in the last 2 s.
    pub live: bool,
}

/// One outgoing stream.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotStats {
    pub mid: String,
    pub ssrc: u32,
    /// Assigned.
    pub wanted: u32,
    /// Forwarded.
    pub source: u32,
    pub packets: u64,
    pub bytes: u64,
    pub retransmitted: u64,
    pub switches: u64,
    /// Of 256, by the peer's last receiver report.
    pub fraction_lost: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_counter_and_name() {
        let mut stats = Stats::default();
        for (at, reason) in Drop::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at);
            for _ in 0..=at {
                stats.drop(reason);
            }
        }
        let mut names: Vec<_> = stats.iter().map(|(name, _)| name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert_eq!(stats.iter().last(), Some(("drop_command", 20)));
    }
}
