//! One UDP socket: batches in by recvmmsg and GRO, batches out by sendmmsg and GSO, with the
//! address of ours that was asked (IP_PKTINFO).

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};

use socket2::{Domain, Protocol, Type};

mod address;
mod receive;
mod send;

pub(super) use receive::Datagrams;
pub(super) use send::Sending;

/// Asked of the kernel for each direction: a second of a crowded node. It may give less.
const BUFFER_BYTES: usize = 16 << 20;

/// What happened below the core.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub receive_calls: u64,
    pub receive_unusable: u64,
    pub receive_errors: u64,
    pub send_calls: u64,
    /// Datagrams that the kernel took.
    pub datagrams_sent: u64,
    /// Datagrams lost because a buffer was full.
    pub send_full: u64,
    /// Datagrams that the kernel refused: no route, too long, address gone.
    pub send_errors: u64,
}

impl Counters {
    /// Datagrams that could not be sent. ENOBUFS: the queue of the device is full.
    fn lost(&mut self, error: &io::Error, count: usize) {
        let full = matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS));
        *(if full { &mut self.send_full } else { &mut self.send_errors }) += count as u64;
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("io_receive_calls", self.receive_calls),
            ("io_receive_unusable", self.receive_unusable),
            ("io_receive_errors", self.receive_errors),
            ("io_send_calls", self.send_calls),
            ("io_datagrams_sent", self.datagrams_sent),
            ("io_send_full", self.send_full),
            ("io_send_errors", self.send_errors),
        ]
        .into_iter()
    }
}

pub(super) struct Socket {
    socket: std::net::UdpSocket,
    /// Whether segmentation offload works here; off from the first device that refuses it.
    gso: bool,
}

impl Socket {
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        socket.set_nonblocking(true)?;
        let fd = socket.as_raw_fd();
        enlarge(fd, libc::SO_RCVBUFFORCE, || socket.set_recv_buffer_size(BUFFER_BYTES))?;
        enlarge(fd, libc::SO_SNDBUFFORCE, || socket.set_send_buffer_size(BUFFER_BYTES))?;
        match address {
            SocketAddr::V4(_) => set_option(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?,
            SocketAddr::V6(_) => set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?,
        }
        // Kernels without it hand over one datagram a buffer.
        let _ = set_option(fd, libc::SOL_UDP, libc::UDP_GRO, 1);
        Ok(Self { socket: socket.into(), gso: true })
    }

    pub fn port(&self) -> io::Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Beyond the system's limit where we may, up to it where not.
fn enlarge(fd: RawFd, force: libc::c_int, within_limit: impl Fn() -> io::Result<()>) -> io::Result<()> {
    set_option(fd, libc::SOL_SOCKET, force, BUFFER_BYTES as libc::c_int).or_else(|_| within_limit())
}

fn set_option(fd: RawFd, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the value outlives the call and its size is told.
    let result = unsafe {
        libc::setsockopt(
            fd,
            level,
            name,
            std::ptr::from_ref(&value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests;
