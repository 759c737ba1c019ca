//! One peer: its way, its keys, and what belongs to all its streams together.

use std::time::Instant;

use super::allowance::Allowance;
use super::clock::SenderClock;
use super::demux::Streams;
use super::door::IceCredentials;
use super::ice::IceAgent;
use super::output::{Output, PathKey};
use super::parameters::Extension;
use super::slot::{Slot, Times};
use super::stats::Stats;
use super::twcc::Recorder;
use crate::wire::rtcp::TransportFeedback;
use crate::wire::srtp;

/// Retransmissions that a peer may ask for at once, and more with each packet sent and second.
const MAX_REPEATS: f32 = 500.0;
const REPEATS_PER_PACKET: f32 = 0.5;
const REPEATS_PER_SECOND: f32 = 50.0;
/// What asking costs when there is nothing to send: one NACK can name thousands of packets.
const FRUITLESS: f32 = 0.125;
/// Events that a peer may cause by itself: a handshake has twenty datagrams, a move is rare.
const MAX_EVENTS: f32 = 100.0;
const EVENTS_PER_SECOND: f32 = 20.0;
/// Statuses of feedback that are read for each packet that was sent: each is told of once, and
/// again with some that come late. A run of losses costs the peer nothing, and us its length.
const STATUSES_PER_PACKET: u32 = 8;
const MAX_STATUSES: u32 = 50_000;
/// DTLS datagrams that wait for the first valid check.
const MAX_WAITING: usize = 16;

pub struct Transport {
    pub id: u64,
    pub ice: IceAgent,
    pub inbound: Option<srtp::Receiver>,
    pub outbound: Option<srtp::Sender>,
    /// Counts all RTCP packets, whatever the keys.
    rtcp_index: u32,
    /// Of our feedback.
    pub ssrc: u32,
    /// Places of its producers and slots.
    pub producers: Vec<usize>,
    pub slots: Vec<usize>,
    pub streams: Streams,
    /// What arrived, for the peer's congestion control.
    pub arrivals: Recorder,
    /// The peer's clock.
    pub clock: SenderClock,
    /// When the next receiver report is due.
    pub report_due: Instant,
    /// When the first sender report of its slots is due.
    pub slot_reports_due: Option<Instant>,
    path_key: PathKey,
    /// The next transport-wide sequence number.
    twcc_next: u64,
    waiting_dtls: Vec<Vec<u8>>,
    repeats: Allowance,
    events: Allowance,
    statuses: u32,
    pub rtt_ms: Option<u32>,
    pub packets_received: u64,
    pub bytes_received: u64,
    pub packets_sent: u64,
    pub bytes_sent: u64,
    pub twcc_arrived: u64,
    pub twcc_lost: u64,
    pub remb_bps: u64,
}

impl Transport {
    pub fn new(now: Instant, id: u64, credentials: &IceCredentials, ssrc: u32) -> Self {
        Self {
            id,
            ice: IceAgent::new(now, credentials),
            inbound: None,
            outbound: None,
            rtcp_index: 0,
            ssrc,
            producers: Vec::new(),
            slots: Vec::new(),
            streams: Streams::default(),
            arrivals: Recorder::default(),
            clock: SenderClock::default(),
            report_due: now,
            slot_reports_due: None,
            path_key: PathKey::NONE,
            twcc_next: 1,
            waiting_dtls: Vec::new(),
            repeats: Allowance::new(now, MAX_REPEATS, REPEATS_PER_SECOND),
            events: Allowance::new(now, MAX_EVENTS, EVENTS_PER_SECOND),
            statuses: 0,
            rtt_ms: None,
            packets_received: 0,
            bytes_received: 0,
            packets_sent: 0,
            bytes_sent: 0,
            twcc_arrived: 0,
            twcc_lost: 0,
            remb_bps: 0,
        }
    }

    /// Whether media can be sent: there are keys, and a nominated pair that is alive.
    pub fn is_ready(&self) -> bool {
        self.outbound.is_some() && self.ice.may_send() && self.ice.selected().is_some()
    }

    /// The way has changed.
    pub fn moved(&mut self) {
        self.path_key = PathKey::NONE;
    }

    /// Sends a DTLS datagram, or keeps it until the peer's address is known.
    pub fn send_dtls(&mut self, output: &mut Output, stats: &mut Stats, datagram: Vec<u8>) {
        let Some(&path) = self.ice.reachable() else {
            if self.waiting_dtls.len() < MAX_WAITING {
                self.waiting_dtls.push(datagram);
            }
            return;
        };
        let start = output.bytes.len();
        output.bytes.extend_from_slice(&datagram);
        stats.bytes_sent += datagram.len() as u64;
        output.commit(start, &path, &mut { PathKey::NONE });
    }

    /// Sends the DTLS datagrams that wait, once there is an address.
    pub fn flush_dtls(&mut self, output: &mut Output, stats: &mut Stats) {
        for datagram in std::mem::take(&mut self.waiting_dtls) {
            self.send_dtls(output, stats, datagram);
        }
    }

    /// Encrypts the RTP packet that lies in the arena from `start` on, and sends it.
    pub fn send_rtp(
        &mut self,
        output: &mut Output,
        stats: &mut Stats,
        start: usize,
        header_len: usize,
        index: u64,
    ) {
        let within_limit = index <= srtp::MAX_RTP_INDEX;
        let (Some(keys), Some(path), true) = (&self.outbound, self.ice.selected(), within_limit) else {
            output.bytes.truncate(start);
            return;
        };
        keys.protect_rtp(&mut output.bytes, start, header_len, index);
        output.commit(start, path, &mut self.path_key);
        let len = (output.bytes.len() - start) as u64;
        self.packets_sent += 1;
        self.bytes_sent += len;
        stats.rtp_sent += 1;
        stats.bytes_sent += len;
    }

    /// Encrypts the RTCP compound that lies in the arena from `start` on, and sends it.
    pub fn send_rtcp(&mut self, output: &mut Output, stats: &mut Stats, start: usize) {
        let may_send = self.ice.may_send() && self.rtcp_index < srtp::MAX_RTCP_INDEX;
        let (Some(keys), Some(path), true) = (&self.outbound, self.ice.selected(), may_send) else {
            output.bytes.truncate(start);
            return;
        };
        self.rtcp_index += 1;
        keys.protect_rtcp(&mut output.bytes, start, self.rtcp_index);
        output.commit(start, path, &mut self.path_key);
        let len = (output.bytes.len() - start) as u64;
        self.packets_sent += 1;
        self.bytes_sent += len;
        stats.rtcp_sent += 1;
        stats.bytes_sent += len;
    }

    /// The extensions of the next packet of a slot that say when it is sent, or its place.
    pub fn times(&mut self, slot: &Slot, ntp: u64) -> Times {
        let mut times = Times::default();
        if !slot.may_vary() {
            return times;
        }
        if slot.parameters.extensions.get(Extension::Twcc).is_some() {
            times.twcc = Some((self.twcc_next as u16).to_be_bytes());
            self.twcc_next += 1;
            self.statuses = (self.statuses + STATUSES_PER_PACKET).min(MAX_STATUSES);
        } else if slot.parameters.extensions.get(Extension::AbsSendTime).is_some() {
            // 24 bits: 6.18 fixed point seconds.
            let [.., a, b, c] = (ntp >> 14).to_be_bytes();
            times.abs_send_time = Some([a, b, c]);
        }
        times
    }

    /// A packet of media goes out, which may be lost.
    pub fn allow_retransmission(&mut self) {
        self.repeats.earn(REPEATS_PER_PACKET);
    }

    /// Whether the peer may have one more retransmission: more than it can lose is an attack.
    pub fn may_ask_again(&mut self, now: Instant) -> bool {
        self.repeats.has_one(now)
    }

    /// The peer has asked for a packet again; `sent`: and got it.
    pub fn asked_again(&mut self, sent: bool) {
        self.repeats.spend(if sent { 1.0 } else { FRUITLESS });
    }

    /// Whether the Python side is to hear of what the peer did.
    pub fn may_cause_event(&mut self, now: Instant) -> bool {
        self.events.take(now)
    }

    /// Reads feedback, as far as it can be about what was sent.
    pub fn take_feedback(&mut self, feedback: &TransportFeedback) {
        for (_, arrival) in feedback.arrivals().take(self.statuses as usize) {
            self.statuses -= 1;
            match arrival {
                Some(_) => self.twcc_arrived += 1,
                None => self.twcc_lost += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Path;
    use crate::wire::srtp::{Profile, MAX_RTCP_INDEX, MAX_RTP_INDEX};
    use crate::wire::stun::{Builder, Class, Message};

    #[test]
    fn beyond_the_last_index_of_a_key_nothing_is_sent() {
        let now = Instant::now();
        let [local_ufrag, local_pwd, remote_ufrag, remote_pwd] = ["a", "b", "c", "d"].map(String::from);
        let credentials = IceCredentials { local_ufrag, local_pwd, remote_ufrag, remote_pwd };
        let mut transport = Transport::new(now, 1, &credentials, 7);
        transport.outbound = srtp::Sender::new(Profile::AeadAes128Gcm, &[1; 28]).ok();
        let mut check = Vec::new();
        Builder::new(&mut check, Class::Request, &[0; 12]).use_candidate().finish();
        let path = Path { socket: 0, local: None, remote: ([192, 0, 2, 1], 1).into() };
        transport.ice.check(now, "a", &Message::parse(&check).unwrap(), path);

        let (mut output, mut stats) = (Output::default(), Stats::default());
        for (index, sent) in [(MAX_RTP_INDEX, 1), (MAX_RTP_INDEX + 1, 1)] {
            let start = output.bytes.len();
            let [.., high, low] = index.to_be_bytes();
            output.bytes.extend_from_slice(&[0x80, 96, high, low, 0, 0, 0, 0, 0, 0, 0, 9]);
            transport.send_rtp(&mut output, &mut stats, start, 12, index);
            assert_eq!(output.transmits.len(), sent);
        }
        transport.rtcp_index = MAX_RTCP_INDEX - 1;
        for _ in 0..2 {
            let start = output.bytes.len();
            output.bytes.extend_from_slice(&[0x80, 201, 0, 1, 0, 0, 0, 7]);
            transport.send_rtcp(&mut output, &mut stats, start);
            assert_eq!(output.transmits.len(), 2);
        }
    }
}
