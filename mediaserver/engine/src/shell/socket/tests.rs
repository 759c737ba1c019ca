//! Over loopback: what is sent arrives whole, in order, from the address that was asked.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::*;
use crate::core::{Output, Path, Transmit};

fn bound(ip: &str) -> (Socket, SocketAddr) {
    let socket = Socket::bind(SocketAddr::new(ip.parse().unwrap(), 0)).unwrap();
    let address = socket.socket.local_addr().unwrap();
    (socket, address)
}

/// Appends a datagram of `len` bytes that begin with `number`.
fn put(output: &mut Output, path: u32, number: u8, len: usize) {
    let start = output.bytes.len() as u32;
    output.bytes.push(number);
    output.bytes.resize(start as usize + len, path as u8);
    output.transmits.push(Transmit { path, start, len: len as u32 });
}

/// (first byte, length, local address) of `count` datagrams.
fn receive(socket: &Socket, count: usize) -> Vec<(u8, usize, Option<IpAddr>)> {
    let (mut datagrams, mut counters) = (Datagrams::new(), Counters::default());
    let mut received = Vec::new();
    let end = Instant::now() + Duration::from_secs(5);
    while received.len() < count && Instant::now() < end {
        if socket.receive(&mut datagrams, &mut counters).is_ok() {
            datagrams.for_each(|_, local, bytes| received.push((bytes[0], bytes.len(), local)));
        }
    }
    received
}

#[test]
fn a_burst_to_two_peers_is_one_call_and_arrives_in_order() {
    for ip in ["127.0.0.1", "::1"] {
        let (mut node, _) = bound(ip);
        let (peers, addresses): (Vec<_>, Vec<_>) = (0..2).map(|_| bound(ip)).unzip();
        let mut output = Output::default();
        for remote in addresses {
            output.paths.push(Path { socket: 0, local: Some(ip.parse().unwrap()), remote });
        }
        // As the core writes them: packet by packet, to all; the last of a frame is shorter.
        let sizes = [1200, 1200, 1200, 300, 1200, 900, 1400];
        for (number, len) in sizes.into_iter().enumerate() {
            put(&mut output, 0, number as u8, len);
            put(&mut output, 1, number as u8, len);
        }
        let mut counters = Counters::default();
        Sending::new().send(std::slice::from_mut(&mut node), &output, &mut counters);
        assert_eq!((counters.datagrams_sent, counters.send_errors + counters.send_full), (14, 0));
        assert_eq!(counters.send_calls, 1);
        for peer in peers {
            let received = receive(&peer, sizes.len());
            let expected: Vec<_> =
                sizes.iter().enumerate().map(|(n, len)| (n as u8, *len, Some(ip.parse().unwrap()))).collect();
            assert_eq!(received, expected);
        }
    }
}

#[test]
fn answers_leave_from_the_address_that_was_asked() {
    let (mut node, address) = bound("0.0.0.0");
    let (peer, _) = bound("127.0.0.1");
    let asked: SocketAddr = SocketAddr::new("127.0.0.77".parse().unwrap(), address.port());
    peer.socket.send_to(&[7], asked).unwrap();
    let (mut datagrams, mut counters) = (Datagrams::new(), Counters::default());
    let mut output = Output::default();
    let end = Instant::now() + Duration::from_secs(5);
    while output.paths.is_empty() && Instant::now() < end {
        if node.receive(&mut datagrams, &mut counters).is_ok() {
            datagrams.for_each(|remote, local, _| output.paths.push(Path { socket: 0, local, remote }));
        }
    }
    assert_eq!(output.paths[0].local, Some(asked.ip()));
    put(&mut output, 0, 8, 1);
    Sending::new().send(std::slice::from_mut(&mut node), &output, &mut counters);
    peer.socket.set_nonblocking(false).unwrap();
    peer.socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let (_, from) = peer.socket.recv_from(&mut [0; 9]).unwrap();
    assert_eq!(from, asked);
}

#[test]
fn one_bad_peer_does_not_keep_the_others_waiting() {
    let (mut node, _) = bound("127.0.0.1");
    let (peer, remote) = bound("127.0.0.1");
    let mut output = Output::default();
    let unreachable = "198.51.100.1:9".parse().unwrap(); // not from a loopback address
    let local = Some("127.0.0.1".parse().unwrap());
    output.paths.push(Path { socket: 0, local, remote: unreachable });
    output.paths.push(Path { socket: 0, local, remote });
    for number in 0..3 {
        put(&mut output, 0, number, 100);
        put(&mut output, 1, number, 100);
    }
    let mut counters = Counters::default();
    Sending::new().send(std::slice::from_mut(&mut node), &output, &mut counters);
    assert_eq!(receive(&peer, 3).len(), 3);
    assert_eq!((counters.datagrams_sent, counters.send_errors), (3, 3));
    assert!(node.gso);
}

#[test]
fn two_hundred_peers_take_several_calls() {
    let (mut node, _) = bound("127.0.0.1");
    let (peers, addresses): (Vec<_>, Vec<_>) = (0..200).map(|_| bound("127.0.0.1")).unzip();
    let mut output = Output::default();
    for (path, remote) in addresses.into_iter().enumerate() {
        output.paths.push(Path { socket: 0, local: None, remote });
        put(&mut output, path as u32, path as u8, 50);
        put(&mut output, path as u32, path as u8, 50);
    }
    let mut counters = Counters::default();
    Sending::new().send(std::slice::from_mut(&mut node), &output, &mut counters);
    assert_eq!((counters.send_calls, counters.datagrams_sent), (4, 400));
    for (n, peer) in peers.iter().enumerate() {
        assert_eq!(receive(peer, 2).iter().map(|r| r.0).collect::<Vec<_>>(), [n as u8; 2]);
    }
}

#[test]
fn the_first_port_serves_all_addresses() {
    let sockets =
        crate::shell::bind_all(&["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()]).unwrap();
    assert_eq!(sockets[0].port().unwrap(), sockets[1].port().unwrap());
    assert!(crate::shell::bind_all(&[]).is_err());
    assert!(crate::shell::bind_all(&["198.51.100.1:0".parse().unwrap()]).is_err());
}
