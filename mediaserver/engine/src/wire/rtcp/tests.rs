use proptest::prelude::*;

use super::*;

fn only(bytes: &[u8]) -> Packet<'_> {
    let packets: Vec<_> = Compound::new(bytes).collect();
    assert_eq!(packets.len(), 1);
    assert_eq!(bytes.len() % 4, 0);
    packets[0].unwrap()
}

#[test]
fn reports_read_back() {
    let info =
        SenderInfo { ssrc: 1, ntp: 0xe000_0000_8000_0000, rtp_timestamp: 0xffff_fff0, packets: 7, octets: 8 };
    let blocks = [
        ReportBlock {
            ssrc: 2,
            fraction_lost: 255,
            lost: -1,
            highest_sequence: 0x1_0002,
            jitter: 5,
            last_sr: 6,
            delay_since_last_sr: 7,
        },
        ReportBlock { ssrc: 3, lost: 0x7f_ffff, ..ReportBlock::default() },
    ];
    let mut out = Vec::new();
    write_sender_report(&mut out, &info, &blocks);
    let Packet::SenderReport { info: read, reports } = only(&out) else { panic!() };
    assert_eq!(read, info);
    assert_eq!(reports.collect::<Vec<_>>(), blocks);

    out.clear();
    write_receiver_report(&mut out, 9, &[blocks[0]; 40]);
    let Packet::ReceiverReport { ssrc, reports } = only(&out) else { panic!() };
    assert_eq!((ssrc, reports.count()), (9, 31), "bounded by the count");
}

#[test]
fn a_compound_is_read_in_order() {
    let mut out = Vec::new();
    write_receiver_report(&mut out, 1, &[]);
    write_cname(&mut out, 1, "kelian");
    write_pli(&mut out, 1, 2);
    write_fir(&mut out, 1, 2, 200);
    out.extend_from_slice(&[0x80, 207, 0, 1, 0, 0, 0, 1]); // XR
    write_bye(&mut out, 1);
    let mut packets = Compound::new(&out).map(Result::unwrap);
    assert!(matches!(packets.next(), Some(Packet::ReceiverReport { ssrc: 1, .. })));
    let Some(Packet::SourceDescription(chunks)) = packets.next() else { panic!() };
    assert_eq!(chunks.collect::<Vec<_>>(), [(1, &b"kelian"[..])]);
    assert!(matches!(packets.next(), Some(Packet::Pli { sender: 1, media: 2 })));
    let Some(Packet::Fir { sender: 1, entries }) = packets.next() else { panic!() };
    assert_eq!(entries.collect::<Vec<_>>(), [(2, 200)]);
    assert!(matches!(packets.next(), Some(Packet::Other { packet_type: 207 })));
    let Some(Packet::Bye(ssrcs)) = packets.next() else { panic!() };
    assert_eq!(ssrcs.collect::<Vec<_>>(), [1]);
    assert!(packets.next().is_none());
}

#[test]
fn cnames_of_every_length_end_with_a_zero() {
    for len in 0..9 {
        let mut out = Vec::new();
        write_cname(&mut out, 5, &"x".repeat(len));
        assert_eq!(out.last(), Some(&0));
        let Packet::SourceDescription(mut chunks) = only(&out) else { panic!() };
        assert_eq!(chunks.next().unwrap().1.len(), len);
        assert!(chunks.next().is_none());
    }
}

#[test]
fn nacks_pack_numbers_around_the_wrap() {
    let lost = [65530, 65535, 0, 10, 11, 500];
    let mut out = Vec::new();
    write_nack(&mut out, 1, 2, &lost);
    assert_eq!(out.len(), 12 + 3 * 4, "65530 with 65535, 0 and 10; 11; 500");
    let Packet::Nack { sender: 1, media: 2, lost: read } = only(&out) else { panic!() };
    assert_eq!(read.collect::<Vec<_>>(), lost);
    out.clear();
    write_nack(&mut out, 1, 2, &[]);
    assert!(out.is_empty());
}

#[test]
fn remb_as_libwebrtc_sends_it() {
    let out =
        [0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 1, 0x0b, 0xff, 0xff, 0, 0, 0, 9];
    let Packet::Remb { sender: 1, bitrate_bps, ssrcs } = only(&out) else { panic!() };
    assert_eq!(bitrate_bps, 0x3_ffff << 2);
    assert_eq!(ssrcs.collect::<Vec<_>>(), [9]);
}

#[test]
fn remb_beyond_64_bits_is_no_limit() {
    let mut out = [0x8f, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 0, 0xff, 0xff, 0xff];
    assert!(matches!(only(&out), Packet::Remb { bitrate_bps: u64::MAX, .. }));
    out[17..].fill(0);
    out[17] = 0xfc;
    assert!(matches!(only(&out), Packet::Remb { bitrate_bps: 0, .. }));
}

#[test]
fn what_is_malformed_ends_the_compound() {
    let mut out = Vec::new();
    write_pli(&mut out, 1, 2);
    let whole = out.len();
    write_bye(&mut out, 1);
    out.pop();
    let packets: Vec<_> = Compound::new(&out).collect();
    assert!(packets[0].is_ok() && packets[1].is_err() && packets.len() == 2);
    out.truncate(whole);
    out[3] = 1; // a PLI without its media SSRC, then four stray bytes
    assert!(Compound::new(&out).next().unwrap().is_err());
    assert!(Compound::new(&[0xa0, 201, 0, 1, 0, 0, 0, 5]).next().unwrap().is_err(), "all padding");
    assert!(Compound::new(&[0x81, 201, 0, 1, 0, 0, 0, 5]).next().unwrap().is_err(), "a report short");
}

#[test]
fn transport_feedback_of_the_draft_by_hand() {
    // Base 10, 4 packets: received at +0, lost, received 1 ms later, received 10 ms earlier.
    let out = [
        0x8f, 205, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 10, 0, 4, 0, 0, 2, 9, 0xd1, 0x80, 0, 4, 0xff, 0xd8, 0, 0,
    ];
    let Packet::TransportFeedback(feedback) = only(&out) else { panic!() };
    assert_eq!((feedback.base_sequence, feedback.reference_time, feedback.feedback_count), (10, 2, 9));
    let arrivals: Vec<_> = feedback.arrivals().collect();
    assert_eq!(arrivals, [(10, Some(128_000)), (11, None), (12, Some(129_000)), (13, Some(119_000))]);
}

#[test]
fn transport_feedback_uses_runs() {
    let arrivals: Vec<_> = (0..400).map(|n| Some(n * 1000)).collect();
    let mut out = Vec::new();
    assert_eq!(write_transport_feedback(&mut out, 1, 2, 3, 65500, &arrivals), 400);
    assert_eq!(out.len(), 20 + (2 + 400usize).next_multiple_of(4), "one chunk, one byte a packet");
}

#[test]
fn transport_feedback_stops_at_a_gap_in_time() {
    let mut out = Vec::new();
    let arrivals = [None, Some(0), None, Some(9_000_000), Some(9_000_100)];
    assert_eq!(write_transport_feedback(&mut out, 1, 2, 0, 0, &arrivals), 3);
    assert_eq!(write_transport_feedback(&mut out, 1, 2, 1, 3, &arrivals[3..]), 2);
    assert_eq!(Compound::new(&out).filter(Result::is_ok).count(), 2);
    let len = out.len();
    assert_eq!(write_transport_feedback(&mut out, 1, 2, 2, 5, &[None, None]), 0);
    assert_eq!(out.len(), len);
}

proptest! {
    #[test]
    fn transport_feedback_reads_back(
        base in any::<u16>(),
        start in -(1i64 << 40)..1i64 << 40,
        steps in proptest::collection::vec(proptest::option::weighted(0.8, prop_oneof![
            8 => 0i64..20_000, 1 => -50_000i64..500_000, 1 => 0i64..8_000_000]), 1..450),
    ) {
        let mut now = start;
        let arrivals: Vec<_> = steps.iter().map(|step| step.map(|step| { now += step; now })).collect();
        let mut out = Vec::new();
        let told = write_transport_feedback(&mut out, 1, 2, 3, base, &arrivals);
        prop_assume!(arrivals.iter().any(Option::is_some));
        prop_assert!(told > 0);
        let Packet::TransportFeedback(feedback) = only(&out) else { panic!() };
        prop_assert_eq!(usize::from(feedback.status_count), told);
        let read: Vec<_> = feedback.arrivals().collect();
        prop_assert_eq!(read.len(), told);
        let turn = 64_000i64 << 24;
        for (n, (sequence, arrival)) in read.into_iter().enumerate() {
            prop_assert_eq!(sequence, base.wrapping_add(n as u16));
            prop_assert_eq!(arrival.is_some(), arrivals[n].is_some());
            if let (Some(read), Some(written)) = (arrival, arrivals[n]) {
                let off = (written - read).rem_euclid(turn);
                prop_assert!(off < 250, "{written} read as {read}");
            }
        }
    }

    #[test]
    fn nacks_read_back(mut lost in proptest::collection::btree_set(any::<u16>(), 1..200)) {
        let mut out = Vec::new();
        let written: Vec<u16> = std::mem::take(&mut lost).into_iter().collect();
        write_nack(&mut out, 1, 2, &written);
        let Packet::Nack { lost: read, .. } = only(&out) else { panic!() };
        prop_assert_eq!(read.collect::<Vec<_>>(), written);
    }

    #[test]
    fn any_bytes_never_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
        kind in 200u8..208,
        format in 0u8..32,
    ) {
        walk(&bytes);
        if bytes.len() >= 4 {
            bytes[0] = 0x80 | format;
            bytes[1] = kind;
            let words = (bytes.len() / 4 - 1) as u16;
            bytes[2..4].copy_from_slice(&words.to_be_bytes());
            walk(&bytes);
        }
    }
}

/// Reads everything there is to read.
fn walk(bytes: &[u8]) {
    for packet in Compound::new(bytes).flatten() {
        let items = match packet {
            Packet::SenderReport { reports, .. } | Packet::ReceiverReport { reports, .. } => reports.count(),
            Packet::SourceDescription(chunks) => chunks.count(),
            Packet::Bye(ssrcs) | Packet::Remb { ssrcs, .. } => ssrcs.count(),
            Packet::Nack { lost, .. } => lost.count(),
            Packet::Fir { entries, .. } => entries.count(),
            Packet::TransportFeedback(feedback) => feedback.arrivals().count(),
            Packet::Pli { .. } | Packet::Other { .. } => 0,
        };
        assert!(items <= 65535);
    }
}
