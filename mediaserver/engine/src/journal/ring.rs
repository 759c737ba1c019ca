//! A ring of records in a shared file mapping: one thread pushes, one takes.
//!
//! The mapping outlives the process. A record is committed by moving `head` behind it, so that
//! whatever lies between `tail` and `head` after a SIGKILL is whole; each record repeats its own
//! position, which stale or foreign bytes do not have. Pushing costs two copies and no call: it
//! neither blocks nor allocates, and refuses when there is no room.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

/// The control page; as large as pages get.
const PAGE: usize = 1 << 16;
const MAGIC: u64 = u64::from_le_bytes(*b"KELIANR1");
/// Length, kind, source, position, stamp.
const HEADER: usize = 24;

/// The first page: positions count bytes since the ring was made and never go back.
#[repr(C)]
struct Control {
    magic: u64,
    capacity: u64,
    /// Behind the last record that was committed; on cache lines of their own.
    _a: [u64; 6],
    head: AtomicU64,
    _b: [u64; 7],
    /// Before the first record that is not in its file yet.
    tail: AtomicU64,
}

/// The control page, and the records mapped twice in a row: no record is ever split.
struct Mapping {
    control: *mut Control,
    records: *mut u8,
    capacity: usize,
    /// Keeps the lock that says that the ring is in use.
    _file: File,
}

// SAFETY: the two positions are atomic; bytes between them are written by one producer before it
// publishes `head`, and read by one consumer before it publishes `tail`.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

pub struct RingProducer {
    ring: Arc<Mapping>,
    head: u64,
    /// As last seen: the consumer's line of memory is touched only when the ring looks full.
    tail: u64,
}

pub struct RingConsumer {
    ring: Arc<Mapping>,
    next: u64,
}

/// What was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub kind: u32,
    pub source: u32,
    pub at_ns: u64,
    pub bytes: &'a [u8],
}

/// Makes a ring in an empty file. `capacity`: bytes, a multiple of 65536. The memory is taken at
/// once: a file system without room says so here, not by a signal later.
pub fn create(file: File, capacity: usize) -> io::Result<(RingProducer, RingConsumer)> {
    assert!(capacity > 0 && capacity.is_multiple_of(PAGE), "a ring of {capacity} bytes");
    // SAFETY: the descriptor is open; the call has no other preconditions.
    let error = unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, (PAGE + capacity) as libc::off_t) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let ring = Arc::new(Mapping::new(file, capacity)?);
    // SAFETY: the page is mapped, writable and not yet shared.
    unsafe {
        (*ring.control).capacity = capacity as u64;
        (*ring.control).magic = MAGIC;
    }
    Ok((RingProducer { ring: Arc::clone(&ring), head: 0, tail: 0 }, RingConsumer { ring, next: 0 }))
}

/// Opens what a killed process left. Its records are read and stay where they are.
pub fn open(file: File) -> io::Result<RingConsumer> {
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "not a ring");
    let len = file.metadata()?.len() as usize;
    if len <= PAGE || !len.is_multiple_of(PAGE) {
        return Err(bad());
    }
    let ring = Arc::new(Mapping::new(file, len - PAGE)?);
    // SAFETY: the page is mapped; nobody writes to it any more.
    let (magic, capacity) = unsafe { ((*ring.control).magic, (*ring.control).capacity) };
    let (head, tail) = (ring.head().load(Ordering::Acquire), ring.tail().load(Ordering::Acquire));
    let fits = head.checked_sub(tail).is_some_and(|used| used <= capacity);
    if magic != MAGIC || capacity != ring.capacity as u64 || !fits {
        return Err(bad());
    }
    Ok(RingConsumer { ring, next: tail })
}

impl Mapping {
    fn new(file: File, capacity: usize) -> io::Result<Self> {
        let control = map(&file, ptr::null_mut(), PAGE, 0, 0)?;
        let mapping = |records: *mut u8| Self { control: control.cast(), records, capacity, _file: file };
        // Room for both copies, which then replace it.
        // SAFETY: a new private mapping; nothing of ours is touched.
        let room = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            libc::mmap(ptr::null_mut(), 2 * capacity, libc::PROT_NONE, flags, -1, 0)
        };
        if room == libc::MAP_FAILED {
            let error = io::Error::last_os_error();
            // SAFETY: our own mapping, which nobody has seen.
            unsafe { libc::munmap(control.cast(), PAGE) };
            return Err(error);
        }
        let ring = mapping(room.cast());
        map(&ring._file, ring.records, capacity, PAGE, libc::MAP_FIXED)?;
        // SAFETY: within the room.
        let second = unsafe { ring.records.add(capacity) };
        map(&ring._file, second, capacity, PAGE, libc::MAP_FIXED)?;
        Ok(ring)
    }

    fn head(&self) -> &AtomicU64 {
        // SAFETY: mapped as long as `self` is.
        unsafe { &(*self.control).head }
    }

    fn tail(&self) -> &AtomicU64 {
        // SAFETY: mapped as long as `self` is.
        unsafe { &(*self.control).tail }
    }

    /// Where a position lies; `capacity` bytes may be used from there.
    fn at(&self, position: u64) -> *mut u8 {
        // SAFETY: the offset is below `capacity`.
        unsafe { self.records.add((position % self.capacity as u64) as usize) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: our own mappings, to which no reference is left.
        unsafe {
            libc::munmap(self.control.cast(), PAGE);
            libc::munmap(self.records.cast(), 2 * self.capacity);
        }
    }
}

fn map(file: &File, at: *mut u8, len: usize, offset: usize, flags: libc::c_int) -> io::Result<*mut u8> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_POPULATE | flags;
    // SAFETY: `at` is null, or room that the caller has reserved for this.
    let mapped =
        unsafe { libc::mmap(at.cast(), len, protection, flags, file.as_raw_fd(), offset as libc::off_t) };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(mapped.cast())
}

impl RingProducer {
    /// Appends one record of several parts; false: there is no room, and nothing was done.
    pub fn push(&mut self, kind: u32, source: u32, at_ns: u64, parts: &[&[u8]]) -> bool {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let whole = (HEADER + len).next_multiple_of(8) as u64;
        let capacity = self.ring.capacity as u64;
        if self.head + whole - self.tail > capacity {
            self.tail = self.ring.tail().load(Ordering::Acquire);
            if self.head + whole - self.tail > capacity {
                return false;
            }
        }
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&(len as u32).to_le_bytes());
        header[4..8].copy_from_slice(&kind.to_le_bytes());
        header[8..12].copy_from_slice(&source.to_le_bytes());
        header[12..16].copy_from_slice(&check(self.head).to_le_bytes());
        header[16..].copy_from_slice(&at_ns.to_le_bytes());
        // SAFETY: `whole` bytes from `head` on are free, and contiguous by the double mapping.
        unsafe {
            let mut at = self.ring.at(self.head);
            for part in std::iter::once(&header[..]).chain(parts.iter().copied()) {
                ptr::copy_nonoverlapping(part.as_ptr(), at, part.len());
                at = at.add(part.len());
            }
        }
        self.head += whole;
        self.ring.head().store(self.head, Ordering::Release);
        true
    }

    /// How full the ring is, of 100.
    pub fn percent_full(&self) -> u64 {
        (self.head - self.ring.tail().load(Ordering::Relaxed)) * 100 / self.ring.capacity as u64
    }
}

/// What a record repeats of its position.
fn check(position: u64) -> u32 {
    (position / 8) as u32 ^ 0x4b4c_4a52
}

impl RingConsumer {
    /// The next record that was committed. Bytes that are no record end the ring.
    pub fn take(&mut self) -> Option<Record<'_>> {
        let left = self.ring.head().load(Ordering::Acquire).saturating_sub(self.next);
        if left < HEADER as u64 {
            return None;
        }
        // SAFETY: `left` bytes from `next` on were committed and are not written until `release`;
        // no more than `capacity` of them, and contiguous by the double mapping.
        let bytes = unsafe { std::slice::from_raw_parts(self.ring.at(self.next), left as usize) };
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let len = word(0) as usize;
        let whole = (HEADER + len).next_multiple_of(8);
        if word(12) != check(self.next) || whole as u64 > left {
            return None;
        }
        self.next += whole as u64;
        let at_ns = u64::from(word(16)) | u64::from(word(20)) << 32;
        Some(Record { kind: word(4), source: word(8), at_ns, bytes: &bytes[HEADER..HEADER + len] })
    }

    /// Gives back the room of all records taken so far: they are in their files.
    pub fn release(&mut self) {
        self.ring.tail().store(self.next, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::scratch::Scratch;

    fn ring(scratch: &Scratch, capacity: usize) -> (RingProducer, RingConsumer) {
        create(scratch.file("ring"), capacity).unwrap()
    }

    #[test]
    fn records_come_out_as_they_went_in_many_times_round() {
        let scratch = Scratch::new();
        let (mut producer, mut consumer) = ring(&scratch, PAGE);
        for n in 0..1000u32 {
            let body = vec![n as u8; (n as usize * 37) % 1400];
            let (a, b) = body.split_at(body.len() / 3);
            assert!(producer.push(1, n, u64::from(n) << 33, &[a, b]));
            let record = consumer.take().unwrap();
            assert_eq!(record, Record { kind: 1, source: n, at_ns: u64::from(n) << 33, bytes: &body });
            assert_eq!(consumer.take(), None);
            consumer.release();
        }
    }

    #[test]
    fn a_full_ring_refuses_until_room_is_given_back() {
        let scratch = Scratch::new();
        let (mut producer, mut consumer) = ring(&scratch, PAGE);
        let pushed = (0..10_000).take_while(|&n| producer.push(1, n, 0, &[&[0; 100]])).count();
        assert_eq!(pushed, PAGE / 128);
        assert_eq!(producer.percent_full(), 100);
        while consumer.take().is_some() {}
        assert!(!producer.push(1, 0, 0, &[]), "taken is not given back");
        consumer.release();
        assert!(producer.push(1, 0, 0, &[]));
        assert_eq!(consumer.take().unwrap().source, 0);
    }

    #[test]
    fn another_process_finds_what_was_committed_and_not_released() {
        let scratch = Scratch::new();
        let (mut producer, mut consumer) = ring(&scratch, 2 * PAGE);
        for n in 0..10 {
            assert!(producer.push(1, n, 0, &[b"packet"]));
        }
        for _ in 0..4 {
            consumer.take().unwrap();
        }
        consumer.release();
        consumer.take().unwrap();
        let mut left = open(scratch.file("ring")).unwrap();
        let sources: Vec<u32> = std::iter::from_fn(|| left.take().map(|record| record.source)).collect();
        assert_eq!(sources, [4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn bytes_that_are_no_record_end_the_ring() {
        let scratch = Scratch::new();
        let (mut producer, _consumer) = ring(&scratch, PAGE);
        assert!(producer.push(1, 1, 0, &[b"good"]));
        assert!(producer.push(1, 2, 0, &[b"torn"]));
        // SAFETY: within the second record, which nobody reads meanwhile.
        unsafe { *producer.ring.at(32 + 12) ^= 1 };
        let mut left = open(scratch.file("ring")).unwrap();
        assert_eq!(left.take().unwrap().source, 1);
        assert_eq!(left.take(), None);
    }

    #[test]
    fn a_file_that_is_no_ring_is_refused() {
        let scratch = Scratch::new();
        let file = scratch.file("ring");
        assert!(open(file.try_clone().unwrap()).is_err(), "empty");
        file.set_len(2 * PAGE as u64).unwrap();
        assert!(open(file).is_err(), "zeros");
    }
}
