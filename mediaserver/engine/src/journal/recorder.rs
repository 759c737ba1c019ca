//! The packet thread's end of the ring.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::Arc;

use super::ring::RingProducer;
use super::{Condition, Counters, Notice, Report, State};
use crate::core::{Codec, Extension, MediaKind, ProducerParameters, Protocol, Tap};

/// Kinds of records.
pub mod kind {
    /// An RTP packet, decrypted.
    pub const RTP: u32 = 1;
    /// A sender report.
    pub const RTCP: u32 = 2;
    /// The length of the file's key (u16), the key, the interface's description.
    pub const DESCRIBE: u32 = 3;
    /// Packets that found no room: the first and last stamp, and the count (u64 each).
    pub const GAP: u32 = 4;
    /// Nothing follows of this source.
    pub const END: u32 = 5;
}

/// The ring is so full, of 100: the disk is slow, and is not any more.
const SLOW: u64 = 50;
const EASED: u64 = 10;

/// Packets of one source that found no room.
#[derive(Clone, Copy, Debug)]
struct Gap {
    first_ns: u64,
    last_ns: u64,
    count: u64,
}

/// What of a source is still to be said before its next packet.
#[derive(Debug, Default)]
struct Held {
    /// The key of its file.
    file: String,
    describe: Option<Vec<u8>>,
    gap: Option<Gap>,
    ended: bool,
}

impl Held {
    fn is_empty(&self) -> bool {
        self.describe.is_none() && self.gap.is_none() && !self.ended
    }

    /// Says it; false: there is no room for all of it.
    fn settle(&mut self, ring: &mut RingProducer, source: u32) -> bool {
        if let Some(describe) = &self.describe {
            if !ring.push(kind::DESCRIBE, source, 0, &[describe]) {
                return false;
            }
            self.describe = None;
        }
        if let Some(gap) = self.gap {
            let words = [gap.first_ns, gap.last_ns, gap.count].map(u64::to_le_bytes);
            if !ring.push(kind::GAP, source, gap.last_ns, &[words.as_flattened()]) {
                return false;
            }
            self.gap = None;
        }
        if self.ended {
            self.ended = !ring.push(kind::END, source, 0, &[]);
        }
        !self.ended
    }
}

/// Hands packets to the writer thread; what finds no room is counted by source.
pub struct Recorder {
    ring: RingProducer,
    sources: HashMap<u32, Held>,
    /// Whether any of them holds something.
    held: bool,
    report: Report,
    condition: Arc<Condition>,
    counters: Arc<Counters>,
}

impl Recorder {
    pub(super) fn new(
        ring: RingProducer,
        report: Report,
        condition: Arc<Condition>,
        counters: Arc<Counters>,
    ) -> Self {
        Self { ring, sources: HashMap::new(), held: false, report, condition, counters }
    }

    /// Says when the disk has become slow, or well again.
    fn judge(&self) {
        let full = self.ring.percent_full();
        self.counters.ring_percent.store(full, Ordering::Relaxed);
        let (state, detail) = if full >= SLOW && self.condition.change(State::Ok, State::Slow) {
            (State::Slow, format!("{full} % of the ring wait for the disk"))
        } else if full <= EASED && self.condition.change(State::Slow, State::Ok) {
            (State::Ok, String::new())
        } else {
            return;
        };
        let files: BTreeSet<&str> = self.sources.values().map(|held| held.file.as_str()).collect();
        for file in files {
            (self.report)(Notice { file: file.into(), state, detail: detail.clone() });
        }
    }

    /// Says what is held of a source; false: there is no room.
    fn settle(&mut self, source: u32) -> bool {
        let Some(held) = self.sources.get_mut(&source).filter(|held| !held.is_empty()) else { return true };
        let ended = held.ended;
        if !held.settle(&mut self.ring, source) {
            return false;
        }
        if ended {
            self.sources.remove(&source);
        }
        self.held = self.sources.values().any(|held| !held.is_empty());
        true
    }

    fn miss(&mut self, source: u32, at_ns: u64) {
        if let Some(held) = self.sources.get_mut(&source) {
            let gap = held.gap.get_or_insert(Gap { first_ns: at_ns, last_ns: at_ns, count: 0 });
            gap.last_ns = at_ns;
            gap.count += 1;
            self.held = true;
        }
    }
}

impl Tap for Recorder {
    fn begin(&mut self, file: &str, label: &str, parameters: &ProducerParameters) {
        let mut describe = (file.len() as u16).to_le_bytes().to_vec();
        describe.extend_from_slice(file.as_bytes());
        describe.extend_from_slice(description(label, parameters).as_bytes());
        let held = self.sources.entry(parameters.source).or_default();
        held.file = file.into();
        held.describe = Some(describe);
        held.ended = false;
        self.held = true;
    }

    fn packet(&mut self, source: u32, at_ns: u64, protocol: Protocol, parts: &[&[u8]]) {
        let kind = match protocol {
            Protocol::Rtp => kind::RTP,
            Protocol::Rtcp => kind::RTCP,
        };
        if self.held && !self.settle(source) || !self.ring.push(kind, source, at_ns, parts) {
            self.miss(source, at_ns);
        }
    }

    fn end(&mut self, source: u32) {
        let Some(held) = self.sources.get_mut(&source) else { return };
        if held.describe.is_some() && held.gap.is_none() {
            // It never sent anything: its journal need not know of it.
            self.sources.remove(&source);
            return;
        }
        held.ended = true;
        self.held = true;
        self.settle(source);
    }

    fn tick(&mut self) {
        self.judge();
        if !self.held {
            return;
        }
        let late: Vec<u32> = self
            .sources
            .iter()
            .filter(|(_, held)| held.gap.is_some() || held.ended)
            .map(|(&source, _)| source)
            .collect();
        for source in late {
            self.settle(source);
        }
    }
}

/// The description of a source's interface: JSON.
fn description(label: &str, parameters: &ProducerParameters) -> String {
    let kind = match parameters.kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    };
    let codec = match parameters.codec {
        Codec::Opus => "opus",
        Codec::H264 => "h264",
        Codec::Vp8 => "vp8",
    };
    let extensions: Vec<String> = Extension::ALL
        .into_iter()
        .filter_map(|extension| {
            let id = parameters.extensions.get(extension)?;
            Some(format!("\"{}\":{id}", extension.name()))
        })
        .collect();
    format!(
        "{{\"source\":{},\"kind\":\"{kind}\",\"codec\":\"{codec}\",\"clock_rate\":{},\"payload_type\":{},\
         \"label\":{},\"extensions\":{{{}}}}}",
        parameters.source,
        parameters.clock_rate,
        parameters.payload_type,
        quoted(label),
        extensions.join(","),
    )
}

/// A JSON string (RFC 8259, 7).
fn quoted(text: &str) -> String {
    let mut json = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if c < ' ' => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted() {
        assert_eq!(quoted("use=camera;participant=李"), "\"use=camera;participant=李\"");
        assert_eq!(quoted("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
    }
}
