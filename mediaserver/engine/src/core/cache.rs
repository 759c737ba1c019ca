//! A producer's last packets, plain: stored once, sent to every slot from here, and again.

use super::parameters::{Extension, ExtensionIds};
use crate::wire::codec::vp8;
use crate::wire::rtp::RtpHeader;

/// Bytes of passed header extensions that are kept: a colour space with HDR metadata has 28.
const EXTENSION_BYTES: usize = 48;

/// The header extensions that go to slots as they are.
#[derive(Clone, Copy, Debug)]
pub struct Passed {
    bytes: [u8; EXTENSION_BYTES],
    used: u8,
    /// Where each of [`Extension::PASSED`] lies: (start, length); length 0: not there.
    places: [(u8, u8); Extension::PASSED.len()],
}

impl Default for Passed {
    fn default() -> Self {
        Self { bytes: [0; EXTENSION_BYTES], used: 0, places: Default::default() }
    }
}

impl Passed {
    /// Picks them from a packet of a section with these ids.
    pub fn read(header: &RtpHeader, packet: &[u8], ids: &ExtensionIds) -> Self {
        let mut passed = Self::default();
        for (id, value) in header.extensions(packet) {
            let which = Extension::PASSED.iter().position(|&extension| ids.get(extension) == Some(id));
            let start = usize::from(passed.used);
            let Some(which) = which.filter(|_| start + value.len() <= EXTENSION_BYTES) else { continue };
            passed.bytes[start..start + value.len()].copy_from_slice(value);
            passed.places[which] = (passed.used, value.len() as u8);
            passed.used += value.len() as u8;
        }
        passed
    }

    pub fn get(&self, extension: Extension) -> Option<&[u8]> {
        let which = Extension::PASSED.iter().position(|&passed| passed == extension)?;
        let (start, len) = self.places[which];
        let value = &self.bytes[usize::from(start)..usize::from(start) + usize::from(len)];
        (!value.is_empty()).then_some(value)
    }

    /// Those that are there.
    pub fn iter(&self) -> impl Iterator<Item = (Extension, &[u8])> {
        Extension::PASSED.into_iter().filter_map(|extension| Some((extension, self.get(extension)?)))
    }
}

/// One packet, without what is different in each slot.
#[derive(Clone, Debug)]
pub struct Cached {
    /// [`super::numbering`].
    pub number: u64,
    pub timestamp: u32,
    pub marker: bool,
    /// A decoder can start here.
    pub starts_key_frame: bool,
    /// A key frame that starts here misses nothing before it.
    pub is_complete_start: bool,
    pub passed: Passed,
    pub vp8: Option<vp8::Descriptor>,
    pub payload: Vec<u8>,
}

/// A ring of packets by number.
#[derive(Clone, Debug)]
pub struct Cache {
    ring: Vec<Option<Cached>>,
    newest: Option<u64>,
}

impl Cache {
    /// `capacity`: packets.
    pub fn new(capacity: usize) -> Self {
        Self { ring: vec![None; capacity.max(1)], newest: None }
    }

    pub fn newest(&self) -> Option<u64> {
        self.newest
    }

    pub fn get(&self, number: u64) -> Option<&Cached> {
        let place = self.ring[self.place(number)].as_ref();
        place.filter(|cached| cached.number == number)
    }

    /// Stores a packet, in the memory of the one that it replaces. False: too old to keep.
    pub fn store(&mut self, packet: Cached, payload: &[u8]) -> bool {
        let newest = self.newest.unwrap_or(packet.number);
        if packet.number + self.ring.len() as u64 <= newest {
            return false;
        }
        self.newest = Some(newest.max(packet.number));
        let place = self.place(packet.number);
        let mut memory = self.ring[place].take().map(|old| old.payload).unwrap_or_default();
        memory.clear();
        memory.extend_from_slice(payload);
        self.ring[place] = Some(Cached { payload: memory, ..packet });
        true
    }

    pub fn clear(&mut self) {
        self.newest = None;
        self.ring.iter_mut().for_each(|place| *place = None);
    }

    fn place(&self, number: u64) -> usize {
        (number % self.ring.len() as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rtp::HeaderFields;

    fn packet(number: u64) -> Cached {
        Cached {
            number,
            timestamp: 0,
            marker: false,
            starts_key_frame: false,
            is_complete_start: false,
            passed: Passed::default(),
            vp8: None,
            payload: Vec::new(),
        }
    }

    #[test]
    fn keeps_the_last_packets_and_takes_late_ones() {
        let mut cache = Cache::new(8);
        for number in [10, 12, 11, 17] {
            assert!(cache.store(packet(number), &[number as u8]));
        }
        assert_eq!(cache.get(11).unwrap().payload, [11]);
        assert!(cache.get(13).is_none() && cache.get(18).is_none() && cache.get(3).is_none());
        assert!(cache.store(packet(18), &[18]));
        assert!(cache.get(10).is_none(), "replaced");
        assert!(!cache.store(packet(10), &[10]), "it would replace a newer one");
        assert_eq!((cache.newest(), cache.get(18).unwrap().payload[0]), (Some(18), 18));
        cache.clear();
        assert!(cache.get(18).is_none() && cache.newest().is_none());
    }

    #[test]
    fn picks_the_extensions_to_pass_by_the_ids_of_the_section() {
        let ids = ExtensionIds::default()
            .with(Extension::AudioLevel, 3)
            .with(Extension::PlayoutDelay, 4)
            .with(Extension::Mid, 5);
        let mut bytes = Vec::new();
        HeaderFields {
            marker: false,
            payload_type: 1,
            sequence: 1,
            timestamp: 1,
            ssrc: 1,
            csrcs: &[],
            extensions: &[(5, b"mid"), (4, &[1, 2, 3]), (3, &[0x85]), (7, &[1])],
        }
        .write(&mut bytes);
        let passed = Passed::read(&RtpHeader::parse(&bytes).unwrap(), &bytes, &ids);
        let found: Vec<_> = passed.iter().collect();
        assert_eq!(found, [(Extension::AudioLevel, &[0x85][..]), (Extension::PlayoutDelay, &[1, 2, 3])]);
        assert_eq!(passed.get(Extension::Mid), None);
    }
}
