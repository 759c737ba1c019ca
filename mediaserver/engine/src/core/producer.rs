//! One sending section of a peer: its layers, and who watches it.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use super::cache::{Cache, Cached, Passed};
use super::clock::SenderReport;
use super::keyframe::KeyframeRequests;
use super::nack::NackList;
use super::numbering::Numbering;
use super::parameters::{Codec, MediaKind, ProducerParameters};
use super::picture;
use super::receiver::{Arrival, Receiver};
use super::speakers::Loudness;
use super::stats::LayerStats;
use crate::wire::codec::{h264, vp8};

/// A layer that was silent for so long is not chosen, and left.
const LAYER_SILENCE: Duration = Duration::from_millis(500);
/// A layer that goes on under another SSRC keeps it for so long: late packets of the old one,
/// or a peer that takes turns, would begin it anew with each packet.
const SSRC_SETTLES: Duration = Duration::from_millis(500);
/// A source that was silent for so long is not live.
const SOURCE_SILENCE: Duration = Duration::from_secs(2);
/// Packets that are kept for retransmission: a second or more of large video.
const VIDEO_CACHE: usize = 1024;
const AUDIO_CACHE: usize = 128;

/// What a section sends; without simulcast it has one layer.
#[derive(Debug)]
pub struct Producer {
    pub transport: usize,
    pub parameters: ProducerParameters,
    /// In the order of the offer.
    pub layers: Vec<Layer>,
    /// Places of the slots that want it, or still show it.
    pub slots: Vec<usize>,
    /// As last told.
    pub live: bool,
    pub recorded: bool,
    pub loudness: Loudness,
}

/// One incoming stream.
#[derive(Debug)]
pub struct Layer {
    /// Empty without simulcast.
    pub rid: String,
    /// Names the stream: another SSRC, or a jump in it, makes it another one.
    pub serial: u64,
    pub ssrc: Option<u32>,
    pub receiver: Receiver,
    pub cache: Cache,
    pub nack: NackList,
    pub keyframe: KeyframeRequests,
    pub report: Option<SenderReport>,
    pub key_frames: u64,
    numbering: Numbering,
    /// When a packet with media came last.
    heard: Option<Instant>,
    /// When it went on under another SSRC.
    restarted: Option<Instant>,
    pixels: Option<u32>,
    /// Of the frame that told them.
    pixels_at: Option<u32>,
}

/// A packet that was decrypted and, where need be, taken out of its retransmission.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    pub index: u64,
    pub timestamp: u32,
    pub marker: bool,
    pub payload: &'a [u8],
    pub passed: Passed,
    /// Its payload type is not the producer's: it keeps its place and is not forwarded.
    pub foreign: bool,
    /// It came as a retransmission.
    pub again: bool,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// In the cache under this number, to be forwarded.
    Forward(u64),
    /// Padding: nothing to forward.
    Padding,
    Duplicate,
    TooOld,
}

impl Producer {
    pub fn new(transport: usize, parameters: ProducerParameters, mut serial: impl FnMut() -> u64) -> Self {
        let rtx: Vec<u32> = parameters.rtx_ssrcs.iter().map(|&(rtx, _)| rtx).collect();
        let media: Vec<u32> = parameters.ssrcs.iter().copied().filter(|ssrc| !rtx.contains(ssrc)).collect();
        // With rids the layers are told by them; else each declared SSRC is a layer.
        let count = if parameters.rids.is_empty() { media.len().max(1) } else { parameters.rids.len() };
        let layers = (0..count)
            .map(|at| {
                let rid = parameters.rids.get(at).cloned().unwrap_or_default();
                let ssrc = if parameters.rids.is_empty() { media.get(at).copied() } else { None };
                Layer::new(rid, serial(), ssrc, &parameters)
            })
            .collect();
        let (slots, live, loudness) = (Vec::new(), false, Loudness::default());
        Self { transport, parameters, layers, slots, live, recorded: false, loudness }
    }

    /// Whether somebody is to see it, now or later.
    pub fn is_wanted(&self) -> bool {
        self.recorded || !self.slots.is_empty()
    }

    pub fn is_video(&self) -> bool {
        self.parameters.kind == MediaKind::Video
    }

    /// Whether `a` shows more than `b`: by their pictures, else by their order in the offer.
    pub fn is_larger(&self, a: usize, b: usize) -> bool {
        match (self.layers[a].pixels, self.layers[b].pixels) {
            (Some(a), Some(b)) if a != b => a > b,
            _ => a > b,
        }
    }

    /// The largest layer that is being sent.
    pub fn preferred(&self, now: Instant) -> Option<usize> {
        self.alive(now).max_by(|&a, &b| self.order(a, b))
    }

    /// The layers to ask for a key frame when somebody has no picture yet: the largest, and the
    /// smallest, whose comes sooner. A source that sends nothing (a still board) is asked, too.
    pub fn first_layers(&self, now: Instant) -> [Option<usize>; 2] {
        let Some(large) = self.preferred(now) else {
            return [self.layers.iter().position(|layer| layer.ssrc.is_some()), None];
        };
        let small = self.alive(now).min_by(|&a, &b| self.order(a, b));
        [Some(large), small.filter(|&small| small != large)]
    }

    fn alive(&self, now: Instant) -> impl Iterator<Item = usize> + '_ {
        (0..self.layers.len()).filter(move |&at| self.layers[at].is_alive(now))
    }

    fn order(&self, a: usize, b: usize) -> Ordering {
        if self.is_larger(a, b) {
            Ordering::Greater
        } else {
            Ordering::Less
        }
    }

    /// Whether RTP has come in the last 2 s.
    pub fn is_live(&self, now: Instant) -> bool {
        self.layers.iter().any(|layer| layer.was_heard(now, SOURCE_SILENCE))
    }

    /// Takes one packet of a layer; `serial`: what the layer is called from a jump on.
    pub fn accept(
        &mut self,
        now: Instant,
        micros: i64,
        at: usize,
        packet: &Incoming,
        serial: impl FnOnce() -> u64,
    ) -> Accepted {
        let codec = self.parameters.codec;
        let nacks = self.parameters.nack;
        self.layers[at].accept(now, micros, codec, nacks, packet, serial)
    }
}

impl Layer {
    fn new(rid: String, serial: u64, ssrc: Option<u32>, parameters: &ProducerParameters) -> Self {
        let capacity = match parameters.kind {
            MediaKind::Audio => AUDIO_CACHE,
            MediaKind::Video => VIDEO_CACHE,
        };
        Self {
            rid,
            serial,
            ssrc,
            receiver: Receiver::new(parameters.clock_rate),
            cache: Cache::new(capacity),
            nack: NackList::new(parameters.rtx_payload_type.is_some()),
            keyframe: KeyframeRequests::default(),
            report: None,
            key_frames: 0,
            numbering: Numbering::default(),
            heard: None,
            restarted: None,
            pixels: None,
            pixels_at: None,
        }
    }

    pub fn may_restart(&self, now: Instant) -> bool {
        self.restarted.is_none_or(|at| now.saturating_duration_since(at) >= SSRC_SETTLES)
    }

    /// The same layer goes on under another SSRC.
    pub fn restart(&mut self, now: Instant, serial: u64, ssrc: u32, parameters: &ProducerParameters) {
        let rid = std::mem::take(&mut self.rid);
        *self = Self { restarted: Some(now), ..Self::new(rid, serial, Some(ssrc), parameters) };
    }

    pub fn is_alive(&self, now: Instant) -> bool {
        self.was_heard(now, LAYER_SILENCE)
    }

    fn was_heard(&self, now: Instant, within: Duration) -> bool {
        self.heard.is_some_and(|heard| now.saturating_duration_since(heard) < within)
    }

    /// The peer says that the stream has ended (BYE).
    pub fn end(&mut self) {
        self.heard = None;
    }

    pub fn stats(&self, now: Instant, source: u32) -> LayerStats {
        LayerStats {
            source,
            rid: self.rid.clone(),
            ssrc: self.ssrc.unwrap_or(0),
            packets: self.receiver.packets,
            bytes: self.receiver.bytes,
            lost: self.receiver.lost(),
            repaired: self.receiver.repaired,
            jitter_ms: self.receiver.jitter_ms(),
            key_frames: self.key_frames,
            live: self.was_heard(now, SOURCE_SILENCE),
        }
    }

    fn accept(
        &mut self,
        now: Instant,
        micros: i64,
        codec: Codec,
        nacks: bool,
        packet: &Incoming,
        serial: impl FnOnce() -> u64,
    ) -> Accepted {
        let index = packet.index;
        let before = self.receiver.highest();
        let arrival = self.receiver.accept(index);
        if !packet.again {
            self.receiver.packets += 1;
            self.receiver.bytes += packet.payload.len() as u64;
        }
        let empty = packet.foreign || packet.payload.is_empty();
        match arrival {
            Arrival::Duplicate => return Accepted::Duplicate,
            Arrival::TooOld => return Accepted::TooOld,
            Arrival::Late => {
                self.nack.arrived(now, index, packet.again);
            }
            Arrival::Newest { missing } => {
                if !packet.again {
                    self.receiver.time(packet.timestamp, micros);
                }
                if nacks && missing > 0 && !self.nack.lost(now, index - missing, index) {
                    self.keyframe.want();
                }
            }
            Arrival::Jump { from } => {
                self.nack.clear();
                self.cache.clear();
                self.numbering.skip(from, index - 1);
                self.serial = serial();
            }
        }
        if packet.again {
            self.receiver.repaired += 1;
        }
        if empty && before.is_none_or(|before| index > before) {
            self.numbering.skip(index, index);
            return Accepted::Padding;
        }
        self.heard = Some(now);
        let Some(number) = self.numbering.number(index) else { return Accepted::TooOld };
        // Padding that comes late has a number already: an empty packet closes the gap.
        let payload = if empty { &[][..] } else { packet.payload };
        let cached = self.describe(codec, number, packet, payload);
        if cached.starts_key_frame {
            self.key_frames += 1;
            if arrival != Arrival::Late {
                self.keyframe.arrived(now);
                self.measure(codec, packet.timestamp, payload);
            }
        }
        match self.cache.store(cached, payload) {
            true => Accepted::Forward(number),
            false => Accepted::TooOld,
        }
    }

    /// A frame has one size: slots that change layers by it are sent the whole frame, once.
    fn measure(&mut self, codec: Codec, timestamp: u32, payload: &[u8]) {
        if self.pixels_at == Some(timestamp) {
            return;
        }
        if let Some(pixels) = picture::pixels(codec, payload) {
            (self.pixels, self.pixels_at) = (Some(pixels), Some(timestamp));
        }
    }

    fn describe(&self, codec: Codec, number: u64, packet: &Incoming, payload: &[u8]) -> Cached {
        let (starts_key_frame, is_complete_start, vp8) = match codec {
            Codec::Opus => (true, true, None),
            Codec::H264 => (h264::starts_key_frame(payload), h264::holds_sps(payload), None),
            Codec::Vp8 => (vp8::starts_key_frame(payload), true, vp8::Descriptor::parse(payload)),
        };
        Cached {
            number,
            timestamp: packet.timestamp,
            marker: packet.marker,
            starts_key_frame,
            is_complete_start,
            passed: packet.passed,
            vp8,
            payload: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::parameters::ExtensionIds;

    fn producer(rids: &[&str], ssrcs: &[u32]) -> Producer {
        let parameters = ProducerParameters {
            source: 1,
            group: 1,
            kind: MediaKind::Video,
            codec: Codec::H264,
            clock_rate: 90_000,
            mid: "0".into(),
            payload_type: 96,
            rtx_payload_type: Some(97),
            ssrcs: ssrcs.to_vec(),
            rtx_ssrcs: vec![(101, 100)],
            rids: rids.iter().map(|rid| rid.to_string()).collect(),
            extensions: ExtensionIds::default(),
            nack: true,
            pli: true,
            fir: false,
            twcc: false,
        };
        let mut serial = 0;
        Producer::new(0, parameters, || {
            serial += 1;
            serial
        })
    }

    fn send(producer: &mut Producer, now: Instant, at: usize, index: u64, payload: &[u8]) -> Accepted {
        let packet = Incoming {
            index,
            timestamp: 0,
            marker: false,
            payload,
            passed: Passed::default(),
            foreign: false,
            again: false,
        };
        producer.accept(now, 0, at, &packet, || 77)
    }

    #[test]
    fn layers_come_from_rids_or_from_declared_media_ssrcs() {
        assert_eq!(producer(&["q", "f"], &[1, 2]).layers.len(), 2);
        let layers = producer(&[], &[100, 101, 200]).layers;
        assert_eq!(layers.iter().map(|layer| layer.ssrc).collect::<Vec<_>>(), [Some(100), Some(200)]);
        assert_eq!(producer(&[], &[]).layers.len(), 1);
    }

    #[test]
    fn padding_is_left_out_and_late_padding_closes_its_gap() {
        let (mut p, now) = (producer(&[], &[]), Instant::now());
        assert_eq!(send(&mut p, now, 0, 10, &[0x41]), Accepted::Forward(10));
        assert_eq!(send(&mut p, now, 0, 11, &[]), Accepted::Padding);
        assert_eq!(send(&mut p, now, 0, 13, &[0x41]), Accepted::Forward(12));
        assert_eq!(send(&mut p, now, 0, 12, &[]), Accepted::Forward(11), "empty");
        assert_eq!(send(&mut p, now, 0, 12, &[]), Accepted::Duplicate);
        assert!(p.layers[0].cache.get(11).unwrap().payload.is_empty());
    }

    #[test]
    fn a_jump_makes_another_stream_with_numbers_that_go_on() {
        let (mut p, now) = (producer(&[], &[]), Instant::now());
        send(&mut p, now, 0, 10, &[0x41]);
        assert_eq!(send(&mut p, now, 0, 20_010, &[0x67]), Accepted::Forward(11));
        assert_eq!(p.layers[0].serial, 77);
        assert!(p.layers[0].cache.get(10).is_none());
    }

    #[test]
    fn prefers_the_largest_picture_that_is_sent() {
        let (mut p, now) = (producer(&["x", "y", "z"], &[]), Instant::now());
        assert_eq!(p.preferred(now), None);
        for (at, pixels) in [(0, 500), (1, 900), (2, 100)] {
            send(&mut p, now, at, 10, &[0x41]);
            p.layers[at].pixels = Some(pixels);
        }
        assert_eq!((p.preferred(now), p.first_layers(now)), (Some(1), [Some(1), Some(2)]));
        let later = now + LAYER_SILENCE;
        send(&mut p, later, 0, 11, &[0x41]);
        assert_eq!((p.preferred(later), p.first_layers(later)), (Some(0), [Some(0), None]));
        assert!(p.is_live(later) && !p.is_live(later + SOURCE_SILENCE));
    }
}
