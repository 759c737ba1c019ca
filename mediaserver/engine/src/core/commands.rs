//! What the Python side wants.

use std::time::Instant;

use super::door::IceCredentials;
use super::producer::Producer;
use super::slot::Slot;
use super::transport::Transport;
use super::{Command, Core, Drop, Event, ProducerParameters, SlotParameters};
use crate::wire::srtp::{Profile, Receiver, Sender};

impl Core {
    /// Does what the Python side wants; what cannot be done is counted.
    pub fn command(&mut self, now: Instant, command: Command) {
        let done = match command {
            Command::OpenTransport { transport, credentials } => {
                self.open_transport(now, transport, &credentials)
            }
            Command::RestartIce { transport, credentials } => self.restart_ice(now, transport, &credentials),
            Command::SendDtls { transport, datagram } => self.send_dtls(transport, datagram),
            Command::SetSrtp { transport, profile, local_key, remote_key } => {
                self.set_srtp(now, transport, profile, &local_key, &remote_key)
            }
            Command::CloseTransport { transport } => self.close_transport(transport),
            Command::OpenProducer { transport, parameters } => self.open_producer(now, transport, parameters),
            Command::CloseProducer { source } => self.close_producer(source),
            Command::OpenSlot { transport, parameters } => self.open_slot(transport, parameters),
            Command::Assign(changes) => {
                for (transport, mid, source) in changes {
                    if self.assign(now, transport, &mid, source).is_none() {
                        self.stats.drop(Drop::Command);
                    }
                }
                Some(())
            }
            Command::RequestKeyframe { source } => self.request_keyframe(now, source),
            Command::Record { source, file, label } => self.record(now, source, &file, &label),
            Command::StopRecording { source } => self.stop_recording(source),
        };
        if done.is_none() {
            self.stats.drop(Drop::Command);
        }
    }

    fn place(&self, transport: u64) -> Option<usize> {
        self.by_id.get(&transport).copied()
    }

    fn open_transport(&mut self, now: Instant, id: u64, credentials: &IceCredentials) -> Option<()> {
        self.close_transport(id);
        if self.by_ufrag.contains_key(&credentials.local_ufrag) {
            return None;
        }
        if self.transports.is_empty() {
            (self.tick_due, self.watch_due, self.rank_due) = (now, now, now);
        }
        let transport = Transport::new(now, id, credentials, self.random.next_u32() | 1);
        let t = self.transports.insert(transport);
        self.by_id.insert(id, t);
        self.by_ufrag.insert(credentials.local_ufrag.clone(), t);
        Some(())
    }

    fn restart_ice(&mut self, now: Instant, id: u64, credentials: &IceCredentials) -> Option<()> {
        let t = self.place(id)?;
        if self.by_ufrag.contains_key(&credentials.local_ufrag) {
            return None;
        }
        if let Some(void) = self.transports[t].ice.restart(now, credentials) {
            self.by_ufrag.remove(&void);
        }
        self.by_ufrag.insert(credentials.local_ufrag.clone(), t);
        Some(())
    }

    fn send_dtls(&mut self, id: u64, datagram: Vec<u8>) -> Option<()> {
        let t = self.place(id)?;
        self.transports[t].send_dtls(&mut self.output, &mut self.stats, datagram);
        Some(())
    }

    fn set_srtp(
        &mut self,
        now: Instant,
        id: u64,
        profile: Profile,
        local: &[u8],
        remote: &[u8],
    ) -> Option<()> {
        let t = self.place(id)?;
        let (sender, receiver) = (Sender::new(profile, local).ok()?, Receiver::new(profile, remote).ok()?);
        let transport = &mut self.transports[t];
        (transport.outbound, transport.inbound) = (Some(sender), Some(receiver));
        self.ask_for_waiting_slots(now, t);
        Some(())
    }

    fn close_transport(&mut self, id: u64) -> Option<()> {
        let t = self.by_id.remove(&id)?;
        for p in self.transports[t].producers.clone() {
            let source = self.producers[p].parameters.source;
            self.close_producer(source);
        }
        let transport = self.transports.remove(t)?;
        for &s in &transport.slots {
            self.slots.remove(s);
        }
        // The only place where subscriptions of a slot must all be found: one walk for all of them,
        // for a lesson of a thousand ends with as many of these.
        let slots = &self.slots;
        self.producers.iter_mut().for_each(|producer| producer.slots.retain(|&s| slots.get(s).is_some()));
        for path in transport.ice.paths() {
            self.forget_address(t, path);
        }
        for ufrag in transport.ice.ufrags() {
            self.by_ufrag.remove(ufrag);
        }
        Some(())
    }

    fn open_producer(&mut self, now: Instant, id: u64, parameters: ProducerParameters) -> Option<()> {
        let t = self.place(id)?;
        let source = parameters.source;
        if source == 0 {
            return None;
        }
        self.close_producer(source);
        let serial = &mut self.serial;
        let producer = Producer::new(t, parameters, || {
            *serial += 1;
            *serial
        });
        let p = self.producers.insert(producer);
        self.by_source.insert(source, p);
        self.transports[t].producers.push(p);
        for s in 0..self.slots.end() {
            if self.slots.get(s).is_some_and(|slot| slot.wanted == source) {
                self.subscribe(s, p);
            }
        }
        self.ask_keyframe(now, p);
        Some(())
    }

    fn close_producer(&mut self, source: u32) -> Option<()> {
        self.stop_recording(source);
        let p = self.by_source.remove(&source)?;
        let producer = self.producers.remove(p)?;
        let transport = &mut self.transports[producer.transport];
        transport.producers.retain(|&place| place != p);
        transport.streams.forget(p);
        for s in producer.slots {
            if self.slots[s].source() == source {
                self.slots[s].rewriter.stop();
                self.tell_empty(s);
            }
        }
        if producer.live {
            self.emit(Event::Source { source, live: false });
        }
        Some(())
    }

    fn open_slot(&mut self, id: u64, parameters: SlotParameters) -> Option<()> {
        let t = self.place(id)?;
        if parameters.rtx_ssrc == Some(parameters.ssrc) {
            return None;
        }
        for &s in &self.transports[t].slots {
            let slot = &self.slots[s];
            if slot.parameters.mid == parameters.mid {
                // Retransmissions without RTX would be other packets under an SRTP index that
                // was used: what was negotiated stays.
                return (slot.parameters == parameters).then_some(());
            }
            let ssrcs = [Some(slot.parameters.ssrc), slot.parameters.rtx_ssrc];
            if ssrcs.contains(&Some(parameters.ssrc))
                || parameters.rtx_ssrc.is_some_and(|ssrc| ssrcs.contains(&Some(ssrc)))
            {
                return None;
            }
        }
        let random = &mut self.random;
        let s = self.slots.insert(Slot::new(t, parameters, || random.next_u32()));
        self.transports[t].slots.push(s);
        Some(())
    }

    fn assign(&mut self, now: Instant, id: u64, mid: &str, source: u32) -> Option<()> {
        let t = self.place(id)?;
        let s = *self.transports[t].slots.iter().find(|&&s| self.slots[s].parameters.mid == mid)?;
        let slot = &mut self.slots[s];
        if slot.wanted == source {
            return Some(());
        }
        let wanted_before = self.by_source.get(&slot.wanted).copied();
        let shown_before = slot.rewriter.current().map(|segment| segment.feed.producer);
        slot.assign(now, source);
        if source == 0 {
            self.tell_empty(s);
        }
        let wanted = self.by_source.get(&source).copied();
        for p in [wanted_before, shown_before, wanted].into_iter().flatten() {
            self.subscribe(s, p);
        }
        if let Some(p) = wanted.filter(|_| self.slots[s].is_waiting()) {
            self.ask_keyframe(now, p);
        }
        Some(())
    }

    /// Makes a slot a producer's subscriber, or not, as it should be.
    pub(super) fn subscribe(&mut self, s: usize, p: usize) {
        let (slot, producer) = (&self.slots[s], &mut self.producers[p]);
        let source = producer.parameters.source;
        let should = [slot.wanted, slot.source()].contains(&source) && slot.fits(producer);
        match producer.slots.iter().position(|&slot| slot == s) {
            None if should => producer.slots.push(s),
            Some(at) if !should => {
                producer.slots.swap_remove(at);
            }
            _ => {}
        }
    }

    /// Says that nothing is forwarded in a slot any more, unless that was said.
    pub(super) fn tell_empty(&mut self, s: usize) {
        let slot = &mut self.slots[s];
        if slot.told != 0 {
            slot.told = 0;
            slot.handover = None;
            let (transport, mid) = (self.transports[slot.transport].id, slot.parameters.mid.clone());
            self.emit(Event::Slot { transport, mid, source: 0 });
        }
    }
}
