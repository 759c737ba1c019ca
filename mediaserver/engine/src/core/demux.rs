//! Which producer and layer an RTP packet belongs to (RFC 9143, 9.2; RFC 8852).

use super::parameters::Extension;
use super::producer::Producer;
use super::table::Table;
use crate::wire::rtp::RtpHeader;

/// SSRCs of one transport that are known at a time.
const MAX_STREAMS: usize = 64;

/// Where an SSRC belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    pub ssrc: u32,
    pub producer: usize,
    pub layer: usize,
    /// Retransmissions of the layer (RFC 4588).
    pub repair: bool,
}

/// The SSRCs that have been seen, few enough to be walked through.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    known: Vec<Stream>,
}

impl Streams {
    pub fn find(&self, ssrc: u32) -> Option<Stream> {
        self.known.iter().find(|stream| stream.ssrc == ssrc).copied()
    }

    /// Remembers a stream, in place of the one that had its part before. False: too many.
    pub fn learn(&mut self, stream: Stream) -> bool {
        let part = |s: &Stream| (s.producer, s.layer, s.repair);
        self.known.retain(|known| known.ssrc != stream.ssrc && part(known) != part(&stream));
        let room = self.known.len() < MAX_STREAMS;
        if room {
            self.known.push(stream);
        }
        room
    }

    pub fn forget(&mut self, producer: usize) {
        self.known.retain(|known| known.producer != producer);
    }
}

/// Finds the place of an SSRC that was not seen before, among a transport's producers: by what
/// the offer declared, else by MID and RID, else by a payload type that only one of them has.
pub fn discover(
    producers: &Table<Producer>,
    of_transport: &[usize],
    header: &RtpHeader,
    packet: &[u8],
) -> Option<Stream> {
    let candidates = || of_transport.iter().map(|&place| (place, &producers[place]));
    let declared = candidates().find_map(|(place, producer)| {
        let (layer, repair) = declared_layer(producer, header.ssrc)?;
        Some((place, layer, repair))
    });
    let found = declared.or_else(|| {
        // A MID that names no producer is of a section that is not open: no guess then.
        let (place, producer) = match has_mid(candidates(), header, packet) {
            true => by_mid(candidates(), header, packet)?,
            false => by_payload_type(candidates(), header)?,
        };
        let (layer, repair) = layer(producer, header, packet)?;
        Some((place, layer, repair))
    });
    found.map(|(producer, layer, repair)| Stream { ssrc: header.ssrc, producer, layer, repair })
}

fn declared_layer(producer: &Producer, ssrc: u32) -> Option<(usize, bool)> {
    let with = |media: u32| producer.layers.iter().position(|layer| layer.ssrc == Some(media));
    let fid = producer.parameters.rtx_ssrcs.iter().find(|(rtx, _)| *rtx == ssrc);
    match fid {
        Some(&(_, media)) => Some((with(media)?, true)),
        None => Some((with(ssrc)?, false)),
    }
}

fn has_mid<'a>(
    mut candidates: impl Iterator<Item = (usize, &'a Producer)>,
    header: &RtpHeader,
    packet: &[u8],
) -> bool {
    candidates.any(|(_, producer)| {
        let id = producer.parameters.extensions.get(Extension::Mid);
        id.is_some_and(|id| header.extension(packet, id).is_some())
    })
}

fn by_mid<'a>(
    mut candidates: impl Iterator<Item = (usize, &'a Producer)>,
    header: &RtpHeader,
    packet: &[u8],
) -> Option<(usize, &'a Producer)> {
    candidates.find(|(_, producer)| {
        let id = producer.parameters.extensions.get(Extension::Mid);
        let mid = id.and_then(|id| header.extension(packet, id));
        mid == Some(producer.parameters.mid.as_bytes()) && takes(producer, header.payload_type)
    })
}

fn by_payload_type<'a>(
    candidates: impl Iterator<Item = (usize, &'a Producer)>,
    header: &RtpHeader,
) -> Option<(usize, &'a Producer)> {
    let mut matching = candidates.filter(|(_, producer)| takes(producer, header.payload_type));
    let first = matching.next()?;
    matching.next().is_none().then_some(first)
}

fn takes(producer: &Producer, payload_type: u8) -> bool {
    let parameters = &producer.parameters;
    payload_type == parameters.payload_type || Some(payload_type) == parameters.rtx_payload_type
}

/// The layer within a producer, and whether the packet is a retransmission of it.
fn layer(producer: &Producer, header: &RtpHeader, packet: &[u8]) -> Option<(usize, bool)> {
    let parameters = &producer.parameters;
    let repair = header.payload_type != parameters.payload_type;
    if producer.layers.len() == 1 {
        return Some((0, repair));
    }
    let named = |extension| {
        let rid = header.extension(packet, parameters.extensions.get(extension)?)?;
        producer.layers.iter().position(|layer| !rid.is_empty() && layer.rid.as_bytes() == rid)
    };
    if repair {
        return Some((named(Extension::RepairedRid)?, true));
    }
    // Without RID, SSRCs declared in the order of the rids tell.
    let by_order = || {
        let rtx = |ssrc: u32| parameters.rtx_ssrcs.iter().any(|&(rtx, _)| rtx == ssrc);
        let at = parameters.ssrcs.iter().filter(|&&ssrc| !rtx(ssrc)).position(|&ssrc| ssrc == header.ssrc);
        at.filter(|&at| at < producer.layers.len())
    };
    Some((named(Extension::Rid).or_else(by_order)?, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::parameters::{Codec, ExtensionIds, MediaKind, ProducerParameters};
    use crate::wire::rtp::HeaderFields;

    fn producer(mid: &str, payload_type: u8, rids: &[&str], ssrcs: &[u32]) -> Producer {
        let parameters = ProducerParameters {
            source: 1,
            group: 1,
            kind: MediaKind::Video,
            codec: Codec::Vp8,
            clock_rate: 90_000,
            mid: mid.into(),
            payload_type,
            rtx_payload_type: Some(payload_type + 1),
            ssrcs: ssrcs.to_vec(),
            rtx_ssrcs: ssrcs.iter().map(|ssrc| (ssrc + 1000, *ssrc)).collect(),
            rids: rids.iter().map(|rid| rid.to_string()).collect(),
            // The ids differ between sections.
            extensions: ExtensionIds::default()
                .with(Extension::Mid, payload_type % 7 + 1)
                .with(Extension::Rid, 10)
                .with(Extension::RepairedRid, 11),
            nack: true,
            pli: true,
            fir: false,
            twcc: false,
        };
        Producer::new(0, parameters, || 0)
    }

    fn found(
        producers: &[Producer],
        payload_type: u8,
        ssrc: u32,
        extensions: &[(u8, &[u8])],
    ) -> Option<(usize, usize, bool)> {
        let mut bytes = Vec::new();
        let fields = HeaderFields {
            marker: false,
            payload_type,
            sequence: 1,
            timestamp: 1,
            ssrc,
            csrcs: &[],
            extensions,
        };
        fields.write(&mut bytes);
        let mut table = Table::default();
        let places: Vec<_> = producers
            .iter()
            .map(|producer| table.insert(Producer::new(0, producer.parameters.clone(), || 0)))
            .collect();
        let stream = discover(&table, &places, &RtpHeader::parse(&bytes).unwrap(), &bytes)?;
        assert_eq!(stream.ssrc, ssrc);
        Some((stream.producer, stream.layer, stream.repair))
    }

    #[test]
    fn declared_ssrcs_come_first() {
        let producers = [producer("0", 96, &[], &[5]), producer("1", 96, &[], &[6])];
        assert_eq!(found(&producers, 96, 6, &[]), Some((1, 0, false)));
        assert_eq!(found(&producers, 97, 1006, &[]), Some((1, 0, true)));
        assert_eq!(found(&producers, 96, 7, &[]), None, "both have the payload type");
    }

    #[test]
    fn mid_and_rid_with_the_ids_of_the_section() {
        let producers = [producer("0", 96, &["q", "f"], &[]), producer("1", 100, &["q", "f"], &[])];
        assert_eq!(found(&producers, 100, 9, &[(3, b"1"), (10, b"f")]), Some((1, 1, false)));
        assert_eq!(found(&producers, 101, 9, &[(3, b"1"), (11, b"q")]), Some((1, 0, true)));
        assert_eq!(found(&producers, 96, 9, &[(6, b"0"), (10, b"x")]), None, "unknown rid");
        assert_eq!(found(&producers, 96, 9, &[(6, b"0")]), None, "no rid");
        assert_eq!(found(&producers, 97, 9, &[(6, b"0"), (10, b"q")]), None, "RTX of an unknown layer");
    }

    #[test]
    fn a_payload_type_that_one_producer_has() {
        let producers = [producer("0", 96, &[], &[]), producer("1", 100, &[], &[])];
        assert_eq!(found(&producers, 100, 9, &[]), Some((1, 0, false)));
        assert_eq!(found(&producers, 97, 9, &[]), Some((0, 0, true)));
        assert_eq!(found(&producers, 98, 9, &[]), None);
        assert_eq!(found(&producers, 100, 9, &[(3, b"2")]), None, "of a section that is not open");
    }

    #[test]
    fn rids_with_declared_ssrcs_in_the_same_order() {
        let producers = [producer("0", 96, &["q", "f"], &[5, 6])];
        assert_eq!(found(&producers, 96, 6, &[]), Some((0, 1, false)));
        assert_eq!(found(&producers, 96, 6, &[(10, b"q")]), Some((0, 0, false)), "the rid says more");
    }

    #[test]
    fn memory_of_streams_is_bounded_and_each_part_has_one_ssrc() {
        let mut streams = Streams::default();
        let stream = |ssrc, layer| Stream { ssrc, producer: 0, layer, repair: false };
        assert!(streams.learn(stream(1, 0)) && streams.learn(stream(2, 0)));
        assert_eq!((streams.find(1), streams.find(2)), (None, Some(stream(2, 0))));
        let learnt = (0..100).filter(|&n| streams.learn(stream(100 + n, n as usize))).count();
        assert_eq!(learnt, MAX_STREAMS);
        streams.forget(0);
        assert_eq!(streams.find(150), None);
    }
}
