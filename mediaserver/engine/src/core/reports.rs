//! RTCP out: receiver reports, NACKs, key frame requests and transport-wide feedback to
//! publishers; sender reports to subscribers.

use std::time::{Duration, Instant};

use super::output::Output;
use super::{Core, MediaKind};
use crate::wire::rtcp::{self, ReportBlock, SenderInfo};

/// Between two reports about one stream.
const INTERVAL: Duration = Duration::from_secs(1);
/// Between two looks whether a slot's source has told its time.
const RETRY: Duration = Duration::from_millis(50);
/// Compounds grow to about this.
const MAX_COMPOUND: usize = 1100;
/// Report blocks in one packet.
const MAX_BLOCKS: usize = 31;
const MAX_FEEDBACK_PACKETS: usize = 4;
/// Of streams of our feedback, which have no media.
const CNAME: &str = "kelian";

impl Core {
    /// Sends what is due of it.
    pub(super) fn report(&mut self, now: Instant) {
        for t in 0..self.transports.end() {
            if self.transports.get(t).is_some_and(|transport| transport.is_ready()) {
                self.report_arrivals(now, t);
                self.report_losses(now, t);
                self.report_reception(now, t);
                self.report_slots(now, t);
            }
        }
    }

    /// Transport-wide feedback.
    fn report_arrivals(&mut self, now: Instant, t: usize) {
        let micros = self.clock.micros(now);
        let transport = &mut self.transports[t];
        if !transport.arrivals.is_due(micros) {
            return;
        }
        let start = begin(&mut self.output, transport.ssrc, &[]);
        let out = &mut self.output.bytes;
        let packets = transport.arrivals.write(micros, transport.ssrc, MAX_FEEDBACK_PACKETS, out);
        self.stats.twcc_feedback_sent += packets as u64;
        transport.send_rtcp(&mut self.output, &mut self.stats, start);
    }

    /// NACKs, and key frame requests that were held back or that lost packets call for.
    fn report_losses(&mut self, now: Instant, t: usize) {
        for at in 0..self.transports[t].producers.len() {
            let p = self.transports[t].producers[at];
            for l in 0..self.producers[p].layers.len() {
                let producer = &mut self.producers[p];
                let (video, wanted) = (producer.is_video(), producer.is_wanted());
                let recorded = producer.recorded;
                let layer = &mut producer.layers[l];
                let mut lost = Vec::new();
                if !layer.nack.due(now, recorded, &mut lost) {
                    layer.keyframe.want();
                }
                let keyframe = layer.keyframe.due(now) && video && wanted;
                if let (false, Some(media)) = (lost.is_empty(), layer.ssrc) {
                    self.stats.nacks_sent += 1;
                    let transport = &mut self.transports[t];
                    let start = begin(&mut self.output, transport.ssrc, &[]);
                    rtcp::write_nack(&mut self.output.bytes, transport.ssrc, media, &lost);
                    transport.send_rtcp(&mut self.output, &mut self.stats, start);
                }
                if keyframe {
                    self.send_keyframe_request(p, l);
                }
            }
        }
    }

    /// Receiver reports.
    fn report_reception(&mut self, now: Instant, t: usize) {
        if now < self.transports[t].report_due {
            return;
        }
        self.transports[t].report_due = now + INTERVAL;
        let mut blocks: Vec<ReportBlock> = Vec::new();
        for at in 0..self.transports[t].producers.len() {
            let producer = &mut self.producers[self.transports[t].producers[at]];
            for layer in &mut producer.layers {
                if let (Some(ssrc), Some(_)) = (layer.ssrc, layer.receiver.highest()) {
                    blocks.push(layer.receiver.report(now, ssrc, layer.report.as_ref()));
                }
            }
        }
        let transport = &mut self.transports[t];
        for blocks in blocks.chunks(MAX_BLOCKS) {
            let start = begin(&mut self.output, transport.ssrc, blocks);
            transport.send_rtcp(&mut self.output, &mut self.stats, start);
        }
    }

    /// Sender reports of the slots.
    fn report_slots(&mut self, now: Instant, t: usize) {
        // Ten thousands of slots of a thousand peers are not looked at in each tick.
        if self.transports[t].slot_reports_due.is_none_or(|due| now < due) {
            return;
        }
        let mut next: Option<Instant> = None;
        let mut wait_until = |due: Instant| next = Some(next.map_or(due, |next| next.min(due)));
        let mut begun = self.output.bytes.len();
        for at in 0..self.transports[t].slots.len() {
            let s = self.transports[t].slots[at];
            let Some(due) = self.slots[s].report_due else { continue };
            if now < due {
                wait_until(due);
                continue;
            }
            let Some((ntp, rtp_timestamp)) = self.slot_time(now, s) else {
                wait_until(now + RETRY);
                continue;
            };
            wait_until(now + INTERVAL);
            let slot = &mut self.slots[s];
            slot.report_due = Some(now + INTERVAL);
            let info = SenderInfo {
                ssrc: slot.parameters.ssrc,
                ntp,
                rtp_timestamp,
                packets: slot.packets as u32,
                octets: slot.bytes as u32,
            };
            rtcp::write_sender_report(&mut self.output.bytes, &info, &[]);
            rtcp::write_cname(&mut self.output.bytes, info.ssrc, &slot.parameters.cname);
            if self.output.bytes.len() - begun > MAX_COMPOUND {
                self.transports[t].send_rtcp(&mut self.output, &mut self.stats, begun);
                begun = self.output.bytes.len();
            }
        }
        if self.output.bytes.len() > begun {
            self.transports[t].send_rtcp(&mut self.output, &mut self.stats, begun);
        }
        self.transports[t].slot_reports_due = next;
    }

    /// NTP and RTP time of what a slot shows, now: its source's own mapping, moved to the node's
    /// clock and the slot's timestamps. `None` until the source's first sender report.
    fn slot_time(&self, now: Instant, s: usize) -> Option<(u64, u32)> {
        let segment = self.slots[s].rewriter.current()?;
        let producer = self.producers.get(segment.feed.producer)?;
        let layer = producer.layers.get(segment.feed.layer)?;
        if layer.serial != segment.feed.serial {
            return None;
        }
        let (ntp, rate) = (self.clock.ntp(now), producer.parameters.clock_rate);
        let clock = &self.transports[producer.transport].clock;
        let timestamp = clock.timestamp_at(layer.report.as_ref()?, ntp, rate)?;
        Some((ntp, segment.timestamp(timestamp)))
    }

    /// Whether a producer's peer can be asked for anything.
    pub(super) fn may_ask(&self, p: usize) -> bool {
        let producer = &self.producers[p];
        producer.parameters.kind == MediaKind::Video && self.transports[producer.transport].is_ready()
    }

    /// Asks a layer for a key frame: by PLI, or by FIR when only that was negotiated.
    pub(super) fn send_keyframe_request(&mut self, p: usize, l: usize) {
        let producer = &self.producers[p];
        let (parameters, layer) = (&producer.parameters, &producer.layers[l]);
        let Some(media) = layer.ssrc else { return };
        let transport = &mut self.transports[producer.transport];
        let start = begin(&mut self.output, transport.ssrc, &[]);
        let out = &mut self.output.bytes;
        if parameters.fir && !parameters.pli {
            rtcp::write_fir(out, transport.ssrc, media, layer.keyframe.command);
        } else {
            rtcp::write_pli(out, transport.ssrc, media);
        }
        self.stats.keyframe_requests_sent += 1;
        transport.send_rtcp(&mut self.output, &mut self.stats, start);
    }
}

/// Begins a compound: a report and a CNAME come first (RFC 3550, 6.1).
fn begin(output: &mut Output, ssrc: u32, blocks: &[ReportBlock]) -> usize {
    let start = output.bytes.len();
    rtcp::write_receiver_report(&mut output.bytes, ssrc, blocks);
    rtcp::write_cname(&mut output.bytes, ssrc, CNAME);
    start
}
