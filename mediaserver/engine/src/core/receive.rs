//! Datagrams in: STUN checks, DTLS, RTP; RTCP goes on to `feedback`.

use std::time::Instant;

use super::cache::Passed;
use super::demux::{self, Stream};
use super::ice::Outcome;
use super::output::{Path, PathKey};
use super::parameters::Extension;
use super::producer::{Accepted, Incoming};
use super::{Core, Drop, Event, IceState};
use crate::wire::rtp::RtpHeader;
use crate::wire::srtp::SrtpError;
use crate::wire::stun::{self, Class, ErrorCode, Message};
use crate::wire::{classify, Kind};

impl Core {
    /// Takes one datagram; it is decrypted in place.
    pub fn receive(&mut self, now: Instant, path: Path, datagram: &mut [u8]) {
        self.stats.datagrams_received += 1;
        self.stats.bytes_received += datagram.len() as u64;
        let kind = classify(datagram);
        match kind {
            Kind::Stun => return self.receive_stun(now, path, datagram),
            Kind::Other => return self.stats.drop(Drop::UnknownKind),
            Kind::Dtls | Kind::Rtp | Kind::Rtcp => {}
        }
        let Some(&t) = self.by_address.get(&(path.socket, path.remote)) else {
            return self.stats.drop(Drop::UnknownAddress);
        };
        let transport = &mut self.transports[t];
        transport.packets_received += 1;
        transport.bytes_received += datagram.len() as u64;
        match kind {
            Kind::Dtls => {
                self.stats.dtls_received += 1;
                if !transport.may_cause_event(now) {
                    return self.stats.drop(Drop::PeerEventLimit);
                }
                let transport = transport.id;
                self.emit(Event::Dtls { transport, datagram: datagram.to_vec() });
            }
            Kind::Rtcp => self.receive_rtcp(now, t, datagram),
            _ => self.receive_rtp(now, t, datagram),
        }
    }

    fn receive_stun(&mut self, now: Instant, path: Path, datagram: &[u8]) {
        self.stats.stun_received += 1;
        let Ok(message) = Message::parse(datagram) else {
            return self.stats.drop(Drop::StunMalformed);
        };
        match (message.class, message.method) {
            (Class::Request, stun::BINDING) => {}
            (Class::Indication, stun::BINDING) => return, // keeps a NAT's binding, says nothing
            _ => return self.stats.drop(Drop::StunUnexpected),
        }
        // "ours:theirs": the first part tells whom it is for (RFC 8445, 7.3).
        let ufrag = message
            .username
            .and_then(|username| std::str::from_utf8(username).ok())
            .and_then(|username| username.split(':').next());
        let known = ufrag.and_then(|ufrag| Some((ufrag, *self.by_ufrag.get(ufrag)?)));
        // No answer to strangers: the port is not to be used to send to third parties.
        let Some((ufrag, t)) = known else { return self.stats.drop(Drop::StunUnknownUser) };
        let transport = &mut self.transports[t];
        let Some(key) = transport.ice.key(ufrag) else { return self.stats.drop(Drop::StunUnknownUser) };

        let start = self.output.bytes.len();
        let out = &mut self.output.bytes;
        let transaction = &message.transaction;
        let mut outcome = None;
        if !message.verify(key) {
            self.stats.drop(Drop::StunUnauthenticated);
            let code =
                if message.has_integrity() { ErrorCode::Unauthenticated } else { ErrorCode::BadRequest };
            stun::write_error(out, transaction, code, &[], None);
        } else if !message.unknown_attributes().is_empty() {
            let unknown = message.unknown_attributes();
            stun::write_error(out, transaction, ErrorCode::UnknownAttribute, unknown, Some(key));
        } else if message.controlled.is_some() {
            // An ICE-lite agent is controlled, always (RFC 8445, 6.1.1).
            stun::write_error(out, transaction, ErrorCode::RoleConflict, &[], Some(key));
        } else {
            stun::write_success(out, transaction, path.remote, key);
            outcome = Some(transport.ice.check(now, ufrag, &message, path));
        }
        self.stats.bytes_sent += (self.output.bytes.len() - start) as u64;
        self.output.commit(start, &path, &mut { PathKey::NONE });
        if let Some(outcome) = outcome {
            self.checked(now, t, path, outcome);
        }
    }

    /// A valid check has changed where the peer is.
    fn checked(&mut self, now: Instant, t: usize, path: Path, outcome: Outcome) {
        if let Some(closed) = outcome.closed {
            self.forget_address(t, &closed);
        }
        let transport = &mut self.transports[t];
        // Whoever checked last has the address: it may have been another's in between.
        self.by_address.insert((path.socket, path.remote), t);
        if outcome.opened {
            transport.flush_dtls(&mut self.output, &mut self.stats);
        }
        if let Some(retired) = outcome.retired {
            self.by_ufrag.remove(&retired);
        }
        if let Some(state) = outcome.state {
            transport.moved();
            let transport = (transport.id, state != IceState::Moved || transport.may_cause_event(now));
            match transport {
                (transport, true) => self.emit(Event::Ice { transport, state, remote: path.remote }),
                _ => self.stats.drop(Drop::PeerEventLimit),
            }
            self.ask_for_waiting_slots(now, t);
        }
    }

    pub(super) fn forget_address(&mut self, t: usize, path: &Path) {
        let key = (path.socket, path.remote);
        if self.by_address.get(&key) == Some(&t) {
            self.by_address.remove(&key);
        }
    }

    fn receive_rtp(&mut self, now: Instant, t: usize, datagram: &mut [u8]) {
        self.stats.rtp_received += 1;
        let Ok(header) = RtpHeader::parse(datagram) else {
            return self.stats.drop(Drop::RtpMalformed);
        };
        let Some(keys) = &mut self.transports[t].inbound else {
            return self.stats.drop(Drop::NoKeys);
        };
        let plain = match keys.unprotect_rtp(datagram, header.len) {
            Ok(plain) => plain,
            Err(error) => return self.stats.drop(srtp_drop(error)),
        };
        let packet = &datagram[..plain.len];
        let stream = self.stream(now, t, &header, packet);
        self.record_arrival(now, t, &header, packet, stream);
        let Ok(payload) = header.payload(packet) else {
            return self.stats.drop(Drop::RtpMalformed);
        };
        let payload = &packet[payload];
        let Some(stream) = stream else {
            // Probes come on SSRCs that are never named, without media.
            match payload {
                [] => self.stats.padding_received += 1,
                _ => self.stats.drop(Drop::UnknownStream),
            }
            return;
        };
        let producer = &self.producers[stream.producer];
        let parameters = &producer.parameters;
        let mut incoming = Incoming {
            index: plain.index,
            timestamp: header.timestamp,
            marker: header.marker,
            payload,
            passed: Passed::read(&header, packet, &parameters.extensions),
            foreign: header.payload_type != parameters.payload_type,
            again: false,
        };
        if stream.repair {
            // RFC 4588, 4: the original sequence number lies before the original payload.
            let Some((sequence, payload)) = payload.split_first_chunk::<2>().filter(|(_, p)| !p.is_empty())
            else {
                self.stats.padding_received += 1;
                return;
            };
            let sequence = u16::from_be_bytes(*sequence);
            let Some(index) = producer.layers[stream.layer].receiver.extend(sequence) else {
                return self.stats.drop(Drop::TooOld);
            };
            if Some(header.payload_type) != parameters.rtx_payload_type {
                return self.stats.drop(Drop::UnknownPayloadType);
            }
            incoming = Incoming { index, payload, foreign: false, again: true, ..incoming };
        } else if incoming.foreign && !payload.is_empty() {
            self.stats.drop(Drop::UnknownPayloadType);
        }
        if self.accept(now, &stream, &incoming) {
            self.tap_rtp(now, &stream, &header, packet, &incoming);
        }
    }

    /// Takes a packet into its layer and forwards it. False: a duplicate. What comes too late to
    /// be forwarded may still be recorded.
    fn accept(&mut self, now: Instant, stream: &Stream, incoming: &Incoming) -> bool {
        let producer = &mut self.producers[stream.producer];
        let micros = self.clock.micros(now);
        let serial = &mut self.serial;
        let accepted = producer.accept(now, micros, stream.layer, incoming, || {
            *serial += 1;
            *serial
        });
        match accepted {
            Accepted::Duplicate => {
                self.stats.drop(Drop::Duplicate);
                return false;
            }
            Accepted::TooOld => {
                self.stats.drop(Drop::TooOld);
                return true;
            }
            Accepted::Padding => {
                self.stats.padding_received += 1;
                return true;
            }
            Accepted::Forward(number) => {
                if let Some(&[level]) = incoming.passed.get(Extension::AudioLevel) {
                    producer.loudness.hear(now, level);
                }
                if !producer.live {
                    producer.live = true;
                    let source = producer.parameters.source;
                    self.emit(Event::Source { source, live: true });
                }
                self.forward(now, stream.producer, stream.layer, number);
            }
        }
        if incoming.again {
            self.stats.repaired += 1;
        }
        true
    }

    /// The stream of a packet, which may be new, or go on under a new SSRC.
    fn stream(&mut self, now: Instant, t: usize, header: &RtpHeader, packet: &[u8]) -> Option<Stream> {
        let transport = &mut self.transports[t];
        if let Some(stream) = transport.streams.find(header.ssrc) {
            return Some(stream);
        }
        let stream = demux::discover(&self.producers, &transport.producers, header, packet)?;
        let producer = &mut self.producers[stream.producer];
        let layer = &mut producer.layers[stream.layer];
        let restarts = !stream.repair && layer.ssrc.is_some_and(|ssrc| ssrc != header.ssrc);
        if restarts && !layer.may_restart(now) || !transport.streams.learn(stream) {
            return None;
        }
        if restarts {
            self.serial += 1;
            layer.restart(now, self.serial, header.ssrc, &producer.parameters);
        } else if !stream.repair {
            layer.ssrc = Some(header.ssrc);
        }
        Some(stream)
    }

    /// Every packet of the transport counts for its feedback, whatever stream it is of.
    fn record_arrival(
        &mut self,
        now: Instant,
        t: usize,
        header: &RtpHeader,
        packet: &[u8],
        stream: Option<Stream>,
    ) {
        let transport = &mut self.transports[t];
        // Feedback is of the transport: a section that did not ask for it is counted, too.
        if !transport.producers.iter().any(|&place| self.producers[place].parameters.twcc) {
            return;
        }
        let id = |place: usize| self.producers[place].parameters.extensions.get(Extension::Twcc);
        let id = match stream {
            Some(stream) => id(stream.producer),
            None => transport.producers.iter().find_map(|&place| id(place)),
        };
        let value = id.and_then(|id| header.extension(packet, id));
        if let Some(&[high, low]) = value {
            let micros = self.clock.micros(now);
            transport.arrivals.record(u16::from_be_bytes([high, low]), micros, header.ssrc);
        }
    }
}

pub(super) fn srtp_drop(error: SrtpError) -> Drop {
    match error {
        SrtpError::Malformed | SrtpError::NotEncrypted => Drop::RtpMalformed,
        SrtpError::Replayed => Drop::SrtpReplayed,
        SrtpError::Authentication => Drop::SrtpAuthentication,
        SrtpError::TooManyStreams => Drop::SrtpStreams,
    }
}
