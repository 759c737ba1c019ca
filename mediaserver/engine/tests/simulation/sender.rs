//! A peer's encoder: frames with a content that tells where and when they were made.

use std::collections::HashMap;

use _engine::core::{Codec, Extension, ExtensionIds, MediaKind, ProducerParameters};
use _engine::wire::rtp::HeaderFields;

/// Ids of the header extensions in every sending section.
pub const MID: u8 = 5;
pub const RID: u8 = 6;
pub const REPAIRED_RID: u8 = 7;
pub const TWCC: u8 = 8;
pub const AUDIO_LEVEL: u8 = 9;
pub const ORIENTATION: u8 = 10;

/// What a packet's payload says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Content {
    pub source: u32,
    pub frame: u32,
    pub part: u8,
    pub key: bool,
    /// In the world's time.
    pub captured_us: u64,
}

impl Content {
    const LEN: usize = 18;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.source.to_be_bytes());
        out.extend_from_slice(&self.frame.to_be_bytes());
        out.extend_from_slice(&[self.part, u8::from(self.key)]);
        out.extend_from_slice(&self.captured_us.to_be_bytes());
    }

    /// From the end of a payload.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let bytes = payload.get(payload.len().checked_sub(Self::LEN)?..)?;
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        Some(Self {
            source: word(0),
            frame: word(4),
            part: bytes[8],
            key: bytes[9] != 0,
            captured_us: u64::from(word(10)) << 32 | u64::from(word(14)),
        })
    }
}

#[derive(Clone)]
pub struct Sender {
    pub source: u32,
    pub codec: Codec,
    pub ssrc: u32,
    pub rtx_ssrc: u32,
    pub mid: String,
    pub rid: String,
    pub payload_type: u8,
    /// Index (ROC and sequence number) of the next packet.
    pub index: u64,
    pub rtx_index: u64,
    pub timestamp_base: u32,
    /// How much faster the device's clock runs, in parts per million.
    pub drift_ppm: f64,
    pub interval_us: u64,
    /// Packets of a frame.
    pub parts: u8,
    pub active: bool,
    pub key_wanted: bool,
    pub picture_id: u16,
    pub tl0_pic_idx: u8,
    /// -dBov.
    pub level: u8,
    /// Packets of padding behind each frame.
    pub padding: u8,
    pub key_frames: Vec<u64>,
    next_frame_us: u64,
    pub frame: u32,
    history: HashMap<u16, (Vec<u8>, u32, bool)>,
}

/// A packet before encryption.
pub struct Plain {
    pub bytes: Vec<u8>,
    pub header_len: usize,
    pub index: u64,
}

impl Sender {
    pub fn new(source: u32, codec: Codec) -> Self {
        let audio = codec == Codec::Opus;
        Self {
            source,
            codec,
            ssrc: 0x1000_0000 + source * 16,
            rtx_ssrc: 0x1000_0001 + source * 16,
            mid: format!("m{source}"),
            rid: String::new(),
            payload_type: if audio { 111 } else { 96 },
            index: 1000 + u64::from(source) * 77,
            rtx_index: 5,
            timestamp_base: source.wrapping_mul(0x9e37_79b9),
            drift_ppm: 0.0,
            interval_us: if audio { 20_000 } else { 40_000 },
            parts: if audio { 1 } else { 3 },
            active: true,
            key_wanted: true,
            picture_id: (source * 1000 % 0x8000) as u16,
            tl0_pic_idx: source as u8,
            level: 127,
            padding: 0,
            key_frames: Vec::new(),
            next_frame_us: 0,
            frame: 0,
            history: HashMap::new(),
        }
    }

    pub fn clock_rate(&self) -> u32 {
        if self.codec == Codec::Opus {
            48_000
        } else {
            90_000
        }
    }

    pub fn parameters(&self) -> ProducerParameters {
        let audio = self.codec == Codec::Opus;
        ProducerParameters {
            source: self.source,
            group: 1,
            kind: if audio { MediaKind::Audio } else { MediaKind::Video },
            codec: self.codec,
            clock_rate: self.clock_rate(),
            mid: self.mid.clone(),
            payload_type: self.payload_type,
            rtx_payload_type: (!audio).then_some(self.payload_type + 1),
            ssrcs: Vec::new(),
            rtx_ssrcs: Vec::new(),
            rids: Vec::new(),
            extensions: ExtensionIds::default()
                .with(Extension::Mid, MID)
                .with(Extension::Rid, RID)
                .with(Extension::RepairedRid, REPAIRED_RID)
                .with(Extension::Twcc, TWCC)
                .with(Extension::AudioLevel, AUDIO_LEVEL)
                .with(Extension::VideoOrientation, ORIENTATION),
            nack: !audio,
            pli: !audio,
            fir: false,
            twcc: true,
        }
    }

    /// The RTP timestamp of a moment.
    pub fn timestamp(&self, us: u64) -> u32 {
        let seconds = us as f64 / 1e6 * (1.0 + self.drift_ppm / 1e6);
        self.timestamp_base.wrapping_add((seconds * f64::from(self.clock_rate())) as u64 as u32)
    }

    /// The packets of the frame that is due, if one is. `twcc`: the transport's counter.
    pub fn frame(&mut self, now_us: u64, twcc: &mut u16) -> Vec<Plain> {
        if !self.active || now_us < self.next_frame_us {
            return Vec::new();
        }
        self.next_frame_us = now_us + self.interval_us;
        let key = std::mem::take(&mut self.key_wanted) && self.codec != Codec::Opus;
        if key {
            self.key_frames.push(now_us);
        }
        let parts = self.parts + if key { 2 } else { 0 };
        let mut packets = Vec::new();
        for part in 0..parts {
            let content = Content { source: self.source, frame: self.frame, part, key, captured_us: now_us };
            let payload = self.payload(&content);
            packets.push(self.packet(now_us, &payload, part + 1 == parts, twcc));
        }
        for _ in 0..self.padding {
            packets.push(self.packet(now_us, &[], false, twcc));
        }
        self.frame += 1;
        self.picture_id = (self.picture_id + 1) % 0x8000;
        self.tl0_pic_idx = self.tl0_pic_idx.wrapping_add(1);
        packets
    }

    /// H.264: SPS, PPS and IDR slices each in a packet. VP8: one partition.
    fn payload(&self, content: &Content) -> Vec<u8> {
        let mut payload = match (self.codec, content.key, content.part) {
            (Codec::Opus, ..) => vec![0xfc],
            (Codec::H264, true, 0) => vec![0x67],
            (Codec::H264, true, 1) => vec![0x68],
            (Codec::H264, true, _) => vec![0x65],
            (Codec::H264, false, _) => vec![0x41],
            (Codec::Vp8, key, part) => {
                let [high, low] = self.picture_id.to_be_bytes();
                let starts = if part == 0 { 0x10 } else { 0 };
                vec![0x80 | starts, 0xe0, 0x80 | high, low, self.tl0_pic_idx, 0, u8::from(!key)]
            }
        };
        content.write(&mut payload);
        payload
    }

    fn packet(&mut self, now_us: u64, payload: &[u8], marker: bool, twcc: &mut u16) -> Plain {
        let (index, timestamp) = (self.index, self.timestamp(now_us));
        self.index += 1;
        self.history.insert(index as u16, (payload.to_vec(), timestamp, marker));
        self.write(self.payload_type, self.ssrc, index, timestamp, marker, payload, twcc, RID)
    }

    /// Forgets what was sent.
    pub fn forget(&mut self) {
        self.history.clear();
    }

    /// A packet again, over RTX.
    pub fn again(&mut self, sequence: u16, twcc: &mut u16) -> Option<Plain> {
        let (payload, timestamp, marker) = self.history.get(&sequence)?.clone();
        let mut original = sequence.to_be_bytes().to_vec();
        original.extend_from_slice(&payload);
        let index = self.rtx_index;
        self.rtx_index += 1;
        Some(self.write(
            self.payload_type + 1,
            self.rtx_ssrc,
            index,
            timestamp,
            marker,
            &original,
            twcc,
            REPAIRED_RID,
        ))
    }

    #[allow(clippy::too_many_arguments)]
    fn write(
        &self,
        payload_type: u8,
        ssrc: u32,
        index: u64,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
        twcc: &mut u16,
        rid: u8,
    ) -> Plain {
        *twcc = twcc.wrapping_add(1);
        let counter = twcc.to_be_bytes();
        let level = [0x80 | self.level];
        let mut extensions: Vec<(u8, &[u8])> = vec![(MID, self.mid.as_bytes()), (TWCC, &counter)];
        if !self.rid.is_empty() {
            extensions.push((rid, self.rid.as_bytes()));
        }
        if self.codec == Codec::Opus {
            extensions.push((AUDIO_LEVEL, &level));
        } else if marker {
            extensions.push((ORIENTATION, &[1]));
        }
        let fields = HeaderFields {
            marker,
            payload_type,
            sequence: index as u16,
            timestamp,
            ssrc,
            csrcs: &[],
            extensions: &extensions,
        };
        let mut bytes = Vec::new();
        let header_len = fields.write(&mut bytes);
        bytes.extend_from_slice(payload);
        Plain { bytes, header_len, index }
    }
}
