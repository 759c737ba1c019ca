//! From a producer to its slots: the path that every packet takes once for each subscriber.

use std::time::Instant;

use super::cache::Cached;
use super::output::Output;
use super::rewriter::Feed;
use super::slot::{Admission, Slot};
use super::stats::Stats;
use super::transport::Transport;
use super::{emit, Core, Event};

impl Core {
    /// Sends a packet that lies in a layer's cache to all slots that show the layer, or begin
    /// to with it.
    pub(super) fn forward(&mut self, now: Instant, p: usize, l: usize, number: u64) {
        let Self { producers, slots, transports, output, stats, events, .. } = self;
        let producer = &producers[p];
        let layer = &producer.layers[l];
        let Some(packet) = layer.cache.get(number) else { return };
        let ntp = self.clock.ntp(now);
        let rate = producer.parameters.clock_rate;
        let clock = &transports[producer.transport].clock;
        let captured = clock.captured(layer.report.as_ref(), packet.timestamp, rate, ntp).unwrap_or(ntp);
        let feed = Feed { producer: p, layer: l, serial: layer.serial, source: producer.parameters.source };

        let mut left = Vec::new();
        for &s in &producer.slots {
            let slot = &mut slots[s];
            let transport = &mut transports[slot.transport];
            if !transport.is_ready() {
                continue;
            }
            let mut sender = Sender { transport, output, stats, ntp };
            match slot.admit(now, producer, l, packet) {
                Admission::No => {}
                Admission::Pass(index) => {
                    if slot.rewriter.is_newest(index) && slot.rewriter.is_off_line(packet.timestamp, captured)
                    {
                        slot.begin(feed, number, packet, captured);
                    }
                    sender.send(slot, packet);
                }
                Admission::Begin(first) => {
                    let before = slot.rewriter.current().map(|segment| segment.feed.producer);
                    slot.begin(feed, first, packet, captured);
                    slot.report_due = Some(now);
                    sender.transport.slot_reports_due = Some(now);
                    let newest = layer.cache.newest().unwrap_or(number);
                    for cached in (first..=newest).filter_map(|number| layer.cache.get(number)) {
                        sender.send(slot, cached);
                    }
                    left.extend(before.filter(|&before| before != p).map(|before| (s, before)));
                    if slot.told != feed.source {
                        slot.told = feed.source;
                        let (transport, mid) = (sender.transport.id, slot.parameters.mid.clone());
                        stats.slot_switches += 1;
                        emit(events, stats, Event::Slot { transport, mid, source: feed.source });
                    }
                }
            }
        }
        for (s, before) in left {
            self.subscribe(s, before);
        }
    }

    /// Answers a subscriber's NACK for one packet of a slot; `None`: it is not there, or was just sent.
    pub(super) fn retransmit(&mut self, now: Instant, t: usize, s: usize, sequence: u16) -> Option<()> {
        let slot = &mut self.slots[s];
        let transport = &mut self.transports[t];
        let (&segment, index) = slot.rewriter.find(sequence)?;
        let layer = self
            .producers
            .get(segment.feed.producer)
            .and_then(|producer| producer.layers.get(segment.feed.layer))
            .filter(|layer| layer.serial == segment.feed.serial);
        let packet = layer.and_then(|layer| layer.cache.get(segment.number(index)?));
        let packet = packet.filter(|_| transport.is_ready())?;
        let now_ms = (self.clock.micros(now) / 1000) as u32;
        if !slot.repeat(index, now_ms, transport.rtt_ms) {
            return None;
        }
        let times = transport.times(slot, self.clock.ntp(now));
        let rtx = slot.rtx().map(|_| slot.rtx_next);
        let start = self.output.bytes.len();
        let rtx_sequence = rtx.map(|rtx| rtx as u16);
        let header_len = slot.write(&segment, packet, index, rtx_sequence, &times, &mut self.output.bytes);
        if rtx.is_some() {
            slot.rtx_next += 1;
        }
        transport.send_rtp(&mut self.output, &mut self.stats, start, header_len, rtx.unwrap_or(index));
        slot.retransmitted += 1;
        self.stats.retransmitted += 1;
        Some(())
    }
}

/// What sending to one slot needs.
struct Sender<'a> {
    transport: &'a mut Transport,
    output: &'a mut Output,
    stats: &'a mut Stats,
    ntp: u64,
}

impl Sender<'_> {
    /// Sends a packet of the slot's current segment.
    fn send(&mut self, slot: &mut Slot, packet: &Cached) {
        let Some(&segment) = slot.rewriter.current() else { return };
        let Some(index) = segment.index(packet.number) else { return };
        let times = self.transport.times(slot, self.ntp);
        let start = self.output.bytes.len();
        let header_len = slot.write(&segment, packet, index, None, &times, &mut self.output.bytes);
        self.transport.send_rtp(self.output, self.stats, start, header_len, index);
        self.transport.allow_retransmission();
        slot.sent(&segment, packet, index);
    }
}
