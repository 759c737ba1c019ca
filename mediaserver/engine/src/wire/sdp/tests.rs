use proptest::prelude::*;

use super::*;

const HEAD: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";

fn section(attributes: &str) -> String {
    format!("{HEAD}m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\n{attributes}")
}

fn refused(text: &str) -> String {
    parse(text.as_bytes()).expect_err("should be refused").to_string()
}

#[test]
fn codecs_keep_the_order_of_the_media_line() {
    let text = section(
        "a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:96 H264/90000\r\n\
         a=rtcp-fb:96 nack pli\r\na=rtcp-fb:* transport-cc\r\na=fmtp:96 profile-level-id=42e01f\r\n\
         a=rtpmap:100 VP9/90000\r\na=fmtp:101 apt=100\r\na=rtcp-fb:100 nack\r\n",
    );
    let description = parse(text.as_bytes()).unwrap();
    let media = &description.media[0];
    assert_eq!(media.codecs.len(), 2, "payload types that m= does not list are left over");
    assert_eq!((media.codecs[0].name, media.codecs[0].clock_rate), ("H264", 90000));
    assert_eq!(media.codecs[0].fmtp, "profile-level-id=42e01f");
    assert_eq!(media.codecs[0].feedback, ["nack pli"]);
    assert_eq!(media.codecs[1].fmtp, "apt=96");
    assert_eq!(media.feedback, ["transport-cc"]);
}

#[test]
fn session_level_attributes_stay_at_the_session() {
    let text = format!(
        "{HEAD}a=group:BUNDLE a b\r\na=group:LS a b\r\na=sendrecv\r\na=ice-lite\r\na=setup:passive\r\n\
         a=fingerprint:SHA-256 AB:cd\r\na=extmap-allow-mixed\r\n\
         m=audio 0 UDP/TLS/RTP/SAVPF 0\r\na=mid:a\r\na=bundle-only\r\na=recvonly\r\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:b\r\na=sctp-port:5000\r\n"
    );
    let description = parse(text.as_bytes()).unwrap();
    assert!(description.ice_lite && description.common.extmap_allow_mixed);
    assert_eq!(description.groups[0], Group { semantics: "BUNDLE", mids: vec!["a", "b"] });
    assert_eq!(description.groups[1].semantics, "LS");
    assert_eq!(description.common.direction, Some(Direction::SendRecv));
    assert_eq!(description.common.setup, Some(Setup::Passive));
    assert_eq!(description.common.fingerprints[0].algorithm, "SHA-256");
    let [audio, data] = &description.media[..] else { panic!("two sections") };
    assert!(audio.bundle_only && audio.port == 0 && audio.common.direction == Some(Direction::RecvOnly));
    assert_eq!(audio.codecs[0].name, "PCMU", "payload types of RFC 3551 need no rtpmap");
    assert_eq!((data.kind, data.formats, data.is_rtp()), ("application", "webrtc-datachannel", false));
}

#[test]
fn header_extensions_with_directions_and_attributes() {
    let text =
        section("a=extmap:3/recvonly urn:x short long\na=extmap:4 urn:y\na=extmap:4100/inactive urn:z\n");
    let description = parse(text.as_bytes()).unwrap();
    assert_eq!(
        description.media[0].common.extensions,
        [
            Extension { id: 3, direction: Some(Direction::RecvOnly), uri: "urn:x", attributes: "short long" },
            Extension { id: 4, direction: None, uri: "urn:y", attributes: "" },
            Extension { id: 4100, direction: Some(Direction::Inactive), uri: "urn:z", attributes: "" },
        ]
    );
}

#[test]
fn ssrcs_rids_and_simulcast() {
    let text = section(
        "a=msid:{stream} {track}\na=ssrc-group:FID 5 6\na=ssrc:5\na=ssrc:5 cname:me\na=ssrc:5 msid:a b\n\
         a=ssrc:6 cname:me\na=rid:q send pt=96;max-width=320\na=rid:h send\na=rid:x recv\n\
         a=simulcast:send q,q2;~h recv x\n",
    );
    let description = parse(text.as_bytes()).unwrap();
    let media = &description.media[0];
    assert_eq!(media.msid, Some("{stream}"));
    assert_eq!(media.ssrc_groups, [SsrcGroup { semantics: "FID", ssrcs: vec![5, 6] }]);
    assert_eq!(media.ssrcs.len(), 2);
    assert_eq!(media.ssrcs[0], Ssrc { ssrc: 5, cname: Some("me") });
    assert_eq!(media.rids[0], Rid { id: "q", sends: true, restrictions: "pt=96;max-width=320" });
    assert!(!media.rids[2].sends);
    let simulcast = media.simulcast.as_ref().unwrap();
    assert_eq!(simulcast.send[0].len(), 2);
    assert_eq!(simulcast.send[1], [Alternative { rid: "h", paused: true }]);
    assert_eq!(simulcast.recv.len(), 1);
}

#[test]
fn what_is_of_no_use_is_skipped() {
    let text = section(
        "b=AS:2000\r\nk=clear:x\r\ni=information\r\na=candidate:1 2 tcp 1 abc.local 9 typ host\r\na=candidate:?\r\n\
         a=end-of-candidates\r\na=rtcp:9 IN IP6 ::\r\na=x-anything at all\r\na=framerate:25\r\n\r\n",
    );
    assert_eq!(parse(text.as_bytes()).unwrap().media.len(), 1);
    let named = section("").replace("IP4 0.0.0.0", "IP4 media.example.org");
    assert!(parse(named.as_bytes()).is_ok(), "a name instead of an address in c=");
}

#[test]
fn setup_roles() {
    for (text, role) in [
        ("actpass", Setup::ActPass),
        ("active", Setup::Active),
        ("passive", Setup::Passive),
        ("holdconn", Setup::HoldConn),
    ] {
        let text = section(&format!("a=setup:{text}\n"));
        assert_eq!(parse(text.as_bytes()).unwrap().media[0].common.setup, Some(role));
    }
}

#[test]
fn malformed_lines_are_named() {
    assert_eq!(refused(""), "line 1: ends before o= and s=");
    assert_eq!(refused("v=1\r\n"), "line 1: a version other than 0");
    assert_eq!(refused("o=- 1 1 IN IP4 x\r\n"), "line 1: v=0 expected first");
    assert_eq!(refused("v=0\r\ns=-\r\n"), "line 2: o= expected after v=");
    assert_eq!(refused("v=0\r\no=- 1 IN IP4 x\r\n"), "line 2: o= needs six fields");
    assert_eq!(refused("v=0\r\no=- 1 1 IN IP4 x\r\n"), "line 2: ends before o= and s=");
    for (line, reason) in [
        ("garbage", "not of the form x=value"),
        ("y=1", "unknown type of line"),
        ("v=0", "a second v=, o= or s="),
        ("t=0 0", "a session's line inside a media section"),
        ("a=", "an attribute without a name"),
        ("a=mid:", "a malformed mid"),
        ("a=mid:a b", "a malformed mid"),
        ("a=ice-ufrag:abc", "a malformed ice-ufrag"),
        ("a=ice-ufrag:ab:cd", "a malformed ice-ufrag"),
        ("a=ice-pwd:short", "a malformed ice-pwd"),
        ("a=setup:both", "an unknown setup role"),
        ("a=fingerprint:sha-256 AB:C", "a malformed fingerprint"),
        ("a=fingerprint:sha-256", "a malformed fingerprint"),
        ("a=extmap:x urn:x", "an extmap without a number"),
        ("a=extmap:1", "an extmap without a URI"),
        ("a=extmap:1/sideways urn:x", "an extmap with an unknown direction"),
        ("a=rtpmap:96", "an rtpmap without a codec"),
        ("a=rtpmap:96 H264", "an rtpmap without a clock rate"),
        ("a=rtpmap:96 opus/48000/x", "an rtpmap with malformed channels"),
        ("a=rtpmap:300 H264/90000", "a payload type that is not from 0 to 127"),
        ("a=rtcp-fb:96", "an rtcp-fb without a value"),
        ("a=ssrc:4294967296 cname:x", "a malformed SSRC"),
        ("a=ssrc-group:FID 1 -2", "a malformed SSRC"),
        ("a=rid:a/b send", "a malformed rid"),
        ("a=rid:a", "a rid that neither sends nor receives"),
        ("a=simulcast:q;h", "a simulcast that neither sends nor receives"),
        ("a=simulcast:send", "a simulcast without streams"),
        ("c=IN IP4", "c= needs three fields"),
        ("m=video 9 UDP/TLS/RTP/SAVPF", "m= needs media, port, protocol and formats"),
        ("m=video 99999 UDP/TLS/RTP/SAVPF 96", "m= needs a port from 0 to 65535"),
        ("m=video 9/x UDP/TLS/RTP/SAVPF 96", "m= has a malformed number of ports"),
        ("m=video 9 UDP/TLS/RTP/SAVPF 128", "a payload type that is not from 0 to 127"),
    ] {
        assert_eq!(refused(&section(&format!("{line}\r\n"))), format!("line 7: {reason}"), "{line}");
    }
    let twice = section("a=mid:0\nm=audio 9 UDP/TLS/RTP/SAVPF 0\na=mid:0\n");
    assert_eq!(refused(&twice), "line 9: a mid that another section has");
}

#[test]
fn bytes_that_are_not_text_are_refused() {
    assert_eq!(parse(b"v=0\r\no=\xff").unwrap_err(), SdpError { line: 2, reason: "not UTF-8" });
    assert_eq!(refused(&section("a=x:\0\r\n")), "line 7: a control character in the value");
}

#[test]
fn sizes_are_bounded() {
    assert!(refused(&section(&"a=x\n".repeat(MAX_BYTES / 4))).contains("512 kB"));
    let long = format!("a=fmtp:96 {}", "x".repeat(MAX_LINE_BYTES));
    assert_eq!(refused(&section(&long)), "line 7: longer than 16 kB");
    assert!(refused(&format!("{HEAD}{}", "m=audio 9 RTP/AVP 0\n".repeat(MAX_SECTIONS + 1))).contains("1000"));
}

/// Words of the language, put together wrongly.
fn mutated() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("a=".to_owned()),
        Just("m=video 9 UDP/TLS/RTP/SAVPF 96".to_owned()),
        Just("\r\n".to_owned()),
        Just("rtpmap:96 ".to_owned()),
        Just("ssrc:".to_owned()),
        Just("simulcast:send ".to_owned()),
        Just("extmap:".to_owned()),
        Just("fingerprint:sha-256 ".to_owned()),
        Just("rtcp-fb:* ".to_owned()),
        Just("group:BUNDLE ".to_owned()),
        "[ -~]{0,12}",
        any::<u64>().prop_map(|number| number.to_string()),
    ];
    prop::collection::vec(word, 0..40).prop_map(|words| format!("{HEAD}{}", words.concat()))
}

proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn any_sentence_is_taken_or_refused(text in mutated()) {
        if let Err(error) = parse(text.as_bytes()) {
            prop_assert!(error.line >= 1 && error.line <= text.lines().count().max(1));
        }
    }
}
