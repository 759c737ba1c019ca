//! Events on their way to Python, in batches.

use std::io;
use std::os::fd::RawFd;
use std::sync::{Mutex, MutexGuard};

use super::wake::Wake;
use super::Event;

/// Events that may wait here; further ones wait in the core, whose queue has a bound of its own.
const CAPACITY: usize = 4096;

pub(super) struct Events {
    queue: Mutex<Vec<Event>>,
    wake: Wake,
}

impl Events {
    pub fn new() -> io::Result<Self> {
        Ok(Self { queue: Mutex::new(Vec::new()), wake: Wake::new()? })
    }

    pub fn fd(&self) -> RawFd {
        self.wake.fd()
    }

    /// Takes what waits, and says whether the queue was full.
    pub fn take(&self) -> (Vec<Event>, bool) {
        let mut queue = self.lock();
        self.wake.clear();
        let events = std::mem::take(&mut *queue);
        let was_full = events.len() >= CAPACITY;
        (events, was_full)
    }

    /// Moves events here from `next` until it has none, or the queue is full.
    pub fn fill(&self, mut next: impl FnMut() -> Option<Event>) {
        let mut queue = self.lock();
        let was_empty = queue.is_empty();
        while queue.len() < CAPACITY {
            let Some(event) = next() else { break };
            queue.push(event);
        }
        if was_empty && !queue.is_empty() {
            self.wake.signal();
        }
    }

    /// Appends one event from another thread; false: the queue is full.
    pub fn push(&self, event: Event) -> bool {
        let mut left = Some(event);
        self.fill(|| left.take());
        left.is_none()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
