//! One receiving section of a peer: a constant stream whose content the server chooses.

use std::time::{Duration, Instant};

use super::cache::Cached;
use super::parameters::{Extension, MediaKind, SlotParameters};
use super::producer::Producer;
use super::rewriter::{Beginning, Feed, Rewriter, Segment};
use super::stats::SlotStats;
use crate::wire::rtp::HeaderFields;

/// How long the old source goes on while the new one's key frame is awaited.
const HANDOVER: Duration = Duration::from_secs(1);
/// Packets before the first of a key frame that may belong to it: parameter sets.
const RESERVED: u64 = 4;
/// A packet is not sent again sooner than this after the last time.
const MIN_REPEAT_MS: u32 = 10;
const REPEATS: usize = 512;
/// Extensions in one header: mid, one of time, and those that are passed.
const MAX_EXTENSIONS: usize = 2 + Extension::PASSED.len();

#[derive(Debug)]
pub struct Slot {
    pub transport: usize,
    pub parameters: SlotParameters,
    /// Assigned; 0: nobody.
    pub wanted: u32,
    /// As last told in an event.
    pub told: u32,
    /// When the old source is stopped, whether or not the new one has begun.
    pub handover: Option<Instant>,
    pub rewriter: Rewriter,
    /// The next index on the RTX stream.
    pub rtx_next: u64,
    /// When the next sender report is due.
    pub report_due: Option<Instant>,
    pub packets: u64,
    pub bytes: u64,
    pub retransmitted: u64,
    pub switches: u64,
    /// By the peer's last receiver report, of 256.
    pub fraction_lost: u8,
    /// When indices were sent again, by index modulo length: (index, milliseconds).
    repeats: Vec<(u64, u32)>,
}

/// Whether a packet of a subscribed producer is for the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// As the current segment's packet with this index.
    Pass(u64),
    /// A segment begins with this number; what is in the cache from there on follows.
    Begin(u64),
    No,
}

impl Slot {
    /// `random`: first sequence numbers and timestamp.
    pub fn new(transport: usize, parameters: SlotParameters, mut random: impl FnMut() -> u32) -> Self {
        let first = u64::from(random() & 0x7fff);
        let rewriter = Rewriter::new(parameters.clock_rate, first, random());
        Self {
            transport,
            parameters,
            wanted: 0,
            told: 0,
            handover: None,
            rewriter,
            rtx_next: u64::from(random() & 0x7fff),
            report_due: None,
            packets: 0,
            bytes: 0,
            retransmitted: 0,
            switches: 0,
            fraction_lost: 0,
            repeats: Vec::new(),
        }
    }

    pub fn is_video(&self) -> bool {
        self.parameters.kind == MediaKind::Video
    }

    /// Whether the slot can carry what the producer sends.
    pub fn fits(&self, producer: &Producer) -> bool {
        let offered = (producer.parameters.codec, producer.parameters.clock_rate);
        (self.parameters.codec, self.parameters.clock_rate) == offered
    }

    /// The source that is forwarded; 0: none.
    pub fn source(&self) -> u32 {
        self.rewriter.current().map_or(0, |segment| segment.feed.source)
    }

    /// It shows something else than it should, or nothing.
    pub fn is_waiting(&self) -> bool {
        self.wanted != 0 && self.source() != self.wanted
    }

    pub fn stats(&self) -> SlotStats {
        SlotStats {
            mid: self.parameters.mid.clone(),
            ssrc: self.parameters.ssrc,
            wanted: self.wanted,
            source: self.source(),
            packets: self.packets,
            bytes: self.bytes,
            retransmitted: self.retransmitted,
            switches: self.switches,
            fraction_lost: self.fraction_lost,
        }
    }

    /// Wants another source from now on. True: what was shown stops at once.
    pub fn assign(&mut self, now: Instant, source: u32) -> bool {
        self.wanted = source;
        self.handover = None;
        if self.source() == source {
            return false;
        }
        if source != 0 && self.told != 0 {
            self.handover = Some(now + HANDOVER);
        }
        // Sound switches at once; a picture stays until the next one's key frame.
        let stops = source == 0 || !self.is_video();
        if stops {
            self.rewriter.stop();
        }
        stops
    }

    /// Where a packet of a layer, just stored in its cache, belongs.
    pub fn admit(&self, now: Instant, producer: &Producer, at: usize, packet: &Cached) -> Admission {
        let layer = &producer.layers[at];
        let current = self.rewriter.current();
        if let Some(segment) = current.filter(|segment| segment.feed.serial == layer.serial) {
            return segment.index(packet.number).map_or(Admission::No, Admission::Pass);
        }
        let source = producer.parameters.source;
        if self.wanted != source || !packet.starts_key_frame {
            return Admission::No;
        }
        let moves = match current.map(|segment| segment.feed).filter(|feed| feed.source == source) {
            None => true,
            // Another layer: upwards, or away from one that has fallen silent.
            Some(feed) => producer.layers.get(feed.layer).is_none_or(|from| {
                from.serial != feed.serial || producer.is_larger(at, feed.layer) || !from.is_alive(now)
            }),
        };
        match (moves, self.is_video()) {
            (false, _) => Admission::No,
            (true, false) => Admission::Begin(packet.number),
            (true, true) => Admission::Begin(first_of_frame(producer, at, packet)),
        }
    }

    /// Begins a segment; `ntp`: the node's time of the packet's capture or arrival.
    pub fn begin(&mut self, feed: Feed, number: u64, packet: &Cached, ntp: u64) {
        let vp8 = packet.vp8;
        let beginning = Beginning {
            number,
            timestamp: packet.timestamp,
            picture_id: vp8.and_then(|vp8| vp8.picture_id).unwrap_or(0),
            tl0_pic_idx: vp8.and_then(|vp8| vp8.tl0_pic_idx).unwrap_or(0),
            ntp,
        };
        if self.source() != feed.source {
            self.switches += 1;
        }
        self.rewriter.begin(feed, &beginning);
        self.handover = None;
    }

    /// Whether a retransmission differs from the first transmission only on another SSRC.
    /// Without RTX it must be the same packet to the bit: one SRTP index, one content.
    pub fn may_vary(&self) -> bool {
        !self.parameters.nack || self.rtx().is_some()
    }

    /// Payload type and SSRC of retransmissions.
    pub fn rtx(&self) -> Option<(u8, u32)> {
        self.parameters.rtx_payload_type.zip(self.parameters.rtx_ssrc)
    }

    /// Appends header and payload of one packet to `out`, as it is in this slot; returns the
    /// header's length. `rtx`: the sequence number of a retransmission.
    pub fn write(
        &self,
        segment: &Segment,
        packet: &Cached,
        index: u64,
        rtx: Option<u16>,
        times: &Times,
        out: &mut Vec<u8>,
    ) -> usize {
        let parameters = &self.parameters;
        let (mut extensions, mut count) = ([(0, &[][..]); MAX_EXTENSIONS], 0);
        let mut add = |extension, value| {
            if let Some(id) = parameters.extensions.get(extension) {
                extensions[count] = (id, value);
                count += 1;
            }
        };
        add(Extension::Mid, parameters.mid.as_bytes());
        if let Some(twcc) = &times.twcc {
            add(Extension::Twcc, twcc);
        } else if let Some(abs_send_time) = &times.abs_send_time {
            add(Extension::AbsSendTime, abs_send_time);
        }
        packet.passed.iter().for_each(|(extension, value)| add(extension, value));

        let original = (parameters.payload_type, parameters.ssrc);
        let (payload_type, ssrc) = rtx.and_then(|_| self.rtx()).unwrap_or(original);
        // The first sound of a new speaker begins a talkspurt (RFC 3551, 4.1).
        let talkspurt = !self.is_video() && segment.is_first(index);
        let header_len = HeaderFields {
            marker: packet.marker || talkspurt,
            payload_type,
            sequence: rtx.unwrap_or(index as u16),
            timestamp: segment.timestamp(packet.timestamp),
            ssrc,
            csrcs: &[segment.feed.source],
            extensions: &extensions[..count],
        }
        .write(out);
        if rtx.is_some() {
            out.extend_from_slice(&(index as u16).to_be_bytes());
        }
        let start = out.len();
        out.extend_from_slice(&packet.payload);
        if let Some((id, tl0)) = picture(segment, packet) {
            if let Some(vp8) = &packet.vp8 {
                vp8.rewrite(&mut out[start..], id, tl0);
            }
        }
        header_len
    }

    /// Takes note that a packet of the current segment goes out.
    pub fn sent(&mut self, segment: &Segment, packet: &Cached, index: u64) {
        self.rewriter.sent(index, segment.timestamp(packet.timestamp), picture(segment, packet));
        self.packets += 1;
        self.bytes += packet.payload.len() as u64;
    }

    /// Whether an index may be sent again now; takes note that it is.
    pub fn repeat(&mut self, index: u64, now_ms: u32, rtt_ms: Option<u32>) -> bool {
        if self.repeats.is_empty() {
            self.repeats = vec![(u64::MAX, 0); REPEATS];
        }
        let place = &mut self.repeats[(index % REPEATS as u64) as usize];
        let wait = rtt_ms.map_or(MIN_REPEAT_MS, |rtt| (rtt * 4 / 5).clamp(MIN_REPEAT_MS, 500));
        if place.0 == index && now_ms.wrapping_sub(place.1) < wait {
            return false;
        }
        *place = (index, now_ms);
        true
    }
}

/// Header extensions that say when, or as which of its transport, a packet is sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    pub twcc: Option<[u8; 2]>,
    pub abs_send_time: Option<[u8; 3]>,
}

/// The rewritten picture id and TL0PICIDX of a VP8 packet.
fn picture(segment: &Segment, packet: &Cached) -> Option<(u16, u8)> {
    let vp8 = packet.vp8?;
    let id = segment.picture_id(vp8.picture_id?);
    Some((id, segment.tl0_pic_idx(vp8.tl0_pic_idx.unwrap_or(0))))
}

/// The number from which a frame is forwarded whose key frame begins, as far as seen, at
/// `packet`: earlier packets of it may lie in the cache, and lost ones may still come.
fn first_of_frame(producer: &Producer, at: usize, packet: &Cached) -> u64 {
    let cache = &producer.layers[at].cache;
    let (mut first, mut start) = (packet.number, packet);
    while let Some(before) = first.checked_sub(1).and_then(|number| cache.get(number)) {
        if before.timestamp != packet.timestamp || before.payload.is_empty() {
            return first;
        }
        (first, start) = (before.number, before);
    }
    if start.is_complete_start {
        return first;
    }
    // The parameter sets may be what is missing: their places are kept free.
    let missing =
        (1..=RESERVED).take_while(|back| first.checked_sub(*back).is_some_and(|n| cache.get(n).is_none()));
    match cache.get(first.saturating_sub(missing.clone().count() as u64 + 1)) {
        Some(_) => first - missing.count() as u64,
        None => first, // nothing came before: the stream has just begun
    }
}
