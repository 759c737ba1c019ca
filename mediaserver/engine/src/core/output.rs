//! Datagrams to send: written one behind the other into an arena that the shell drains.

use std::net::{IpAddr, SocketAddr};

/// Where a datagram came from, or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// Which of the shell's sockets.
    pub socket: usize,
    /// The address of ours that was asked: answers leave from it.
    pub local: Option<IpAddr>,
    pub remote: SocketAddr,
}

/// One datagram: `bytes[start..start + len]` of the arena to `paths[path]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    pub path: u32,
    pub start: u32,
    pub len: u32,
}

/// The arena. Datagrams to one peer keep their order; equal `path` means the same peer.
#[derive(Debug, Default)]
pub struct Output {
    pub bytes: Vec<u8>,
    pub transmits: Vec<Transmit>,
    pub paths: Vec<Path>,
    /// Counts calls of `clear`: whoever remembers an index of `paths` knows when it is stale.
    generation: u64,
}

/// A transport's remembered place in [`Output::paths`].
#[derive(Clone, Copy, Debug)]
pub struct PathKey {
    generation: u64,
    index: u32,
}

impl PathKey {
    /// Of a path that is not in the arena yet.
    pub const NONE: Self = Self { generation: u64::MAX, index: 0 };
}

impl Output {
    pub fn is_empty(&self) -> bool {
        self.transmits.is_empty()
    }

    /// The datagram and its way.
    pub fn datagram(&self, transmit: &Transmit) -> (&Path, &[u8]) {
        let start = transmit.start as usize;
        (&self.paths[transmit.path as usize], &self.bytes[start..start + transmit.len as usize])
    }

    /// Forgets all datagrams and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.transmits.clear();
        self.paths.clear();
        self.generation += 1;
    }

    /// Makes a datagram of what lies in the arena from `start` on.
    pub(super) fn commit(&mut self, start: usize, path: &Path, key: &mut PathKey) {
        if key.generation != self.generation {
            *key = PathKey { generation: self.generation, index: self.paths.len() as u32 };
            self.paths.push(*path);
        }
        let len = (self.bytes.len() - start) as u32;
        self.transmits.push(Transmit { path: key.index, start: start as u32, len });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_path_is_listed_once_between_clears() {
        let path = Path { socket: 1, local: None, remote: "192.0.2.1:9".parse().unwrap() };
        let (mut output, mut key) = (Output::default(), PathKey::NONE);
        for round in 0..2u8 {
            for n in 0..3u8 {
                let start = output.bytes.len();
                output.bytes.extend_from_slice(&[round, n]);
                output.commit(start, &path, &mut key);
            }
            assert_eq!(output.paths, [path]);
            assert_eq!(output.datagram(&output.transmits[2]), (&path, &[round, 2][..]));
            output.clear();
            assert!(output.is_empty());
        }
    }
}
