#![no_main]
//! A publisher and a viewer with good keys and bad manners, at the core's door: whatever they
//! send, the node goes on. A panic in the packet thread ends the process for everybody.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use _engine::core::*;
use _engine::wire::srtp::{Profile, Sender};
use _engine::wire::stun::{Builder, Class, IntegrityKey};
use libfuzzer_sys::fuzz_target;

const PUBLISHER: u64 = 1;
const VIEWER: u64 = 2;
const KEY: [u8; 28] = [7; 28];
const EXTENSION_IDS: [(Extension, u8); 5] = [
    (Extension::Mid, 1),
    (Extension::Rid, 2),
    (Extension::RepairedRid, 3),
    (Extension::AudioLevel, 4),
    (Extension::Twcc, 5),
];

fn extensions() -> ExtensionIds {
    EXTENSION_IDS.into_iter().fold(ExtensionIds::default(), |ids, (extension, id)| ids.with(extension, id))
}

fn path(transport: u64) -> Path {
    Path { socket: 0, local: None, remote: SocketAddr::new([127, 0, 0, 1].into(), 1000 + transport as u16) }
}

fn producer(source: u32, kind: MediaKind, codec: Codec, mid: &str) -> ProducerParameters {
    ProducerParameters {
        source,
        group: 1,
        kind,
        codec,
        clock_rate: 90_000,
        mid: mid.into(),
        payload_type: 96 + source as u8,
        rtx_payload_type: Some(106 + source as u8),
        ssrcs: vec![source],
        rtx_ssrcs: vec![(100 + source, source)],
        rids: if source == 2 { vec!["l".into(), "h".into()] } else { Vec::new() },
        extensions: extensions(),
        nack: true,
        pli: true,
        fir: source == 2,
        twcc: true,
    }
}

fn node(now: Instant) -> Core {
    let mut core = Core::new(now, 0xe000_0000_0000_0000, 1);
    for transport in [PUBLISHER, VIEWER] {
        let credentials = IceCredentials {
            local_ufrag: format!("local{transport}"),
            local_pwd: "password".into(),
            remote_ufrag: "remote".into(),
            remote_pwd: "password".into(),
        };
        core.command(now, Command::OpenTransport { transport, credentials });
        let (local_key, remote_key) = (KEY.to_vec(), KEY.to_vec());
        let profile = Profile::AeadAes128Gcm;
        core.command(now, Command::SetSrtp { transport, profile, local_key, remote_key });
        let mut check = Vec::new();
        Builder::new(&mut check, Class::Request, &[0; 12])
            .username(&format!("local{transport}:remote"))
            .priority(1)
            .controlling(1)
            .use_candidate()
            .integrity(&IntegrityKey::new("password"))
            .finish();
        core.receive(now, path(transport), &mut check);
    }
    let media = [
        (1, MediaKind::Audio, Codec::Opus),
        (2, MediaKind::Video, Codec::H264),
        (3, MediaKind::Video, Codec::Vp8),
    ];
    for (source, kind, codec) in media {
        let mid = source.to_string();
        let parameters = producer(source, kind, codec, &mid);
        core.command(now, Command::OpenProducer { transport: PUBLISHER, parameters });
        let parameters = SlotParameters {
            mid: mid.clone(),
            kind,
            codec,
            clock_rate: 90_000,
            payload_type: 96,
            rtx_payload_type: Some(97),
            ssrc: 1000 + source,
            rtx_ssrc: Some(2000 + source),
            cname: "kelian".into(),
            extensions: extensions(),
            nack: true,
        };
        core.command(now, Command::OpenSlot { transport: VIEWER, parameters });
        core.command(now, Command::Assign(vec![(VIEWER, mid, source)]));
    }
    core
}

fuzz_target!(|input: &[u8]| {
    let mut now = Instant::now();
    let mut core = node(now);
    let sender = Sender::new(Profile::AeadAes128Gcm, &KEY).unwrap();
    let (mut rest, mut rtcp_index) = (input, 0);
    while let [action, step, length, after @ ..] = rest {
        let (bytes, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        now += Duration::from_millis(u64::from(*step));
        let from = if action & 0x80 == 0 { PUBLISHER } else { VIEWER };
        let mut datagram = bytes.to_vec();
        match action % 5 {
            0 => core.receive(now, path(from), &mut datagram),
            1 if datagram.len() >= 12 => {
                // Any header; the extensions stay in clear, so where the payload begins matters.
                datagram[0] = 0x80 | (datagram[0] & 0x3f);
                let Ok(header) = _engine::wire::rtp::RtpHeader::parse(&datagram) else { continue };
                sender.protect_rtp(&mut datagram, 0, header.len, header.sequence.into());
                core.receive(now, path(from), &mut datagram);
            }
            2 if datagram.len() >= 8 => {
                datagram[0] = 0x80 | (datagram[0] & 0x3f);
                datagram[1] = 200 + datagram[1] % 8;
                rtcp_index += 1;
                sender.protect_rtcp(&mut datagram, 0, rtcp_index);
                core.receive(now, path(from), &mut datagram);
            }
            3 => {
                let source = u32::from(bytes.first().copied().unwrap_or(0) % 5);
                let mid = (u32::from(step % 3) + 1).to_string();
                core.command(now, Command::Assign(vec![(VIEWER, mid, source)]));
            }
            _ => now += Duration::from_millis(u64::from(*length) * 20),
        }
        while core.timeout().is_some_and(|due| due <= now) {
            core.tick(now);
            if core.timeout().is_some_and(|due| due <= now) {
                panic!("a tick that leaves itself due would spin");
            }
        }
        core.transmits().clear();
        while core.poll_event().is_some() {}
    }
    let _ = (core.transport_stats(PUBLISHER), core.transport_stats(VIEWER));
});
