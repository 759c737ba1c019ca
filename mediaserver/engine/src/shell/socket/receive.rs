//! Receiving: recvmmsg into buffers that hold what GRO puts together.

use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use super::address::{self, Control};
use super::{Counters, Socket};

/// Buffers a call.
const BATCH: usize = 16;
/// The longest that GRO puts together.
const BUFFER_LEN: usize = 65_536;

/// The buffers of one thread, and what the last call put there.
pub(in crate::shell) struct Datagrams {
    bytes: Box<[u8]>,
    names: Box<[libc::sockaddr_storage; BATCH]>,
    controls: Box<[Control; BATCH]>,
    filled: Vec<Filled>,
}

struct Filled {
    buffer: usize,
    len: usize,
    /// Of each datagram but the last.
    segment: usize,
    remote: SocketAddr,
    local: Option<IpAddr>,
}

impl Datagrams {
    pub fn new() -> Self {
        Self {
            bytes: vec![0; BATCH * BUFFER_LEN].into_boxed_slice(),
            // SAFETY: all zeros is a valid sockaddr_storage.
            names: Box::new(unsafe { mem::zeroed() }),
            controls: Box::new([Control([0; 128]); BATCH]),
            filled: Vec::with_capacity(BATCH),
        }
    }

    /// Each datagram of the last call: where from, which address of ours it asked, its bytes.
    pub fn for_each(&mut self, mut take: impl FnMut(SocketAddr, Option<IpAddr>, &mut [u8])) {
        for filled in &self.filled {
            let start = filled.buffer * BUFFER_LEN;
            let bytes = &mut self.bytes[start..start + filled.len];
            if bytes.is_empty() {
                take(filled.remote, filled.local, bytes);
                continue;
            }
            for datagram in bytes.chunks_mut(filled.segment) {
                take(filled.remote, filled.local, datagram);
            }
        }
    }
}

impl Socket {
    /// Reads one batch; says whether more may wait.
    pub fn receive(&self, datagrams: &mut Datagrams, counters: &mut Counters) -> io::Result<bool> {
        datagrams.filled.clear();
        // SAFETY: all zeros is a valid iovec and mmsghdr.
        let mut slices: [libc::iovec; BATCH] = unsafe { mem::zeroed() };
        // SAFETY: as above.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
        for (n, buffer) in datagrams.bytes.chunks_exact_mut(BUFFER_LEN).enumerate() {
            slices[n] = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: BUFFER_LEN };
            let header = &mut headers[n].msg_hdr;
            header.msg_name = std::ptr::from_mut(&mut datagrams.names[n]).cast();
            header.msg_namelen = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = &mut slices[n];
            header.msg_iovlen = 1;
            header.msg_control = datagrams.controls[n].0.as_mut_ptr().cast();
            header.msg_controllen = datagrams.controls[n].0.len() as _;
        }
        // SAFETY: every pointer in `headers` leads to memory that outlives the call and has the
        // length that stands beside it.
        let count = unsafe {
            libc::recvmmsg(
                self.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        counters.receive_calls += 1;
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for (n, header) in headers[..count].iter().enumerate() {
            // Port 0 cannot be answered, and the kernel refuses it in a way that looks like a
            // fault of segmentation.
            let remote = address::read(&datagrams.names[n]).filter(|remote| remote.port() != 0);
            let (Some(remote), 0) = (remote, header.msg_hdr.msg_flags & libc::MSG_TRUNC) else {
                counters.receive_unusable += 1;
                continue;
            };
            let (local, segment) = address::read_control(&header.msg_hdr);
            let len = header.msg_len as usize;
            let segment = segment.unwrap_or(len).max(1);
            datagrams.filled.push(Filled { buffer: n, len, segment, remote, local });
        }
        Ok(count == BATCH)
    }
}
