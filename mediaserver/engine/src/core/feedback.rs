//! RTCP in: reports of publishers, wishes of subscribers.

use std::time::Instant;

use super::clock::SenderReport;
use super::receive::srtp_drop;
use super::{Core, Drop};
use crate::wire::rtcp::{Compound, Packet, ReportBlock, SenderInfo};
use crate::wire::srtp::SrtpError;

/// A round trip longer than this is a report about another clock.
const MAX_RTT_MS: u32 = 10_000;

impl Core {
    pub(super) fn receive_rtcp(&mut self, now: Instant, t: usize, datagram: &mut [u8]) {
        self.stats.rtcp_received += 1;
        let Some(keys) = &mut self.transports[t].inbound else {
            return self.stats.drop(Drop::NoKeys);
        };
        let len = match keys.unprotect_rtcp(datagram) {
            Ok(len) => len,
            Err(SrtpError::Malformed) => return self.stats.drop(Drop::RtcpMalformed),
            Err(error) => return self.stats.drop(srtp_drop(error)),
        };
        let mut compound = Compound::new(&datagram[..len]);
        let mut rest = compound.rest();
        while let Some(packet) = compound.next() {
            let bytes = &rest[..rest.len() - compound.rest().len()];
            rest = compound.rest();
            match packet {
                Ok(packet) => self.receive_report(now, t, &packet),
                Err(_) => self.stats.drop(Drop::RtcpMalformed),
            }
            if let Ok(Packet::SenderReport { info, .. }) = packet {
                self.tap_report(now, t, info.ssrc, bytes);
            }
        }
    }

    fn receive_report(&mut self, now: Instant, t: usize, packet: &Packet) {
        match *packet {
            Packet::SenderReport { info, reports } => {
                self.receive_sender_report(now, t, &info);
                reports.for_each(|report| self.receive_receiver_report(now, t, &report));
            }
            Packet::ReceiverReport { reports, .. } => {
                reports.for_each(|report| self.receive_receiver_report(now, t, &report));
            }
            Packet::Bye(ssrcs) => ssrcs.for_each(|ssrc| self.receive_bye(t, ssrc)),
            Packet::Nack { media, lost, .. } => {
                self.stats.nacks_received += 1;
                if let Some(s) = self.slot_of(t, media) {
                    for sequence in lost {
                        if !self.transports[t].may_ask_again(now) {
                            self.stats.drop(Drop::RetransmissionLimit);
                            break;
                        }
                        let sent = self.retransmit(now, t, s, sequence).is_some();
                        self.transports[t].asked_again(sent);
                    }
                }
            }
            Packet::Pli { media, .. } => self.receive_keyframe_request(now, t, media),
            Packet::Fir { entries, .. } => {
                entries.for_each(|(ssrc, _)| self.receive_keyframe_request(now, t, ssrc));
            }
            Packet::Remb { bitrate_bps, .. } => {
                self.stats.remb_received += 1;
                self.transports[t].remb_bps = bitrate_bps;
            }
            Packet::TransportFeedback(feedback) => {
                self.stats.twcc_feedback_received += 1;
                self.transports[t].take_feedback(&feedback);
            }
            Packet::SourceDescription(_) | Packet::Other { .. } => {}
        }
    }

    /// The slot whose stream a subscriber means.
    fn slot_of(&self, t: usize, ssrc: u32) -> Option<usize> {
        self.transports[t].slots.iter().copied().find(|&s| self.slots[s].parameters.ssrc == ssrc)
    }

    /// The layer with this SSRC among the peer's producers.
    pub(super) fn layer_of(&self, t: usize, ssrc: u32) -> Option<(usize, usize)> {
        self.transports[t].producers.iter().find_map(|&p| {
            let at = self.producers[p].layers.iter().position(|layer| layer.ssrc == Some(ssrc))?;
            Some((p, at))
        })
    }

    fn receive_sender_report(&mut self, now: Instant, t: usize, info: &SenderInfo) {
        let Some((p, l)) = self.layer_of(t, info.ssrc) else { return };
        // Before any media its timestamp may be of no stream at all.
        if info.ntp == 0 {
            return;
        }
        self.transports[t].clock.report(info.ntp, self.clock.ntp(now));
        self.producers[p].layers[l].report =
            Some(SenderReport { ntp: info.ntp, rtp_timestamp: info.rtp_timestamp, arrived: now });
    }

    fn receive_receiver_report(&mut self, now: Instant, t: usize, report: &ReportBlock) {
        let Some(s) = self.slot_of(t, report.ssrc) else { return };
        self.slots[s].fraction_lost = report.fraction_lost;
        if report.last_sr == 0 {
            return;
        }
        // RFC 3550, 6.4.1: in 1/65536 s.
        let sent = report.last_sr.wrapping_add(report.delay_since_last_sr);
        let rtt = ((self.clock.ntp(now) >> 16) as u32).wrapping_sub(sent);
        let rtt_ms = ((u64::from(rtt) * 1000) >> 16) as u32;
        if rtt_ms > MAX_RTT_MS {
            return;
        }
        let transport = &mut self.transports[t];
        transport.rtt_ms = Some(transport.rtt_ms.map_or(rtt_ms, |before| (before * 7 + rtt_ms) / 8));
    }

    fn receive_bye(&mut self, t: usize, ssrc: u32) {
        if let Some((p, l)) = self.layer_of(t, ssrc) {
            self.producers[p].layers[l].end();
        }
    }

    fn receive_keyframe_request(&mut self, now: Instant, t: usize, ssrc: u32) {
        self.stats.keyframe_requests_received += 1;
        let Some(s) = self.slot_of(t, ssrc) else { return };
        let Some(segment) = self.slots[s].rewriter.current() else { return };
        let (p, l) = (segment.feed.producer, segment.feed.layer);
        if self.may_ask(p) && self.producers[p].layers[l].keyframe.ask_for_receiver(now) {
            self.send_keyframe_request(p, l);
        }
    }
}
