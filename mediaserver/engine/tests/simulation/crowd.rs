//! What a crowd costs that does nothing: a thousand connected transports of forty slots each.

use std::time::{Duration, Instant};

use _engine::core::{Codec, Command, Core, ExtensionIds, IceCredentials, MediaKind, Path, SlotParameters};
use _engine::wire::srtp::Profile;
use _engine::wire::stun::{Builder, Class, IntegrityKey};

use crate::sender::Sender;
use crate::world::NODE_NTP;

const TRANSPORTS: u64 = 1000;
const SLOTS: u32 = 40;

fn slot(n: u32) -> SlotParameters {
    SlotParameters {
        mid: n.to_string(),
        kind: MediaKind::Video,
        codec: Codec::H264,
        clock_rate: 90_000,
        payload_type: 96,
        rtx_payload_type: Some(97),
        ssrc: 0x1000 + n,
        rtx_ssrc: Some(0x2000 + n),
        cname: "lesson".into(),
        extensions: ExtensionIds::default(),
        nack: true,
    }
}

/// Everybody is connected and nobody sends.
fn crowd(start: Instant) -> Core {
    let mut core = Core::new(start, NODE_NTP, 1);
    for transport in 0..TRANSPORTS {
        let [local_ufrag, local_pwd] = [format!("u{transport}"), format!("p{transport}")];
        let mut check = Vec::new();
        Builder::new(&mut check, Class::Request, &[0; 12])
            .username(&format!("{local_ufrag}:peer"))
            .use_candidate()
            .integrity(&IntegrityKey::new(&local_pwd))
            .finish();
        let credentials =
            IceCredentials { local_ufrag, local_pwd, remote_ufrag: "peer".into(), remote_pwd: "p".into() };
        core.command(start, Command::OpenTransport { transport, credentials });
        let (local_key, remote_key) = (vec![1; 28], vec![2; 28]);
        let profile = Profile::AeadAes128Gcm;
        core.command(start, Command::SetSrtp { transport, profile, local_key, remote_key });
        for n in 0..SLOTS {
            core.command(start, Command::OpenSlot { transport, parameters: slot(n) });
        }
        let remote = ([10, 0, (transport >> 8) as u8, transport as u8], 5000).into();
        core.receive(start, Path { socket: 0, local: None, remote }, &mut check);
    }
    core.transmits().clear();
    core
}

/// Wall time of a second of ticks. Run it with `--release -- --ignored --nocapture crowd`.
#[test]
#[ignore = "a measurement: times depend on the machine"]
fn a_second_of_an_idle_crowd() {
    let start = Instant::now();
    let mut core = crowd(start);
    let mut now = start + Duration::from_secs(1);
    let began = Instant::now();
    for _ in 0..500 {
        now += Duration::from_millis(10);
        core.tick(now);
        core.transmits().clear();
    }
    let spent = began.elapsed() / 5;
    println!("{TRANSPORTS} transports, {SLOTS} slots each: {spent:?} for a second of ticks");
    assert!(spent < Duration::from_millis(50), "{spent:?}");
}

/// The packet thread does nothing else while a transport is closed.
#[test]
#[ignore = "a measurement: times depend on the machine"]
fn a_crowd_leaves() {
    let start = Instant::now();
    let mut core = crowd(start);
    for source in 1..=SLOTS {
        let transport = u64::from(source);
        let mut parameters = Sender::new(source, Codec::H264).parameters();
        parameters.rids = ["q", "h", "f"].map(String::from).to_vec();
        core.command(start, Command::OpenProducer { transport, parameters });
        let mid = (source - 1).to_string();
        let changes = (0..TRANSPORTS).map(|transport| (transport, mid.clone(), source));
        core.command(start, Command::Assign(changes.collect()));
    }
    let began = Instant::now();
    for transport in (0..TRANSPORTS).rev() {
        core.command(start, Command::CloseTransport { transport });
    }
    let spent = began.elapsed() / TRANSPORTS as u32;
    println!("{spent:?} to close one of {TRANSPORTS} transports with {SLOTS} subscriptions each");
    assert!(spent < Duration::from_millis(1), "{spent:?}");
}
