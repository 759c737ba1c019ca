//! The thread that takes records out of the ring and writes them down.
//!
//! Room in the ring is given back only when the records are in their files (the kernel has them),
//! so that a killed process loses nothing. While the disk takes nothing, they stay in the ring.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::books::{Books, Taken};
use super::recovery::{recover, Home, Left};
use super::ring::RingConsumer;
use super::{Counters, Notice, Settings, State};

/// Between two looks at the ring, while somebody is recorded and while nobody is.
const BUSY: Duration = Duration::from_millis(20);
const IDLE: Duration = Duration::from_millis(250);
/// Bytes of blocks between two writes.
const BATCH: usize = 1 << 20;
/// After an error, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The ring is so full, of 100: the disk is slow, and is not any more.
const SLOW: u64 = 50;
const EASED: u64 = 10;
/// Between two attempts at rings that could not be recovered.
const RECOVERY_PAUSE: Duration = Duration::from_secs(10);

pub struct Writer<F> {
    settings: Settings,
    folder: PathBuf,
    home: Home,
    ring: RingConsumer,
    books: Books,
    report: F,
    counters: Arc<Counters>,
    state: State,
    /// What keeps the disk from being written to.
    pause: Option<Pause>,
    sync_due: Instant,
    /// When rings of others are to be looked at again.
    recovery_due: Option<Instant>,
}

struct Pause {
    until: Instant,
    next: Duration,
}

impl<F: Fn(Notice)> Writer<F> {
    pub fn new(
        settings: &Settings,
        folder: PathBuf,
        home: Home,
        ring: RingConsumer,
        report: F,
        counters: Arc<Counters>,
        left: Left,
    ) -> Self {
        let now = Instant::now();
        Self {
            settings: settings.clone(),
            books: Books::new(folder.clone()),
            folder,
            home,
            ring,
            report,
            counters,
            state: State::Ok,
            pause: None,
            sync_due: now,
            recovery_due: left.map(|_| now + RECOVERY_PAUSE),
        }
    }

    /// Until `stopped` says so; then everything is written, if the disk takes it.
    pub fn run(mut self, stopped: &Receiver<()>) {
        loop {
            let busy = self.books.in_use().next().is_some();
            let stop = stopped.recv_timeout(if busy { BUSY } else { IDLE }) != Err(RecvTimeoutError::Timeout);
            let now = Instant::now();
            if self.pause.as_ref().is_none_or(|pause| stop || pause.until <= now) {
                self.work(now, stop);
            }
            self.judge();
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
            Ok(()) => self.pause = None,
            Err(error) => {
                Counters::add(&self.counters.errors, 1);
                let pause = self.pause.as_ref().map_or(FIRST_PAUSE, |pause| pause.next);
                let next = (pause * 2).min(LONGEST_PAUSE);
                self.pause = Some(Pause { until: Instant::now() + pause, next });
                let full = matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG));
                self.change(if full { State::Full } else { State::Failed }, &error.to_string());
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

    /// Says when the disk has become slow, or well again.
    fn judge(&mut self) {
        let full = self.ring.percent_full();
        self.counters.ring_percent.store(full, Ordering::Relaxed);
        match self.state {
            State::Ok if full >= SLOW => {
                self.change(State::Slow, &format!("{full} % of the ring wait for the disk"));
            }
            State::Slow if full <= EASED => self.change(State::Ok, ""),
            State::Full | State::Failed if self.pause.is_none() => self.change(State::Ok, ""),
            _ => {}
        }
    }

    fn change(&mut self, state: State, detail: &str) {
        if state == self.state {
            return;
        }
        self.state = state;
        for file in self.books.in_use() {
            (self.report)(Notice { file: file.into(), state, detail: detail.into() });
        }
    }

    fn recover_again(&mut self, now: Instant) {
        if self.recovery_due.is_some_and(|due| due <= now) {
            let left = recover(&self.settings.memory, &self.folder, &self.counters);
            self.recovery_due = left.map(|_| now + RECOVERY_PAUSE);
        }
    }
}
