//! The folder of a ring in memory, and what killed processes left in theirs.
//!
//! A folder holds `ring`, `sources` (descriptions of the sources that were written: they are not
//! in the ring any more) and `journals` (the path of the folder of journals, so that several nodes
//! on one machine leave each other's alone). A lock on the ring says that its process lives.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};

use super::books::{Books, Taken};
use super::recorder::kind;
use super::ring::{self as records, Record, RingConsumer, RingProducer};
use super::Counters;

const PREFIX: &str = "kelian-";
/// Of a folder that is being made.
const UNREADY: &str = ".new";
/// Bytes of blocks between two writes.
const BATCH: usize = 1 << 20;

/// A ring's folder.
pub struct Home {
    path: PathBuf,
    sources: File,
    /// Descriptions that are not in the file yet.
    pending: Vec<u8>,
}

impl Home {
    /// Makes one below `memory`, and locks its ring.
    pub fn make(
        memory: &Path,
        journals: &Path,
        capacity: usize,
    ) -> io::Result<(Self, RingProducer, RingConsumer)> {
        let mut random = [0; 8];
        SystemRandom::new()
            .fill(&mut random)
            .map_err(|_| io::Error::other("the system has no randomness"))?;
        let path = memory.join(format!("{PREFIX}{:016x}", u64::from_ne_bytes(random)));
        let unready = path.with_extension(&UNREADY[1..]);
        DirBuilder::new().mode(0o700).create(&unready)?;
        let made = || -> io::Result<_> {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true).mode(0o600);
            let ring = options.open(unready.join("ring"))?;
            if !lock(&ring) {
                return Err(io::Error::other("the ring is locked"));
            }
            let sources = options.open(unready.join("sources"))?;
            options.open(unready.join("journals"))?.write_all(journals.as_os_str().as_bytes())?;
            let ends = records::create(ring, capacity)?;
            fs::rename(&unready, &path)?;
            Ok((sources, ends))
        };
        match made() {
            Ok((sources, (producer, consumer))) => {
                Ok((Self { path, sources, pending: Vec::new() }, producer, consumer))
            }
            Err(error) => {
                let _ = fs::remove_dir_all(&unready);
                Err(io::Error::new(error.kind(), format!("{}: {error}", memory.display())))
            }
        }
    }

    /// Remembers a description that is about to leave the ring; `write` it before that.
    pub fn keep(&mut self, record: &Record) {
        self.pending.extend_from_slice(&(record.bytes.len() as u32).to_le_bytes());
        self.pending.extend_from_slice(&record.source.to_le_bytes());
        self.pending.extend_from_slice(record.bytes);
    }

    pub fn write(&mut self) -> io::Result<()> {
        while !self.pending.is_empty() {
            let written = self.sources.write(&self.pending)?;
            self.pending.drain(..written);
        }
        Ok(())
    }

    /// Everything is in its file.
    pub fn remove(self) {
        // What is left is found at the next start, and holds nothing new.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Whether the lock was free; it goes with the file, or the process.
fn lock(file: &File) -> bool {
    // SAFETY: the descriptor is open.
    unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) == 0 }
}

/// Rings that could not be written to their journals, and why.
pub type Left = Option<io::Error>;

/// Writes what killed processes left in rings below `memory` to journals in `folder`, into files
/// of their own beside those that the kill has cut off. What cannot be written stays for later.
pub(super) fn recover(memory: &Path, folder: &Path, counters: &Counters) -> Left {
    let mut left = None;
    for home in fs::read_dir(memory).into_iter().flatten().flatten().map(|entry| entry.path()) {
        match recover_home(&home, folder) {
            Ok(Some(count)) => Counters::add(&counters.recovered, count),
            Ok(None) => {}
            Err(error) => left = Some(io::Error::new(error.kind(), format!("{}: {error}", home.display()))),
        }
    }
    left
}

/// `None`: it is not ours to recover.
fn recover_home(home: &Path, folder: &Path) -> io::Result<Option<u64>> {
    let named = home.file_name().is_some_and(|name| name.as_bytes().starts_with(PREFIX.as_bytes()));
    let unready = home.extension().is_some();
    // Anybody may write to this file system: folders of others say nothing to us.
    let ours = fs::symlink_metadata(home).is_ok_and(|about| about.is_dir() && about.uid() == user());
    let journals = fs::read(home.join("journals")).unwrap_or_default();
    if !named || unready || !ours || journals != folder.as_os_str().as_bytes() {
        return Ok(None);
    }
    let file = OpenOptions::new().read(true).write(true).open(home.join("ring"))?;
    if !lock(&file) {
        return Ok(None);
    }
    let mut sources = Vec::new();
    File::open(home.join("sources"))?.read_to_end(&mut sources)?;
    let mut ring = match records::open(file) {
        Ok(ring) => ring,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            // Killed before it was whole, so that nothing was ever pushed.
            fs::remove_dir_all(home)?;
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let count = write_rest(&mut ring, &sources, folder)?;
    fs::remove_dir_all(home)?;
    Ok(Some(count))
}

fn write_rest(ring: &mut RingConsumer, sources: &[u8], folder: &Path) -> io::Result<u64> {
    let mut books = Books::recovered(folder.into());
    for record in Kept(sources) {
        books.take(&record);
    }
    let mut count = 0;
    while let Some(record) = ring.take() {
        count += u64::from(books.take(&record) == Taken::Packet);
        if books.pending() > BATCH {
            books.write()?;
        }
    }
    books.write()?;
    books.sync()?;
    Ok(count)
}

fn user() -> u32 {
    // SAFETY: always succeeds.
    unsafe { libc::geteuid() }
}

/// Descriptions that `Home::keep` has written; a torn one ends them.
struct Kept<'a>(&'a [u8]);

impl<'a> Iterator for Kept<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (len, rest) = self.0.split_first_chunk::<4>()?;
        let (source, rest) = rest.split_first_chunk::<4>()?;
        let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        self.0 = rest;
        Some(Record { kind: kind::DESCRIBE, source: u32::from_le_bytes(*source), at_ns: 0, bytes })
    }
}
