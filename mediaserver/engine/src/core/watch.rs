//! What must be noticed in time: silence, slots that wait, who speaks.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Core, Event, IceState};

const WATCH: Duration = Duration::from_millis(100);
const RANK: Duration = Duration::from_millis(250);

impl Core {
    pub(super) fn watch(&mut self, now: Instant) {
        if now >= self.watch_due {
            self.watch_due = now + WATCH;
            self.watch_transports(now);
            self.watch_sources(now);
            self.watch_slots(now);
        }
        if now >= self.rank_due {
            self.rank_due = now + RANK;
            self.rank_speakers(now);
        }
    }

    fn watch_transports(&mut self, now: Instant) {
        for t in 0..self.transports.end() {
            let Some(transport) = self.transports.get(t) else { continue };
            let (id, remote) = (transport.id, transport.ice.selected().map(|path| path.remote));
            if self.transports[t].ice.expire(now) {
                let remote = remote.unwrap_or_else(|| ([0, 0, 0, 0], 0).into());
                self.emit(Event::Ice { transport: id, state: IceState::Expired, remote });
                // Should it come back, its slots begin anew with key frames.
                for at in 0..self.transports[t].slots.len() {
                    let s = self.transports[t].slots[at];
                    self.end_handover(s);
                }
            }
        }
    }

    fn watch_sources(&mut self, now: Instant) {
        for p in 0..self.producers.end() {
            let silent = self.producers.get(p).filter(|producer| producer.live && !producer.is_live(now));
            if let Some(source) = silent.map(|producer| producer.parameters.source) {
                self.producers[p].live = false;
                self.emit(Event::Source { source, live: false });
            }
        }
    }

    /// Ends handovers that took too long, and asks again for key frames that are awaited.
    fn watch_slots(&mut self, now: Instant) {
        for s in 0..self.slots.end() {
            let Some(slot) = self.slots.get(s) else { continue };
            if slot.handover.is_some_and(|until| now >= until) {
                self.end_handover(s);
            }
            let slot = &self.slots[s];
            if slot.wanted == 0 || !slot.is_video() || !self.transports[slot.transport].is_ready() {
                continue;
            }
            let Some(&p) = self.by_source.get(&slot.wanted) else { continue };
            for l in self.awaited_layers(now, s, p).into_iter().flatten() {
                if self.may_ask(p) && self.producers[p].layers[l].keyframe.remind(now) {
                    self.send_keyframe_request(p, l);
                }
            }
        }
    }

    /// The layers whose key frame would help a slot that wants a producer.
    fn awaited_layers(&self, now: Instant, s: usize, p: usize) -> [Option<usize>; 2] {
        let (slot, producer) = (&self.slots[s], &self.producers[p]);
        let shown = slot.rewriter.current().filter(|segment| segment.feed.producer == p);
        let shown = shown.filter(|segment| producer.layers[segment.feed.layer].serial == segment.feed.serial);
        match shown.map(|segment| segment.feed.layer) {
            // Whichever comes first: a small picture now is better than a large one later.
            None => producer.first_layers(now),
            Some(layer) => [producer.preferred(now).filter(|&preferred| preferred != layer), None],
        }
    }

    /// Stops what is shown; what is wanted may still come.
    fn end_handover(&mut self, s: usize) {
        let slot = &mut self.slots[s];
        slot.handover = None;
        let shown = slot.rewriter.current().map(|segment| segment.feed.producer);
        slot.rewriter.stop();
        self.tell_empty(s);
        if let Some(p) = shown {
            self.subscribe(s, p);
        }
    }

    /// A producer has, or gets, watchers: a key frame is needed at once.
    pub(super) fn ask_keyframe(&mut self, now: Instant, p: usize) {
        if !self.may_ask(p) || !self.producers[p].is_wanted() {
            return;
        }
        for l in self.producers[p].first_layers(now).into_iter().flatten() {
            if self.producers[p].layers[l].keyframe.ask(now) {
                self.send_keyframe_request(p, l);
            }
        }
    }

    /// A transport can send media from now on: its slots want pictures.
    pub(super) fn ask_for_waiting_slots(&mut self, now: Instant, t: usize) {
        if !self.transports[t].is_ready() {
            return;
        }
        for at in 0..self.transports[t].slots.len() {
            let slot = &self.slots[self.transports[t].slots[at]];
            if slot.is_waiting() && slot.is_video() {
                if let Some(&p) = self.by_source.get(&slot.wanted) {
                    self.ask_keyframe(now, p);
                }
            }
        }
    }

    /// Somebody says that nothing comes of a source.
    pub(super) fn request_keyframe(&mut self, now: Instant, source: u32) -> Option<()> {
        let p = *self.by_source.get(&source)?;
        self.ask_keyframe(now, p);
        Some(())
    }

    fn rank_speakers(&mut self, now: Instant) {
        let mut groups: BTreeMap<u32, Vec<(u32, u8)>> = BTreeMap::new();
        for producer in self.producers.iter_mut() {
            if let Some(level) = producer.loudness.speaking(now) {
                groups
                    .entry(producer.parameters.group)
                    .or_default()
                    .push((producer.parameters.source, level));
            }
        }
        for &group in self.rankings.keys() {
            groups.entry(group).or_default();
        }
        for (group, levels) in groups {
            let silent = levels.is_empty();
            if let Some(levels) = self.rankings.entry(group).or_default().update(levels) {
                self.emit(Event::Speakers { group, levels });
            }
            if silent {
                self.rankings.remove(&group);
            }
        }
    }
}
