//! Ways change and end while media goes on.

use _engine::core::{Codec, Command, Drop, Event, IceState, Path};

use crate::packets::{assert_continuous, pair};
use crate::sender::Sender;
use crate::world::{credentials, Link, World};

fn states(world: &World, at: usize) -> Vec<IceState> {
    let transport = world.peers[at].transport();
    let matching = world.events.iter().filter_map(|(_, event)| match event {
        Event::Ice { transport: t, state, .. } if *t == transport => Some(*state),
        _ => None,
    });
    matching.collect()
}

#[test]
fn a_subscriber_that_moves_gets_everything_at_its_new_address() {
    let mut world = pair(1, Sender::new(7, Codec::H264));
    world.run_ms(1000);
    world.peers[1].address.set_port(6000);
    let moved_us = world.now_us;
    world.run_ms(3000);
    assert_eq!(states(&world, 1), [IceState::Connected, IceState::Moved]);
    let slot = world.peers[1].slot("v");
    // Half a second until the next check; then all of it is asked for again.
    let first = slot.packets.values().find(|packet| packet.at_us > moved_us + 25_000).unwrap();
    assert!(first.at_us < moved_us + 600_000);
    assert_continuous(slot);
}

#[test]
fn a_publisher_that_moves_is_still_the_same() {
    let mut world = pair(2, Sender::new(7, Codec::H264));
    world.run_ms(1000);
    world.peers[0].address.set_port(6000);
    world.run_ms(3000);
    assert_eq!(states(&world, 0), [IceState::Connected, IceState::Moved]);
    let slot = world.peers[1].slot("v");
    assert!(world.now_us - slot.contents().last().unwrap().0.at_us < 100_000);
    // Media from the new address before its first check was dropped, and repaired or renewed.
    assert!(world.core.stats().dropped(Drop::UnknownAddress) > 0);
}

/// A check of one peer comes from the address of another: forged, or a NAT gave it away and back.
#[test]
fn an_address_belongs_to_whoever_checked_last() {
    let mut world = pair(9, Sender::new(7, Codec::H264));
    world.run_ms(1000);
    world.peers[1].nominating = false;
    let mut check = world.peers[1].check(false);
    world.peers[1].nominating = true;
    let (now, remote) = (world.now(), world.peers[0].address);
    world.core.receive(now, Path { socket: 0, local: None, remote }, &mut check);
    world.core.transmits().clear();
    world.run_ms(3000);
    let last = world.peers[1].slot("v").contents().last().unwrap().0.at_us;
    assert!(world.now_us - last < 100_000, "{} ms without a picture", (world.now_us - last) / 1000);
}

#[test]
fn an_ice_restart_interrupts_nothing() {
    let mut world = pair(3, Sender::new(7, Codec::H264));
    world.run_ms(1000);
    for at in 0..2 {
        let transport = world.peers[at].transport();
        world.command(Command::RestartIce { transport, credentials: credentials(at, "two") });
    }
    world.run_ms(1200); // checks with the old credentials are still answered
    for at in 0..2 {
        world.peers[at].generation = "two".into();
        world.peers[at].address.set_port(7000);
    }
    world.run_ms(2000);
    for at in 0..2 {
        assert_eq!(states(&world, at), [IceState::Connected, IceState::Connected]);
    }
    let slot = world.peers[1].slot("v");
    assert_eq!(slot.gaps(), [0; 0]);
    assert!(world.now_us - slot.contents().last().unwrap().0.at_us < 100_000);
    // The old credentials are void now.
    world.peers[1].generation = "one".into();
    world.run_ms(1000);
    assert!(world.core.stats().dropped(Drop::StunUnknownUser) >= 1);
}

#[test]
fn expires_after_thirty_seconds_and_sends_no_more() {
    let mut world = pair(4, Sender::new(7, Codec::H264));
    world.run_ms(1000);
    world.peers[1].checking = false;
    world.run_ms(29_000);
    assert_eq!(states(&world, 1), [IceState::Connected]);
    world.run_ms(2000);
    assert_eq!(states(&world, 1), [IceState::Connected, IceState::Expired]);
    let count = world.peers[1].slot("v").packets.len();
    world.run_ms(500);
    assert_eq!(world.peers[1].slot("v").packets.len(), count);
    world.peers[1].checking = true;
    world.run_ms(3000);
    assert_eq!(states(&world, 1).last(), Some(&IceState::Connected));
    let slot = world.peers[1].slot("v");
    assert!(slot.packets.len() > count + 50);
    let again = slot.contents().find(|(packet, _)| packet.at_us > 32_500_000).unwrap().1;
    assert!(again.key && again.part == 0, "a key frame, and no gap before it");
}

#[test]
fn a_peer_that_never_comes_expires_too() {
    let mut world = World::new(5);
    world.command(Command::OpenTransport { transport: 9, credentials: credentials(9, "one") });
    world.run_ms(31_000);
    let expired = world.events.iter().any(|(us, event)| {
        matches!(event, Event::Ice { transport: 9, state: IceState::Expired, .. }) && *us >= 30_000_000
    });
    assert!(expired);
}

#[test]
fn a_controlled_peer_is_told_of_the_conflict() {
    let mut world = World::new(6);
    let at = world.connect_without_keys(Link::default(), Link::default());
    world.peers[at].checking = false;
    let check = world.peers[at].check(true);
    world.peers[at].send_raw(check);
    world.run_ms(10);
    assert_eq!(world.peers[at].heard.error_codes, [487]);
    assert!(states(&world, at).is_empty());
}

#[test]
fn dtls_waits_for_an_address_and_is_taken_only_from_valid_ones() {
    let mut world = World::new(7);
    let at = world.connect_without_keys(Link::default(), Link::default());
    world.peers[at].checking = false;
    world.peers[at].nominating = false;
    let transport = world.peers[at].transport();
    let hello = |n: u8| vec![22, 254, 253, n];
    world.command(Command::SendDtls { transport, datagram: hello(1) });
    world.peers[at].send_raw(hello(2));
    world.run_ms(10);
    assert!(world.peers[at].heard.dtls.is_empty());
    assert_eq!(world.core.stats().dropped(Drop::UnknownAddress), 1);
    world.peers[at].checking = true;
    world.run_ms(600);
    world.command(Command::SendDtls { transport, datagram: hello(3) });
    world.peers[at].send_raw(hello(4));
    world.run_ms(10);
    assert_eq!(world.peers[at].heard.dtls, [hello(1), hello(3)]);
    let taken: Vec<_> = world
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Dtls { datagram, .. } => Some(datagram.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(taken, [hello(4)]);
}

#[test]
fn media_before_the_keys_is_dropped_and_a_slot_waits_for_them() {
    let mut world = World::new(8);
    let publisher = world.join(Link::default(), Link::default());
    world.publish(publisher, Sender::new(7, Codec::H264));
    let at = world.connect_without_keys(Link::default(), Link::default());
    world.open_slot(at, "v", Codec::H264);
    world.assign(&[(at, "v", 7)]);
    world.run_ms(1000);
    let mut packet = vec![0x80, 96, 0, 1];
    packet.resize(60, 0);
    world.peers[at].send_raw(packet);
    world.run_ms(10);
    assert_eq!(world.core.stats().dropped(Drop::NoKeys), 1);
    assert!(world.slot_events(at, "v").is_empty());
    world.set_keys(at);
    world.run_ms(200);
    assert!(world.peers[at].slot("v").packets.len() > 10, "a key frame came at once");
}
