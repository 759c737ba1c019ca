//! The I/O shell: UDP sockets, one packet thread that owns the core, and two queues to Python.
//!
//! Calls from outside are queued and wake the thread; events are collected and wake whoever
//! watches [`Shell::event_fd`]. The thread knows nothing of Python and never waits for it.

mod events;
mod socket;
mod thread;
mod wake;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::core::{self, Command, TransportStats};
use crate::journal::{Journal, Notice, Settings};
use events::Events;
use socket::Socket;
use wake::Wake;

/// How long a question to the packet thread may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What is queued to the packet thread.
enum Message {
    Command(Command),
    Stats(Sender<Vec<(&'static str, u64)>>),
    TransportStats(u64, Sender<Option<TransportStats>>),
    Stop,
}

/// What whoever watches the node is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Core(core::Event),
    Journal(Notice),
}

/// One node's packet path.
pub struct Shell {
    port: u16,
    events: Arc<Events>,
    wake: Arc<Wake>,
    messages: Sender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
    journal: Mutex<Option<Journal>>,
}

impl Shell {
    /// Binds all addresses and starts the packet thread. Port 0 in the first address picks a
    /// free port, which is used wherever port 0 is given. With a journal, what an earlier process
    /// left is written to it first.
    pub fn start(bind: &[SocketAddr], journal: Option<&Settings>) -> Result<Self, StartError> {
        let sockets = bind_all(bind)?;
        let port = sockets[0].port()?;
        let events = Arc::new(Events::new()?);
        let wake = Arc::new(Wake::new()?);
        let (messages, inbox) = mpsc::channel();
        let (journal, recording) = match journal {
            Some(settings) => {
                let told = Arc::clone(&events);
                let (journal, recorder) = Journal::start(settings, move |notice| {
                    // Nobody takes events: nobody would read this one.
                    let _ = told.push(Event::Journal(notice));
                })?;
                let counters = journal.counters();
                (Some(journal), Some(thread::Recording { tap: Box::new(recorder), counters }))
            }
            None => (None, None),
        };
        let thread = thread::spawn(sockets, inbox, Arc::clone(&wake), Arc::clone(&events), recording)?;
        let (thread, journal) = (Mutex::new(Some(thread)), Mutex::new(journal));
        Ok(Self { port, events, wake, messages, thread, journal })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Readable while events wait.
    pub fn event_fd(&self) -> RawFd {
        self.events.fd()
    }

    pub fn take_events(&self) -> Vec<Event> {
        let (events, was_full) = self.events.take();
        if was_full {
            self.wake.signal(); // the core holds back more
        }
        events
    }

    /// Queues a command; after `close` it does nothing.
    pub fn command(&self, command: Command) {
        self.send(Message::Command(command));
    }

    /// Every counter; empty after `close`. Waits for the packet thread, some microseconds.
    pub fn stats(&self) -> Vec<(&'static str, u64)> {
        let (answer, answered) = mpsc::channel();
        self.send(Message::Stats(answer));
        answered.recv_timeout(ANSWER_TIMEOUT).unwrap_or_default()
    }

    /// `None` for a transport that does not exist, and after `close`.
    pub fn transport_stats(&self, transport: u64) -> Option<TransportStats> {
        let (answer, answered) = mpsc::channel();
        self.send(Message::TransportStats(transport, answer));
        answered.recv_timeout(ANSWER_TIMEOUT).unwrap_or_default()
    }

    /// Stops the threads and closes sockets and journals; a second call does nothing.
    pub fn close(&self) {
        let thread = self.thread.lock().unwrap_or_else(|e| e.into_inner()).take();
        if let Some(thread) = thread {
            self.send(Message::Stop);
            // A panic there has ended the process already.
            let _ = thread.join();
        }
        // Now that nothing follows, it writes all that it has.
        drop(self.journal.lock().unwrap_or_else(|e| e.into_inner()).take());
    }

    fn send(&self, message: Message) {
        if self.messages.send(message).is_ok() {
            self.wake.signal();
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.close();
    }
}

/// Why a node cannot start: an address that is taken or not ours, or no descriptors left.
#[derive(Debug)]
pub struct StartError {
    pub address: Option<SocketAddr>,
    pub error: io::Error,
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self { address: None, error }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{address}: {}", self.error),
            None => self.error.fmt(f),
        }
    }
}

fn bind_all(addresses: &[SocketAddr]) -> Result<Vec<Socket>, StartError> {
    let mut sockets: Vec<Socket> = Vec::with_capacity(addresses.len());
    for address in addresses {
        let mut address = *address;
        if let (0, Some(first)) = (address.port(), sockets.first()) {
            address.set_port(first.port()?);
        }
        let bound = Socket::bind(address);
        sockets.push(bound.map_err(|error| StartError { address: Some(address), error })?);
    }
    if sockets.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no address to bind").into());
    }
    Ok(sockets)
}
