//! Sending: datagrams to one peer leave as one message that the kernel cuts (GSO), and messages
//! to many peers leave by one call (sendmmsg).

use std::io;
use std::mem;
use std::os::fd::AsRawFd;

use super::address::{self, Control};
use super::{Counters, Socket};
use crate::core::{Output, Transmit};

/// Messages a call.
const BATCH: usize = 64;
/// What the kernel takes at most (UDP_MAX_SEGMENTS).
const MAX_SEGMENTS: usize = 64;
/// Below the longest UDP datagram over IPv6, which a message is before it is cut.
const MAX_MESSAGE_LEN: usize = 65_000;
/// Longer datagrams go alone: the kernel refuses segments that do not fit the path.
const MAX_SEGMENT_LEN: u32 = 1440;

/// Datagrams to one peer, all of one size but the last, which may be shorter.
struct Message {
    /// Into `Sending::order`.
    first: usize,
    count: usize,
    path: u32,
    segment: u32,
}

/// Scratch memory, kept from one flush to the next.
pub(in crate::shell) struct Sending {
    /// Indices of transmits, peer by peer, in order within a peer.
    order: Vec<u32>,
    /// By path: where its next transmit goes in `order`.
    places: Vec<u32>,
    messages: Vec<Message>,
    call: Call,
}

impl Sending {
    pub fn new() -> Self {
        Self { order: Vec::new(), places: Vec::new(), messages: Vec::new(), call: Call::new() }
    }

    /// Sends everything in `output`; what cannot be sent is counted and lost.
    pub fn send(&mut self, sockets: &mut [Socket], output: &Output, counters: &mut Counters) {
        self.sort_by_path(output);
        for (number, socket) in sockets.iter_mut().enumerate() {
            self.collect(output, number, socket.gso);
            let mut rest = &self.messages[..];
            while let Some(first) = rest.first() {
                let batch = &rest[..rest.len().min(BATCH)];
                match self.call.send(socket, output, &self.order, batch, counters) {
                    Ok(sent) => rest = &rest[sent..],
                    Err(error) => {
                        self.call.failed(socket, output, &self.order, first, &error, counters);
                        rest = &rest[1..];
                    }
                }
            }
        }
    }

    /// A counting sort, stable within a path.
    fn sort_by_path(&mut self, output: &Output) {
        self.places.clear();
        self.places.resize(output.paths.len() + 1, 0);
        for transmit in &output.transmits {
            self.places[transmit.path as usize + 1] += 1;
        }
        for path in 1..self.places.len() {
            self.places[path] += self.places[path - 1];
        }
        self.order.resize(output.transmits.len(), 0);
        for (n, transmit) in output.transmits.iter().enumerate() {
            let place = &mut self.places[transmit.path as usize];
            self.order[*place as usize] = n as u32;
            *place += 1;
        }
    }

    /// Makes messages of what goes out by one socket.
    fn collect(&mut self, output: &Output, socket: usize, gso: bool) {
        self.messages.clear();
        let mut open = false; // whether the last message can take another datagram
        let mut length = 0;
        for (n, &index) in self.order.iter().enumerate() {
            let Transmit { path, len, .. } = output.transmits[index as usize];
            if output.paths[path as usize].socket != socket {
                continue;
            }
            length += len as usize;
            match self.messages.last_mut() {
                Some(last)
                    if open
                        && last.path == path
                        && len <= last.segment
                        && last.count < MAX_SEGMENTS
                        && length <= MAX_MESSAGE_LEN =>
                {
                    last.count += 1;
                    open = len == last.segment;
                }
                _ => {
                    self.messages.push(Message { first: n, count: 1, path, segment: len });
                    open = gso && len <= MAX_SEGMENT_LEN && len > 0;
                    length = len as usize;
                }
            }
        }
    }
}

/// What one sendmmsg is told.
struct Call {
    headers: Box<[libc::mmsghdr; BATCH]>,
    names: Box<[libc::sockaddr_storage; BATCH]>,
    controls: Box<[Control; BATCH]>,
    slices: Vec<libc::iovec>,
}

impl Call {
    fn new() -> Self {
        Self {
            // SAFETY: all zeros is a valid mmsghdr.
            headers: Box::new(unsafe { mem::zeroed() }),
            // SAFETY: all zeros is a valid sockaddr_storage.
            names: Box::new(unsafe { mem::zeroed() }),
            controls: Box::new([Control([0; 128]); BATCH]),
            slices: Vec::new(),
        }
    }

    /// Returns how many messages left, at least one of the at most 64.
    fn send(
        &mut self,
        socket: &Socket,
        output: &Output,
        order: &[u32],
        messages: &[Message],
        counters: &mut Counters,
    ) -> io::Result<usize> {
        self.slices.clear();
        for message in messages {
            for &index in &order[message.first..message.first + message.count] {
                let (_, bytes) = output.datagram(&output.transmits[index as usize]);
                let iov_base = bytes.as_ptr().cast_mut().cast();
                self.slices.push(libc::iovec { iov_base, iov_len: bytes.len() });
            }
        }
        let mut slices = &mut self.slices[..];
        for (n, message) in messages.iter().enumerate() {
            let path = &output.paths[message.path as usize];
            let (own, others) = slices.split_at_mut(message.count);
            slices = others;
            let header = &mut self.headers[n].msg_hdr;
            header.msg_namelen = address::write(&path.remote, &mut self.names[n]);
            header.msg_name = std::ptr::from_mut(&mut self.names[n]).cast();
            header.msg_iov = own.as_mut_ptr();
            header.msg_iovlen = own.len() as _;
            let segment = (message.count > 1).then_some(message.segment as u16);
            let control = &mut self.controls[n];
            header.msg_controllen = address::write_control(control, path.local, segment) as _;
            header.msg_control = control.0.as_mut_ptr().cast();
        }
        // SAFETY: every pointer in the headers leads to memory that outlives the call and has
        // the length that stands beside it; the kernel only reads what the slices show.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                messages.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
            )
        };
        counters.send_calls += 1;
        let sent = usize::try_from(sent).map_err(|_| io::Error::last_os_error())?;
        counters.datagrams_sent += messages[..sent].iter().map(|m| m.count as u64).sum::<u64>();
        Ok(sent)
    }

    /// Sends the datagrams of a refused message one by one where that can help.
    fn failed(
        &mut self,
        socket: &mut Socket,
        output: &Output,
        order: &[u32],
        message: &Message,
        error: &io::Error,
        counters: &mut Counters,
    ) {
        let splits = [libc::EIO, libc::EINVAL, libc::EMSGSIZE];
        if message.count == 1 || !error.raw_os_error().is_some_and(|code| splits.contains(&code)) {
            counters.lost(error, message.count);
            return;
        }
        // EIO: the device cannot segment (it lacks checksum offload). The others: this path
        // cannot take segments of this size.
        socket.gso &= error.raw_os_error() != Some(libc::EIO);
        for n in 0..message.count {
            let single = Message { first: message.first + n, count: 1, ..*message };
            if let Err(error) = self.send(socket, output, order, &[single], counters) {
                counters.lost(&error, 1);
            }
        }
    }
}
