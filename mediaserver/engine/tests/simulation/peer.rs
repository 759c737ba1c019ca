//! A peer: ICE checks, SRTP, senders, and receivers that ask for what they miss.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

use _engine::core::SlotParameters;
use _engine::wire::rtcp::{self, Compound, Packet, ReportBlock, SenderInfo};
use _engine::wire::rtp::RtpHeader;
use _engine::wire::srtp::{self, Profile};
use _engine::wire::stun::{self, Builder, Class, IntegrityKey};
use _engine::wire::{classify, Kind};

use crate::sender::{Content, Sender};
use crate::world::{credentials, Link};

const CHECK_INTERVAL_US: u64 = 500_000;
const REPORT_INTERVAL_US: u64 = 1_000_000;
const NACK_INTERVAL_US: u64 = 20_000;
const SSRC: u32 = 0x7000_0000;

/// A packet as it came in a slot.
#[derive(Clone, Debug)]
pub struct Received {
    pub at_us: u64,
    pub timestamp: u32,
    pub marker: bool,
    pub csrc: u32,
    pub payload: Vec<u8>,
    pub content: Option<Content>,
    pub extensions: Vec<(u8, Vec<u8>)>,
    /// By retransmission.
    pub again: bool,
}

#[derive(Clone, Debug)]
pub struct Slot {
    pub mid: String,
    pub ssrc: u32,
    rtx_ssrc: Option<u32>,
    nack: bool,
    /// By index; the first copy counts.
    pub packets: BTreeMap<u64, Received>,
    /// Indices that came more than once on the slot's own SSRC.
    pub repeated: u64,
    missing: BTreeMap<u64, u64>,
    pub nacks: u64,
    /// (microseconds, report).
    pub reports: Vec<(u64, SenderInfo)>,
    last_sr: Option<(u64, u32)>,
}

impl Slot {
    /// Indices between the first and the last that have not come.
    pub fn gaps(&self) -> Vec<u64> {
        let (Some(first), Some(last)) = (self.packets.keys().next(), self.packets.keys().last()) else {
            return Vec::new();
        };
        (*first..*last).filter(|index| !self.packets.contains_key(index)).collect()
    }

    pub fn contents(&self) -> impl Iterator<Item = (&Received, Content)> {
        self.packets.values().filter_map(|packet| Some((packet, packet.content?)))
    }

    pub fn bytes(&self) -> usize {
        self.packets.values().map(|packet| packet.payload.len()).sum()
    }
}

/// What the node said to a publisher.
#[derive(Default)]
pub struct Heard {
    /// (microseconds, media SSRC).
    pub plis: Vec<(u64, u32)>,
    pub firs: Vec<(u64, u32)>,
    pub nacked: u64,
    /// Transport-wide sequence number -> arrival, as last told.
    pub arrivals: BTreeMap<u16, Option<i64>>,
    pub feedback: u64,
    pub blocks: Vec<ReportBlock>,
    pub dtls: Vec<Vec<u8>>,
    pub error_codes: Vec<u16>,
}

pub struct Peer {
    place: usize,
    pub address: SocketAddr,
    pub up: Link,
    pub down: Link,
    pub has_keys: bool,
    outbound: srtp::Sender,
    inbound: srtp::Receiver,
    pub generation: String,
    pub checking: bool,
    pub nominating: bool,
    pub checks_answered: u64,
    pub senders: Vec<Sender>,
    pub slots: Vec<Slot>,
    pub heard: Heard,
    /// Microseconds by which this peer's clock is off, in NTP; and how much faster it runs.
    pub clock_offset_s: u64,
    pub clock_drift_ppm: f64,
    pub twcc: u16,
    rtcp_index: u32,
    next_check_us: u64,
    next_report_us: u64,
    next_nack_us: u64,
    /// The peer reports on media it gets, and asks for what is missing.
    pub asks: bool,
    /// Transport-wide numbers of received packets.
    pub twcc_received: BTreeSet<u16>,
    waiting: Vec<Vec<u8>>,
    rtx_originals: HashMap<u32, usize>,
}

impl Peer {
    pub fn new(place: usize, up: Link, down: Link) -> Self {
        let keys = |role: u8| vec![place as u8 * 2 + role; 28];
        Self {
            place,
            address: ([10, 0, 0, place as u8 + 1], 5000).into(),
            up,
            down,
            has_keys: false,
            outbound: srtp::Sender::new(Profile::AeadAes128Gcm, &keys(0)).unwrap(),
            inbound: srtp::Receiver::new(Profile::AeadAes128Gcm, &keys(1)).unwrap(),
            generation: "one".into(),
            checking: true,
            nominating: true,
            checks_answered: 0,
            senders: Vec::new(),
            slots: Vec::new(),
            heard: Heard::default(),
            clock_offset_s: place as u64 * 1_000_003,
            clock_drift_ppm: 0.0,
            twcc: 65_500,
            rtcp_index: 0,
            next_check_us: 0,
            next_report_us: 300_000,
            next_nack_us: 0,
            asks: true,
            twcc_received: BTreeSet::new(),
            waiting: Vec::new(),
            rtx_originals: HashMap::new(),
        }
    }

    pub fn transport(&self) -> u64 {
        self.place as u64 + 1
    }

    pub fn own_key(&self) -> Vec<u8> {
        vec![self.place as u8 * 2; 28]
    }

    pub fn node_key(&self) -> Vec<u8> {
        vec![self.place as u8 * 2 + 1; 28]
    }

    pub fn add_slot(&mut self, parameters: &SlotParameters) {
        if let Some(rtx) = parameters.rtx_ssrc {
            self.rtx_originals.insert(rtx, self.slots.len());
        }
        self.slots.push(Slot {
            mid: parameters.mid.clone(),
            ssrc: parameters.ssrc,
            rtx_ssrc: parameters.rtx_ssrc,
            nack: parameters.nack,
            packets: BTreeMap::new(),
            repeated: 0,
            missing: BTreeMap::new(),
            nacks: 0,
            reports: Vec::new(),
            last_sr: None,
        });
    }

    pub fn slot(&self, mid: &str) -> &Slot {
        self.slots.iter().find(|slot| slot.mid == mid).unwrap()
    }

    pub fn sender(&mut self, source: u32) -> &mut Sender {
        self.senders.iter_mut().find(|sender| sender.source == source).unwrap()
    }

    /// NTP time of this peer's clock.
    fn ntp(&self, now_us: u64) -> u64 {
        let seconds = now_us as f64 / 1e6 * (1.0 + self.clock_drift_ppm / 1e6);
        (self.clock_offset_s << 32) + (seconds * 4_294_967_296.0) as u64
    }

    /// Sends again later what a test wants sent from here.
    pub fn send_rtcp(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut out = Vec::new();
        rtcp::write_receiver_report(&mut out, SSRC, &[]);
        write(&mut out);
        self.rtcp_index += 1;
        self.outbound.protect_rtcp(&mut out, 0, self.rtcp_index);
        self.waiting.push(out);
    }

    /// Any RTP packet, encrypted with this peer's key.
    pub fn send_rtp(&mut self, mut bytes: Vec<u8>, header_len: usize, index: u64) {
        self.outbound.protect_rtp(&mut bytes, 0, header_len, index);
        self.waiting.push(bytes);
    }

    pub fn send_raw(&mut self, bytes: Vec<u8>) {
        self.waiting.push(bytes);
    }

    /// What it sends in this millisecond: (from, datagram).
    pub fn tick(&mut self, now_us: u64) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut out = std::mem::take(&mut self.waiting);
        if self.checking && now_us >= self.next_check_us {
            self.next_check_us = now_us + CHECK_INTERVAL_US;
            out.push(self.check(false));
        }
        if self.has_keys {
            let mut packets = Vec::new();
            for sender in &mut self.senders {
                packets.extend(sender.frame(now_us, &mut self.twcc));
            }
            for mut packet in packets {
                self.outbound.protect_rtp(&mut packet.bytes, 0, packet.header_len, packet.index);
                out.push(packet.bytes);
            }
            if self.asks && now_us >= self.next_nack_us {
                self.next_nack_us = now_us + NACK_INTERVAL_US;
                out.extend(self.nack(now_us));
            }
            if now_us >= self.next_report_us {
                self.next_report_us = now_us + REPORT_INTERVAL_US;
                out.extend(self.report(now_us));
            }
        }
        let address = self.address;
        out.into_iter().map(|datagram| (address, datagram)).collect()
    }

    /// A connectivity check; `controlled`: the peer believes that the node leads.
    pub fn check(&self, controlled: bool) -> Vec<u8> {
        let node = credentials(self.place, &self.generation);
        let mut out = Vec::new();
        let username = format!("{}:{}", node.local_ufrag, node.remote_ufrag);
        let mut builder = Builder::new(&mut out, Class::Request, &[9; 12]).username(&username).priority(100);
        builder = if controlled { builder.controlled(1) } else { builder.controlling(1) };
        if self.nominating {
            builder = builder.use_candidate();
        }
        builder.integrity(&IntegrityKey::new(&node.local_pwd)).finish();
        out
    }

    fn report(&mut self, now_us: u64) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        for sender in self.senders.iter().filter(|sender| sender.active) {
            let info = SenderInfo {
                ssrc: sender.ssrc,
                ntp: self.ntp(now_us),
                rtp_timestamp: sender.timestamp(now_us),
                packets: 1,
                octets: 1,
            };
            rtcp::write_sender_report(&mut out, &info, &[]);
            rtcp::write_cname(&mut out, sender.ssrc, "publisher");
        }
        let blocks: Vec<_> = self
            .slots
            .iter()
            .filter_map(|slot| {
                let (at_us, last_sr) = slot.last_sr?;
                let delay_since_last_sr = ((now_us - at_us) * 65_536 / 1_000_000) as u32;
                Some(ReportBlock { ssrc: slot.ssrc, last_sr, delay_since_last_sr, ..Default::default() })
            })
            .collect();
        if out.is_empty() && blocks.is_empty() {
            return Vec::new();
        }
        rtcp::write_receiver_report(&mut out, SSRC, &blocks);
        self.rtcp_index += 1;
        self.outbound.protect_rtcp(&mut out, 0, self.rtcp_index);
        vec![out]
    }

    /// Asks for every missing packet, at once and then each 60 ms.
    fn nack(&mut self, now_us: u64) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for slot in self.slots.iter_mut().filter(|slot| slot.nack) {
            let due: Vec<u16> = slot
                .missing
                .iter_mut()
                .filter(|(_, due)| **due <= now_us)
                .map(|(index, due)| {
                    *due = now_us + 60_000;
                    *index as u16
                })
                .collect();
            if due.is_empty() {
                continue;
            }
            slot.nacks += 1;
            let mut out = Vec::new();
            rtcp::write_receiver_report(&mut out, SSRC, &[]);
            rtcp::write_nack(&mut out, SSRC, slot.ssrc, &due);
            self.rtcp_index += 1;
            self.outbound.protect_rtcp(&mut out, 0, self.rtcp_index);
            all.push(out);
        }
        all
    }

    pub fn receive(&mut self, now_us: u64, datagram: &mut [u8]) {
        match classify(datagram) {
            Kind::Stun => self.receive_stun(datagram),
            Kind::Dtls => self.heard.dtls.push(datagram.to_vec()),
            Kind::Rtp => self.receive_rtp(now_us, datagram),
            Kind::Rtcp => self.receive_rtcp(now_us, datagram),
            Kind::Other => panic!("the node sends nothing of the kind"),
        }
    }

    fn receive_stun(&mut self, datagram: &[u8]) {
        let message = stun::Message::parse(datagram).unwrap();
        match message.error_code {
            Some(code) => self.heard.error_codes.push(code),
            None => {
                let key = IntegrityKey::new(&credentials(self.place, &self.generation).local_pwd);
                // Answers to checks from before a restart or a move may still be under way.
                let current = message.verify(&key) && message.xor_mapped_address == Some(self.address);
                self.checks_answered += u64::from(current);
            }
        }
    }

    fn receive_rtp(&mut self, now_us: u64, datagram: &mut [u8]) {
        let header = RtpHeader::parse(datagram).unwrap();
        // Copies made by the network are replays; whatever else fails is the node's fault.
        let plain = match self.inbound.unprotect_rtp(datagram, header.len) {
            Ok(plain) => plain,
            Err(srtp::SrtpError::Replayed) => {
                if let Some(slot) = self.slots.iter_mut().find(|slot| slot.ssrc == header.ssrc) {
                    slot.repeated += 1;
                }
                return;
            }
            Err(error) => panic!("{error:?}"),
        };
        let packet = &datagram[..plain.len];
        let mut payload = &packet[header.payload(packet).unwrap()];
        let again = self.rtx_originals.get(&header.ssrc).copied();
        let Some(at) = again.or_else(|| self.slots.iter().position(|slot| slot.ssrc == header.ssrc)) else {
            panic!("an SSRC that was not answered: {:x}", header.ssrc);
        };
        let slot = &mut self.slots[at];
        let mut index = plain.index;
        if again.is_some() {
            assert_eq!(Some(header.ssrc), slot.rtx_ssrc);
            let (sequence, rest) = payload.split_first_chunk::<2>().unwrap();
            let newest = *slot.packets.keys().last().unwrap_or(&index);
            let distance = u16::from_be_bytes(*sequence).wrapping_sub(newest as u16) as i16;
            index = newest.checked_add_signed(i64::from(distance)).unwrap();
            payload = rest;
        }
        if let Some((_, value)) = header.extensions(packet).find(|(id, _)| *id == 2) {
            self.twcc_received.insert(u16::from_be_bytes(value.try_into().unwrap()));
        }
        if let Some(&newest) = slot.packets.keys().last() {
            for missing in newest + 1..index {
                slot.missing.insert(missing, now_us + 5000);
            }
        }
        slot.missing.remove(&index);
        let received = Received {
            at_us: now_us,
            timestamp: header.timestamp,
            marker: header.marker,
            csrc: header.csrcs(packet).next().unwrap_or(0),
            payload: payload.to_vec(),
            content: Content::read(payload),
            extensions: header.extensions(packet).map(|(id, value)| (id, value.to_vec())).collect(),
            again: again.is_some(),
        };
        slot.packets.entry(index).or_insert(received);
    }

    fn receive_rtcp(&mut self, now_us: u64, datagram: &mut [u8]) {
        let len = match self.inbound.unprotect_rtcp(datagram) {
            Ok(len) => len,
            Err(srtp::SrtpError::Replayed) => return,
            Err(error) => panic!("{error:?}"),
        };
        for (n, packet) in Compound::new(&datagram[..len]).enumerate() {
            let packet = packet.unwrap();
            if n == 0 {
                assert!(
                    matches!(packet, Packet::SenderReport { .. } | Packet::ReceiverReport { .. }),
                    "{packet:?}"
                );
            }
            self.hear(now_us, &packet);
        }
    }

    fn hear(&mut self, now_us: u64, packet: &Packet) {
        match *packet {
            Packet::SenderReport { info, .. } => {
                let slot = self.slots.iter_mut().find(|slot| slot.ssrc == info.ssrc).unwrap();
                slot.reports.push((now_us, info));
                slot.last_sr = Some((now_us, (info.ntp >> 16) as u32));
            }
            Packet::ReceiverReport { reports, .. } => self.heard.blocks.extend(reports),
            Packet::Pli { media, .. } => {
                self.heard.plis.push((now_us, media));
                self.key_frame(media);
            }
            Packet::Fir { entries, .. } => {
                for (media, _) in entries {
                    self.heard.firs.push((now_us, media));
                    self.key_frame(media);
                }
            }
            Packet::Nack { media, lost, .. } => {
                let Some(sender) = self.senders.iter_mut().find(|sender| sender.ssrc == media) else {
                    return;
                };
                for sequence in lost {
                    self.heard.nacked += 1;
                    if let Some(mut packet) = sender.again(sequence, &mut self.twcc) {
                        self.outbound.protect_rtp(&mut packet.bytes, 0, packet.header_len, packet.index);
                        self.waiting.push(packet.bytes);
                    }
                }
            }
            Packet::TransportFeedback(feedback) => {
                self.heard.feedback += 1;
                for (sequence, arrival) in feedback.arrivals() {
                    let known = self.heard.arrivals.entry(sequence).or_default();
                    *known = known.or(arrival);
                }
            }
            _ => {}
        }
    }

    fn key_frame(&mut self, media: u32) {
        if let Some(sender) = self.senders.iter_mut().find(|sender| sender.ssrc == media) {
            sender.key_wanted = true;
        }
    }
}
