//! The thread that takes records out of the ring and writes them down.
//!
//! Room in the ring is given back only when the records are in their files (the kernel has them),
//! so that a killed process loses nothing. While the disk takes nothing, they stay in the ring.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::books::{Books, Taken};
use super::recovery::{recover, Home};
use super::ring::RingConsumer;
use super::{Condition, Counters, Notice, Report, Settings, State};

/// Between two looks at the ring, while somebody is recorded and while nobody is.
const BUSY: Duration = Duration::from_millis(20);
const IDLE: Duration = Duration::from_millis(250);
/// Bytes of blocks between two writes.
const BATCH: usize = 1 << 20;
/// After an error, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Between two attempts at rings that could not be recovered.
const RECOVERY_PAUSE: Duration = Duration::from_secs(10);

pub(super) struct Writer {
    pub settings: Settings,
    pub folder: PathBuf,
    pub home: Home,
    pub ring: RingConsumer,
    pub books: Books,
    pub report: Report,
    pub counters: Arc<Counters>,
    pub condition: Arc<Condition>,
    /// What keeps the disk from being written to.
    pub pause: Option<Pause>,
    pub sync_due: Instant,
    /// When rings that could not be recovered are to be looked at again.
    pub recovery_due: Option<Instant>,
}

pub(super) struct Pause {
    until: Instant,
    next: Duration,
}

impl Writer {
    /// Until `stopped` says so; then everything is written, if the disk takes it.
    pub fn run(mut self, stopped: &Receiver<()>) {
        loop {
            let busy = self.books.in_use().next().is_some();
            let stop = stopped.recv_timeout(if busy { BUSY } else { IDLE }) != Err(RecvTimeoutError::Timeout);
            let now = Instant::now();
            if self.pause.as_ref().is_none_or(|pause| stop || pause.until <= now) {
                self.work(now, stop);
            }
            if stop {
                break;
            }
            self.recover_again(now);
        }
        let Self { home, pause, .. } = self;
        if pause.is_none() {
            home.remove();
        }
    }

    fn work(&mut self, now: Instant, stop: bool) {
        let done = self.drain().and_then(|()| {
            if now < self.sync_due && !stop {
                return Ok(());
            }
            self.sync_due = now + self.settings.flush;
            self.books.sync()
        });
        match done {
            Ok(()) => {
                if self.pause.take().is_some() {
                    self.tell(State::Ok, "");
                }
            }
            Err(error) => {
                Counters::add(&self.counters.errors, 1);
                let pause = self.pause.as_ref().map_or(FIRST_PAUSE, |pause| pause.next);
                let next = (pause * 2).min(LONGEST_PAUSE);
                self.pause = Some(Pause { until: Instant::now() + pause, next });
                let full = matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG));
                self.tell(if full { State::Full } else { State::Failed }, &error.to_string());
            }
        }
    }

    /// Takes what is in the ring to its files.
    fn drain(&mut self) -> io::Result<()> {
        loop {
            // What an earlier attempt has left comes first.
            Counters::add(&self.counters.bytes, self.books.write()?);
            self.home.write()?;
            self.ring.release();
            let mut any = false;
            while self.books.pending() < BATCH {
                let Some(record) = self.ring.take() else { break };
                any = true;
                match self.books.take(&record) {
                    Taken::Packet => Counters::add(&self.counters.packets, 1),
                    Taken::Described => self.home.keep(&record),
                    Taken::Gap(count, notice) => {
                        Counters::add(&self.counters.dropped, count);
                        (self.report)(notice);
                    }
                    Taken::Other => {}
                }
            }
            if !any {
                return Ok(());
            }
        }
    }

    fn tell(&self, state: State, detail: &str) {
        if self.condition.set(state) {
            for file in self.books.in_use() {
                (self.report)(Notice { file: file.into(), state, detail: detail.into() });
            }
        }
    }

    fn recover_again(&mut self, now: Instant) {
        if self.recovery_due.is_some_and(|due| due <= now) {
            let left = recover(&self.settings.memory, &self.folder, &self.counters);
            self.recovery_due = left.map(|_| now + RECOVERY_PAUSE);
        }
    }
}
