//! Session descriptions (RFC 8866) as WebRTC uses them (RFC 9429).
//!
//! [`parse`] reads one description without copying: every string borrows from the text. It is
//! one pass over the lines, linear in their length. What this server has no use for (unknown
//! attributes, candidates) is skipped, because offers in the wild are full of it; what it does
//! use must be well-formed, or the line is named in an [`SdpError`].

mod attribute;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt;

/// The longest description that is looked at, in bytes.
pub const MAX_BYTES: usize = 512 * 1024;
/// The longest line that is taken, in bytes: many times what any client writes.
pub const MAX_LINE_BYTES: usize = 16 * 1024;
/// The most `m=` sections that are looked at.
pub const MAX_SECTIONS: usize = 1000;

const MAX_PAYLOAD_TYPE: u8 = 127;
/// "No codec has this payload type yet" in [`Media::codec_index`].
const NO_CODEC: u8 = u8::MAX;

/// Why a description was not taken, and the line (1 is the first) that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SdpError {
    pub line: usize,
    pub reason: &'static str,
}

impl fmt::Display for SdpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for SdpError {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }
}

/// DTLS roles that the sender of the description can take (RFC 5763, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    ActPass,
    Active,
    Passive,
    HoldConn,
}

impl Setup {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ActPass => "actpass",
            Self::Active => "active",
            Self::Passive => "passive",
            Self::HoldConn => "holdconn",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint<'a> {
    /// As written: "sha-256", or "SHA-256" from some.
    pub algorithm: &'a str,
    /// Pairs of hexadecimal digits, joined by colons.
    pub value: &'a str,
}

/// What may stand at session level or in each section; a section's own wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Common<'a> {
    pub direction: Option<Direction>,
    pub ice_ufrag: Option<&'a str>,
    pub ice_pwd: Option<&'a str>,
    pub fingerprints: Vec<Fingerprint<'a>>,
    pub setup: Option<Setup>,
    pub extmap_allow_mixed: bool,
    pub extensions: Vec<Extension<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group<'a> {
    pub semantics: &'a str,
    pub mids: Vec<&'a str>,
}

/// One `a=extmap` (RFC 8285). Ids differ between sections, even bundled ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<'a> {
    pub id: u16,
    pub direction: Option<Direction>,
    pub uri: &'a str,
    pub attributes: &'a str,
}

/// One payload type, in the order of the `m=` line: the offerer's preference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Codec<'a> {
    pub payload_type: u8,
    /// As written, in whatever case; empty when neither `a=rtpmap` nor RFC 3551 names it.
    pub name: &'a str,
    pub clock_rate: u32,
    pub channels: u8,
    /// The parameters of its first `a=fmtp`, unparsed.
    pub fmtp: &'a str,
    /// `a=rtcp-fb` of this payload type; those of `*` are in [`Media::feedback`].
    pub feedback: Vec<&'a str>,
}

/// One `a=rid` (RFC 8851).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rid<'a> {
    pub id: &'a str,
    pub sends: bool,
    pub restrictions: &'a str,
}

/// `a=simulcast` (RFC 8853): streams in order, each a list of alternative rids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Simulcast<'a> {
    pub send: Vec<Vec<Alternative<'a>>>,
    pub recv: Vec<Vec<Alternative<'a>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alternative<'a> {
    pub rid: &'a str,
    pub paused: bool,
}

/// All `a=ssrc` lines of one SSRC (RFC 5576).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ssrc<'a> {
    pub ssrc: u32,
    pub cname: Option<&'a str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsrcGroup<'a> {
    pub semantics: &'a str,
    pub ssrcs: Vec<u32>,
}

/// One `m=` section.
#[derive(Debug, Clone)]
pub struct Media<'a> {
    pub kind: &'a str,
    pub port: u16,
    pub protocol: &'a str,
    /// The formats as written: payload types, or "webrtc-datachannel".
    pub formats: &'a str,
    pub mid: Option<&'a str>,
    pub common: Common<'a>,
    pub rtcp_mux: bool,
    pub rtcp_rsize: bool,
    pub bundle_only: bool,
    pub codecs: Vec<Codec<'a>>,
    /// `a=rtcp-fb:*`
    pub feedback: Vec<&'a str>,
    pub rids: Vec<Rid<'a>>,
    pub simulcast: Option<Simulcast<'a>>,
    pub ssrcs: Vec<Ssrc<'a>>,
    pub ssrc_groups: Vec<SsrcGroup<'a>>,
    /// Stream of the first `a=msid` (RFC 8830).
    pub msid: Option<&'a str>,
    codec_index: [u8; MAX_PAYLOAD_TYPE as usize + 1],
    ssrc_index: HashMap<u32, usize>,
}

/// A whole description.
#[derive(Debug, Clone, Default)]
pub struct Description<'a> {
    pub session_id: &'a str,
    pub session_version: &'a str,
    pub ice_lite: bool,
    pub common: Common<'a>,
    pub groups: Vec<Group<'a>>,
    pub media: Vec<Media<'a>>,
}

/// Reads one description.
pub fn parse(text: &[u8]) -> Result<Description<'_>, SdpError> {
    if text.len() > MAX_BYTES {
        return Err(SdpError { line: 1, reason: "longer than 512 kB" });
    }
    let text = std::str::from_utf8(text).map_err(|error| SdpError {
        line: 1 + text[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count(),
        reason: "not UTF-8",
    })?;
    let mut reader = Reader::default();
    let mut last = 1;
    for (index, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            continue; // the end, and blank lines that templates leave behind
        }
        last = index + 1;
        reader.line(line).map_err(|reason| SdpError { line: last, reason })?;
    }
    if reader.stage != Stage::Body {
        return Err(SdpError { line: last, reason: "ends before o= and s=" });
    }
    Ok(reader.description)
}

/// The lines that every description begins with, in this order (RFC 8866, section 5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Version,
    Origin,
    Name,
    Body,
}

type Taken = Result<(), &'static str>;

#[derive(Default)]
struct Reader<'a> {
    stage: Stage,
    description: Description<'a>,
    mids: HashSet<&'a str>,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str) -> Taken {
        let bytes = line.as_bytes();
        if bytes.len() < 2 || bytes[1] != b'=' {
            return Err("not of the form x=value");
        }
        if bytes.len() > MAX_LINE_BYTES {
            return Err("longer than 16 kB");
        }
        let value = &line[2..];
        if value.contains(['\0', '\r']) {
            return Err("a control character in the value");
        }
        match (self.stage, bytes[0]) {
            (Stage::Version, b'v') => self.version(value),
            (Stage::Version, _) => Err("v=0 expected first"),
            (Stage::Origin, b'o') => self.origin(value),
            (Stage::Origin, _) => Err("o= expected after v="),
            (Stage::Name, b's') => {
                self.stage = Stage::Body;
                Ok(())
            }
            (Stage::Name, _) => Err("s= expected after o="),
            (Stage::Body, b'a') => self.attribute(value),
            (Stage::Body, b'm') => self.media(value),
            (Stage::Body, b'c') => connection(value),
            (Stage::Body, b'i' | b'b' | b'k') => Ok(()),
            (Stage::Body, b'u' | b'e' | b'p' | b't' | b'r' | b'z') => {
                if self.description.media.is_empty() {
                    Ok(())
                } else {
                    Err("a session's line inside a media section")
                }
            }
            (Stage::Body, b'v' | b'o' | b's') => Err("a second v=, o= or s="),
            (Stage::Body, _) => Err("unknown type of line"),
        }
    }

    fn version(&mut self, value: &'a str) -> Taken {
        if value != "0" {
            return Err("a version other than 0");
        }
        self.stage = Stage::Origin;
        Ok(())
    }

    fn origin(&mut self, value: &'a str) -> Taken {
        let mut fields = value.split_ascii_whitespace();
        let (Some(_user), Some(id), Some(version), Some(_net), Some(_kind), Some(_address), None) = (
            fields.next(),
            fields.next(),
            fields.next(),
            fields.next(),
            fields.next(),
            fields.next(),
            fields.next(),
        ) else {
            return Err("o= needs six fields");
        };
        if !is_digits(id) || !is_digits(version) {
            return Err("o= needs a numeric id and version");
        }
        self.description.session_id = id;
        self.description.session_version = version;
        self.stage = Stage::Name;
        Ok(())
    }

    fn media(&mut self, value: &'a str) -> Taken {
        if self.description.media.len() == MAX_SECTIONS {
            return Err("more than 1000 media sections");
        }
        let mut fields = value.splitn(4, ' ');
        let (Some(kind), Some(port), Some(protocol), Some(formats)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err("m= needs media, port, protocol and formats");
        };
        if !is_token(kind) || protocol.is_empty() {
            return Err("m= needs a media type and a protocol");
        }
        let (port, ports) = port.split_once('/').unwrap_or((port, "1"));
        let port = port.parse().map_err(|_| "m= needs a port from 0 to 65535")?;
        if !is_digits(ports) {
            return Err("m= has a malformed number of ports");
        }
        let mut media = Media::new(kind, port, protocol, formats);
        if media.is_rtp() {
            media.take_formats()?;
        }
        self.description.media.push(media);
        Ok(())
    }

    fn attribute(&mut self, value: &'a str) -> Taken {
        let (name, value) = value.split_once(':').unwrap_or((value, ""));
        if name.is_empty() {
            return Err("an attribute without a name");
        }
        let Some(media) = self.description.media.last_mut() else {
            return match name {
                "group" => self.description.take_group(value),
                "ice-lite" => {
                    self.description.ice_lite = true;
                    Ok(())
                }
                _ => self.description.common.take(name, value).map(|_| ()),
            };
        };
        if name == "mid" {
            if !is_token(value) {
                return Err("a malformed mid");
            }
            if !self.mids.insert(value) {
                return Err("a mid that another section has");
            }
            media.mid = Some(value);
            return Ok(());
        }
        if media.common.take(name, value)? {
            return Ok(());
        }
        media.take(name, value)
    }
}

impl<'a> Media<'a> {
    fn new(kind: &'a str, port: u16, protocol: &'a str, formats: &'a str) -> Self {
        Self {
            kind,
            port,
            protocol,
            formats,
            mid: None,
            common: Common::default(),
            rtcp_mux: false,
            rtcp_rsize: false,
            bundle_only: false,
            codecs: Vec::new(),
            feedback: Vec::new(),
            rids: Vec::new(),
            simulcast: None,
            ssrcs: Vec::new(),
            ssrc_groups: Vec::new(),
            msid: None,
            codec_index: [NO_CODEC; MAX_PAYLOAD_TYPE as usize + 1],
            ssrc_index: HashMap::new(),
        }
    }

    /// Whether the formats are RTP payload types ("UDP/TLS/RTP/SAVPF", "RTP/AVP" and the like).
    pub fn is_rtp(&self) -> bool {
        self.protocol.split('/').any(|part| part == "RTP")
    }

    fn take_formats(&mut self) -> Taken {
        for format in self.formats.split_ascii_whitespace() {
            let payload_type = payload_type(format)?;
            if self.codec_index[usize::from(payload_type)] != NO_CODEC {
                continue;
            }
            self.codec_index[usize::from(payload_type)] = self.codecs.len() as u8; // at most 128
            let (name, clock_rate) = static_payload(payload_type);
            self.codecs.push(Codec { payload_type, name, clock_rate, channels: 1, ..Codec::default() });
        }
        Ok(())
    }

    /// The codec of a payload type, if the `m=` line lists it. Attributes of others are left
    /// over from codecs that the client removed.
    fn codec_mut(&mut self, payload_type: u8) -> Option<&mut Codec<'a>> {
        let index = self.codec_index[usize::from(payload_type)];
        self.codecs.get_mut(usize::from(index))
    }
}

/// Names and clock rates that RFC 3551 gives without `a=rtpmap` (those that WebRTC peers list).
fn static_payload(payload_type: u8) -> (&'static str, u32) {
    match payload_type {
        0 => ("PCMU", 8000),
        8 => ("PCMA", 8000),
        9 => ("G722", 8000),
        13 => ("CN", 8000),
        _ => ("", 0),
    }
}

fn connection(value: &str) -> Taken {
    if value.split_ascii_whitespace().count() == 3 {
        Ok(()) // the address itself is of no use to ICE: IPv4, IPv6 and names are all taken
    } else {
        Err("c= needs three fields")
    }
}

fn payload_type(text: &str) -> Result<u8, &'static str> {
    match text.parse() {
        Ok(number) if number <= MAX_PAYLOAD_TYPE => Ok(number),
        _ => Err("a payload type that is not from 0 to 127"),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// RFC 8866, section 9: `token`.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&byte))
}
