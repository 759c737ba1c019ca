//! Journals: what recorded sources sent, on disk (docs/journal.md).
//!
//! The packet thread's [`recorder`] pushes packets into a [`ring`] in shared memory and never
//! waits; the [`writer`] thread takes them to pcapng files ([`books`], [`file`](mod@file), [`pcapng`]). What a
//! killed process left in its ring is written by the next one before anything else
//! ([`recovery`]).

mod books;
mod file;
pub mod pcapng;
mod recorder;
mod recovery;
pub mod ring;
mod writer;

#[cfg(test)]
mod scratch;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicU8, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use file::is_key;
pub use recorder::Recorder;

/// Where journals and the ring are, and how they are written.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of all journals.
    pub folder: PathBuf,
    /// The folder, in memory, in which the ring's folder is made.
    pub memory: PathBuf,
    /// Bytes, a multiple of 65536: what the disk may fall behind by.
    pub ring_bytes: usize,
    /// Between two times that files are forced to the disk: what a power cut can lose.
    pub flush: Duration,
}

impl Settings {
    /// The ring holds some seconds of a crowded node: 32 MiB are 5 s of 50 Mbit/s.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, memory: "/dev/shm".into(), ring_bytes: 32 << 20, flush: Duration::from_secs(1) }
    }
}

/// How the disk does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    Ok,
    /// It falls behind: the ring is filling.
    Slow,
    /// There is no room; tried again and again.
    Full,
    /// It refuses otherwise; tried again and again.
    Failed,
    /// Packets were lost before the journal. The gap is written down.
    Gap,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Slow => "slow",
            Self::Full => "full",
            Self::Failed => "failed",
            Self::Gap => "gap",
        }
    }
}

/// What somebody should know of one journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The key of the file.
    pub file: String,
    pub state: State,
    /// For the technician, English.
    pub detail: String,
}

type Report = Arc<dyn Fn(Notice) + Send + Sync>;

/// The state that was told last. The writer tells what the disk says; that it says nothing, only
/// the packet thread can notice, by the ring that fills.
#[derive(Debug, Default)]
struct Condition(AtomicU8);

impl Condition {
    /// True if that is news.
    fn set(&self, state: State) -> bool {
        self.0.swap(state as u8, Ordering::Relaxed) != state as u8
    }

    /// Unless something else was told meanwhile.
    fn change(&self, from: State, to: State) -> bool {
        let (from, to) = (from as u8, to as u8);
        self.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    packets: AtomicU64,
    bytes: AtomicU64,
    dropped: AtomicU64,
    recovered: AtomicU64,
    errors: AtomicU64,
    ring_percent: AtomicU64,
}

impl Counters {
    fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("journal_packets", &self.packets),
            ("journal_bytes", &self.bytes),
            ("journal_dropped", &self.dropped),
            ("journal_recovered", &self.recovered),
            ("journal_errors", &self.errors),
            ("journal_ring_percent", &self.ring_percent),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
        .into_iter()
    }
}

/// The writer thread.
pub struct Journal {
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
    counters: Arc<Counters>,
}

impl Journal {
    /// Writes what killed processes left, then starts the thread. `report` is called by it and by
    /// the recorder's; it must not wait.
    ///
    /// Fails when the folder cannot be made or the memory for the ring is not there.
    pub fn start(
        settings: &Settings,
        report: impl Fn(Notice) + Send + Sync + 'static,
    ) -> io::Result<(Self, Recorder)> {
        let counters = Arc::new(Counters::default());
        let folder = file::make_folder(&settings.folder)?;
        let left = recovery::recover(&settings.memory, &folder, &counters);
        let (home, producer, consumer) =
            recovery::Home::make(&settings.memory, &folder, settings.ring_bytes)?;
        let (stop, stopped) = mpsc::channel();
        let report: Report = Arc::new(report);
        let condition = Arc::new(Condition::default());
        let recorder =
            Recorder::new(producer, Arc::clone(&report), Arc::clone(&condition), Arc::clone(&counters));
        let writer = writer::Writer {
            books: books::Books::new(folder.clone()),
            folder,
            home,
            ring: consumer,
            report,
            counters: Arc::clone(&counters),
            condition,
            pause: None,
            sync_due: Instant::now() + settings.flush,
            recovery_due: left.map(|_| Instant::now()),
            settings: settings.clone(),
        };
        let thread =
            std::thread::Builder::new().name("kelian-journal".into()).spawn(move || writer.run(&stopped))?;
        Ok((Self { stop, thread: Some(thread), counters }, recorder))
    }

    pub(crate) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }
}

impl Drop for Journal {
    /// Writes what is in the ring and closes the files. With a full disk the ring stays for the
    /// next start.
    fn drop(&mut self) {
        // Dropped without a receiver when the thread is gone already.
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
