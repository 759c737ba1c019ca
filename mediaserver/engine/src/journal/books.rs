//! Which record goes into which file, as which blocks.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use super::file::{is_key, JournalFile};
use super::pcapng::{write_gap, write_interface, write_packet};
use super::recorder::kind;
use super::ring::Record;
use super::{Notice, State};
use crate::core::Protocol;

/// A source that is being recorded.
struct Entry {
    /// Index of its file.
    file: usize,
    description: String,
    /// In its file; given with its first packet.
    interface: Option<u32>,
}

/// What a record was.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    Packet,
    /// A source that is written from now on; kept for those who come after a kill.
    Described,
    /// So many packets were lost before.
    Gap(u64, Notice),
    Other,
}

/// The open journals.
pub struct Books {
    folder: PathBuf,
    /// Put behind a file's stem: what was recovered is a file of its own.
    suffix: &'static str,
    files: Vec<JournalFile>,
    by_key: HashMap<String, usize>,
    sources: HashMap<u32, Entry>,
}

impl Books {
    /// Of the running node.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, suffix: "", files: Vec::new(), by_key: HashMap::new(), sources: HashMap::new() }
    }

    /// Of what a killed process left; an earlier attempt is overwritten.
    pub fn recovered(folder: PathBuf) -> Self {
        Self { suffix: "-tail", ..Self::new(folder) }
    }

    /// Makes blocks of a record. Records about unknown sources come to nothing.
    pub fn take(&mut self, record: &Record) -> Taken {
        match record.kind {
            kind::DESCRIBE => match self.describe(record.source, record.bytes) {
                Some(()) => Taken::Described,
                None => Taken::Other,
            },
            kind::RTP => self.packet(record, Protocol::Rtp),
            kind::RTCP => self.packet(record, Protocol::Rtcp),
            kind::GAP => self.gap(record).unwrap_or(Taken::Other),
            kind::END => {
                if let Some(entry) = self.sources.remove(&record.source) {
                    self.files[entry.file].users -= 1;
                }
                Taken::Other
            }
            _ => Taken::Other,
        }
    }

    fn describe(&mut self, source: u32, bytes: &[u8]) -> Option<()> {
        let (len, rest) = bytes.split_first_chunk::<2>()?;
        let (key, description) = rest.split_at_checked(u16::from_le_bytes(*len).into())?;
        let key = std::str::from_utf8(key).ok().filter(|key| is_key(key))?;
        let description = std::str::from_utf8(description).ok()?;
        let file = self.file(key);
        self.files[file].users += 1;
        let entry = Entry { file, description: description.into(), interface: None };
        if let Some(before) = self.sources.insert(source, entry) {
            self.files[before.file].users -= 1;
        }
        Some(())
    }

    fn file(&mut self, key: &str) -> usize {
        if let Some(&file) = self.by_key.get(key) {
            return file;
        }
        let (stem, extension) = key.rsplit_once('.').unwrap_or((key, "pcapng"));
        let path = self.folder.join(format!("{stem}{}.{extension}", self.suffix));
        self.files.push(JournalFile::new(key.into(), path, !self.suffix.is_empty()));
        self.by_key.insert(key.into(), self.files.len() - 1);
        self.files.len() - 1
    }

    /// The file of a source, and its interface there.
    fn interface(&mut self, source: u32) -> Option<(&mut JournalFile, u32)> {
        let entry = self.sources.get_mut(&source)?;
        let file = &mut self.files[entry.file];
        let interface = *entry.interface.get_or_insert_with(|| {
            write_interface(&mut file.pending, &format!("source {source}"), &entry.description);
            file.interfaces += 1;
            file.interfaces - 1
        });
        Some((file, interface))
    }

    fn packet(&mut self, record: &Record, protocol: Protocol) -> Taken {
        let Some((file, interface)) = self.interface(record.source) else { return Taken::Other };
        write_packet(&mut file.pending, interface, record.at_ns, protocol, record.bytes);
        Taken::Packet
    }

    fn gap(&mut self, record: &Record) -> Option<Taken> {
        let mut words = record.bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
        let (first, last, count) = (words.next()?, words.next()?, words.next()?);
        let source = record.source;
        let (file, interface) = self.interface(source)?;
        let comment = format!("gap: {first}-{last}, {count} packets");
        write_gap(&mut file.pending, interface, last, count, &comment);
        let detail = format!(
            "source {source}: {count} packets were lost in {} ms",
            last.saturating_sub(first) / 1_000_000
        );
        Some(Taken::Gap(count, Notice { file: file.key.clone(), state: State::Gap, detail }))
    }

    /// Bytes that wait to be written.
    pub fn pending(&self) -> usize {
        self.files.iter().map(|file| file.pending.len()).sum()
    }

    /// Writes all that is pending; returns how much. A second call goes on after an error.
    pub fn write(&mut self) -> io::Result<u64> {
        self.files.iter_mut().try_fold(0, |sum, file| Ok(sum + file.write()?))
    }

    /// Forces all files to the disk, and closes those to which nobody is written.
    pub fn sync(&mut self) -> io::Result<()> {
        self.files.iter_mut().try_for_each(JournalFile::sync)
    }

    /// Keys of the files to which somebody is written.
    pub fn in_use(&self) -> impl Iterator<Item = &str> {
        self.files.iter().filter(|file| file.users > 0).map(|file| file.key.as_str())
    }
}
