//! The packet thread: waits for sockets, messages and the core's clock, and owns the core.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom, SystemRandom};

use super::events::Events;
use super::socket::{Counters, Datagrams, Sending, Socket};
use super::wake::Wake;
use super::{Event, Message};
use crate::core::{Core, Path, Tap, NTP_TO_UNIX};
use crate::journal;

/// Batches read from one socket before the others and the clock get their turn.
const MAX_BATCHES: usize = 8;

/// Starts the thread. A panic in it ends the process: half a node would forward nothing and
/// look alive, a dead one is started anew.
pub(super) fn spawn(
    sockets: Vec<Socket>,
    inbox: Receiver<Message>,
    wake: Arc<Wake>,
    events: Arc<Events>,
    recording: Option<Recording>,
) -> io::Result<JoinHandle<()>> {
    let mut seed = [0; 8];
    SystemRandom::new().fill(&mut seed).map_err(|_| io::Error::other("the system has no randomness"))?;
    let mut core = Core::new(Instant::now(), ntp_now(), u64::from_ne_bytes(seed));
    let journal = recording.map(|recording| {
        core.set_tap(recording.tap);
        recording.counters
    });
    thread::Builder::new().name("kelian-packets".into()).spawn(move || {
        let _guard = AbortOnPanic;
        let (datagrams, sending) = (Datagrams::new(), Sending::new());
        let counters = Counters::default();
        Packets { core, sockets, inbox, wake, events, datagrams, sending, counters, journal }.run();
    })
}

/// What the core hands recorded packets to, and how its writer fares.
pub(super) struct Recording {
    pub tap: Box<dyn Tap>,
    pub counters: Arc<journal::Counters>,
}

struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("kelian: the packet thread panicked; the media node ends and is to be started anew");
            std::process::abort();
        }
    }
}

/// The wall clock, 32.32 fixed point seconds since 1900.
fn ntp_now() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let fraction = (u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000;
    (since_1970.as_secs() + NTP_TO_UNIX) << 32 | fraction
}

struct Packets {
    core: Core,
    sockets: Vec<Socket>,
    inbox: Receiver<Message>,
    wake: Arc<Wake>,
    events: Arc<Events>,
    datagrams: Datagrams,
    sending: Sending,
    counters: Counters,
    journal: Option<Arc<journal::Counters>>,
}

impl Packets {
    fn run(&mut self) {
        let mut ready = vec![libc::pollfd { fd: self.wake.fd(), events: libc::POLLIN, revents: 0 }];
        ready.extend(self.sockets.iter().map(|socket| libc::pollfd {
            fd: socket.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        }));
        loop {
            wait(&mut ready, self.core.timeout());
            if ready[0].revents != 0 && !self.take_messages() {
                return;
            }
            for socket in 0..self.sockets.len() {
                if ready[socket + 1].revents != 0 {
                    self.receive(socket);
                }
            }
            let now = Instant::now();
            if self.core.timeout().is_some_and(|due| due <= now) {
                self.core.tick(now);
            }
            self.flush();
        }
    }

    /// Reads what waits in a socket; after each batch, what it gave rise to is sent.
    fn receive(&mut self, socket: usize) {
        for _ in 0..MAX_BATCHES {
            let more = match self.sockets[socket].receive(&mut self.datagrams, &mut self.counters) {
                Ok(more) => more,
                Err(error) => {
                    // ICMP errors come this way, too: what they tell, ICE's consent finds out.
                    self.counters.receive_errors += u64::from(error.kind() != io::ErrorKind::WouldBlock);
                    return;
                }
            };
            let now = Instant::now();
            let core = &mut self.core;
            self.datagrams.for_each(|remote, local, datagram| {
                core.receive(now, Path { socket, local, remote }, datagram);
            });
            self.flush();
            if !more {
                return;
            }
        }
    }

    /// Does what was asked; false when the thread is to end.
    fn take_messages(&mut self) -> bool {
        self.wake.clear();
        let now = Instant::now();
        loop {
            match self.inbox.try_recv() {
                Ok(Message::Command(command)) => self.core.command(now, command),
                Ok(Message::Stats(answer)) => {
                    let journal = self.journal.iter().flat_map(|counters| counters.iter());
                    let stats = self.core.stats().iter().chain(self.counters.iter()).chain(journal).collect();
                    // Whoever asked may have given up.
                    let _ = answer.send(stats);
                }
                Ok(Message::TransportStats(transport, answer)) => {
                    let _ = answer.send(self.core.transport_stats(transport));
                }
                Err(TryRecvError::Empty) => return true,
                Ok(Message::Stop) | Err(TryRecvError::Disconnected) => {
                    self.flush();
                    return false;
                }
            }
        }
    }

    fn flush(&mut self) {
        let output = self.core.transmits();
        if !output.is_empty() {
            self.sending.send(&mut self.sockets, output, &mut self.counters);
            output.clear();
        }
        let core = &mut self.core;
        self.events.fill(|| core.poll_event().map(Event::Core));
    }
}

/// Sleeps until a descriptor is readable or `due` has come.
fn wait(ready: &mut [libc::pollfd], due: Option<Instant>) {
    let timeout = due.map(|due| {
        let left = due.saturating_duration_since(Instant::now());
        libc::timespec { tv_sec: left.as_secs() as libc::time_t, tv_nsec: left.subsec_nanos().into() }
    });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `ready` and `timeout` outlive the call, and no signal mask is passed.
    let count =
        unsafe { libc::ppoll(ready.as_mut_ptr(), ready.len() as libc::nfds_t, timeout, std::ptr::null()) };
    if count < 0 {
        // A signal: look at nothing and wait again.
        ready.iter_mut().for_each(|fd| fd.revents = 0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_panic_in_the_thread_ends_the_process_and_says_so() {
        const CHILD: &str = "KELIAN_TEST_PANIC";
        if std::env::var_os(CHILD).is_some() {
            let thread = thread::spawn(|| {
                let _guard = AbortOnPanic;
                panic!("on purpose");
            });
            let _ = thread.join();
            return;
        }
        let name = "shell::thread::tests::a_panic_in_the_thread_ends_the_process_and_says_so";
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert_eq!(child.status.signal(), Some(libc::SIGABRT));
        assert!(String::from_utf8_lossy(&child.stderr).contains("the packet thread panicked"));
    }

    #[test]
    fn the_wall_clock_counts_from_1900() {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let ntp = ntp_now() >> 32;
        assert!((ntp - NTP_TO_UNIX - unix) <= 1, "{ntp}");
    }
}
