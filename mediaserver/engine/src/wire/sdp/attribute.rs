//! The attributes that mean something to this server, one function each.

use super::{
    is_token, payload_type, Alternative, Common, Description, Direction, Extension, Fingerprint, Group,
    Media, Rid, Setup, Simulcast, Ssrc, SsrcGroup, Taken,
};

impl<'a> Description<'a> {
    /// `group:BUNDLE 0 1 2` (RFC 5888).
    pub(super) fn take_group(&mut self, value: &'a str) -> Taken {
        let mut words = value.split_ascii_whitespace();
        let semantics = words.next().filter(|word| is_token(word)).ok_or("a group without semantics")?;
        self.groups.push(Group { semantics, mids: words.collect() });
        Ok(())
    }
}

impl<'a> Common<'a> {
    /// False: not an attribute of these.
    pub(super) fn take(&mut self, name: &str, value: &'a str) -> Result<bool, &'static str> {
        match name {
            "ice-ufrag" => {
                // RFC 8839 allows letters, digits, "+" and "/"; others are met, and only a colon
                // would make the username of a check ambiguous.
                if !is_credential(value, 4) || value.contains(':') {
                    return Err("a malformed ice-ufrag");
                }
                self.ice_ufrag = Some(value);
            }
            "ice-pwd" => {
                if !is_credential(value, 22) {
                    return Err("a malformed ice-pwd");
                }
                self.ice_pwd = Some(value);
            }
            "fingerprint" => self.fingerprints.push(fingerprint(value)?),
            "setup" => {
                self.setup = Some(match value.trim_ascii() {
                    "actpass" => Setup::ActPass,
                    "active" => Setup::Active,
                    "passive" => Setup::Passive,
                    "holdconn" => Setup::HoldConn,
                    _ => return Err("an unknown setup role"),
                });
            }
            "extmap" => self.extensions.push(extension(value)?),
            "extmap-allow-mixed" => self.extmap_allow_mixed = true,
            _ => match direction(name) {
                Some(direction) => self.direction = Some(direction),
                None => return Ok(false),
            },
        }
        Ok(true)
    }
}

impl<'a> Media<'a> {
    /// Attributes of a section alone. Unknown ones are skipped, as RFC 8866 asks.
    pub(super) fn take(&mut self, name: &str, value: &'a str) -> Taken {
        match name {
            "rtpmap" => self.take_rtpmap(value),
            "fmtp" => self.take_fmtp(value),
            "rtcp-fb" => self.take_feedback(value),
            "rtcp-mux" => {
                self.rtcp_mux = true;
                Ok(())
            }
            "rtcp-rsize" => {
                self.rtcp_rsize = true;
                Ok(())
            }
            "bundle-only" => {
                self.bundle_only = true;
                Ok(())
            }
            "ssrc" => self.take_ssrc(value),
            "ssrc-group" => self.take_ssrc_group(value),
            "msid" => {
                self.msid = self.msid.or(value.split_ascii_whitespace().next());
                Ok(())
            }
            "rid" => self.take_rid(value),
            "simulcast" => self.take_simulcast(value),
            _ => Ok(()),
        }
    }

    /// `rtpmap:111 opus/48000/2`
    fn take_rtpmap(&mut self, value: &'a str) -> Taken {
        if !self.is_rtp() {
            return Ok(());
        }
        let (number, encoding) = split_word(value);
        let number = payload_type(number)?;
        let mut parts = encoding.split('/');
        let name = parts.next().filter(|name| is_token(name)).ok_or("an rtpmap without a codec")?;
        let clock_rate =
            parts.next().and_then(|rate| rate.parse().ok()).ok_or("an rtpmap without a clock rate")?;
        let channels = match parts.next() {
            Some(channels) => channels.parse().map_err(|_| "an rtpmap with malformed channels")?,
            None => 1,
        };
        if let Some(codec) = self.codec_mut(number) {
            codec.name = name;
            codec.clock_rate = clock_rate;
            codec.channels = channels;
        }
        Ok(())
    }

    /// `fmtp:96 level-asymmetry-allowed=1;packetization-mode=1`
    fn take_fmtp(&mut self, value: &'a str) -> Taken {
        if !self.is_rtp() {
            return Ok(());
        }
        let (number, parameters) = split_word(value);
        if let Some(codec) = self.codec_mut(payload_type(number)?) {
            if codec.fmtp.is_empty() {
                codec.fmtp = parameters;
            }
        }
        Ok(())
    }

    /// `rtcp-fb:96 nack pli`, `rtcp-fb:* transport-cc` (RFC 4585)
    fn take_feedback(&mut self, value: &'a str) -> Taken {
        let (number, feedback) = split_word(value);
        if feedback.is_empty() {
            return Err("an rtcp-fb without a value");
        }
        if number == "*" {
            self.feedback.push(feedback);
        } else if let Some(codec) = self.codec_mut(payload_type(number)?) {
            codec.feedback.push(feedback);
        }
        Ok(())
    }

    /// `ssrc:1234 cname:abc`; `ssrc:1234` alone is met too.
    fn take_ssrc(&mut self, value: &'a str) -> Taken {
        let (number, attribute) = split_word(value);
        let ssrc = number.parse().map_err(|_| "a malformed SSRC")?;
        let index = *self.ssrc_index.entry(ssrc).or_insert_with(|| {
            self.ssrcs.push(Ssrc { ssrc, cname: None });
            self.ssrcs.len() - 1
        });
        if let Some(cname) = attribute.strip_prefix("cname:") {
            self.ssrcs[index].cname = Some(cname);
        }
        Ok(())
    }

    /// `ssrc-group:FID 1234 5678`
    fn take_ssrc_group(&mut self, value: &'a str) -> Taken {
        let mut words = value.split_ascii_whitespace();
        let semantics =
            words.next().filter(|word| is_token(word)).ok_or("an ssrc-group without semantics")?;
        let ssrcs = words.map(str::parse).collect::<Result<_, _>>().map_err(|_| "a malformed SSRC")?;
        self.ssrc_groups.push(SsrcGroup { semantics, ssrcs });
        Ok(())
    }

    /// `rid:h send max-width=640`
    fn take_rid(&mut self, value: &'a str) -> Taken {
        let (id, rest) = split_word(value);
        let (way, restrictions) = split_word(rest);
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            return Err("a malformed rid");
        }
        let sends = match way {
            "send" => true,
            "recv" => false,
            _ => return Err("a rid that neither sends nor receives"),
        };
        self.rids.push(Rid { id, sends, restrictions });
        Ok(())
    }

    /// `simulcast:send q;h;~f recv 1,2`
    fn take_simulcast(&mut self, value: &'a str) -> Taken {
        let mut simulcast = Simulcast::default();
        let mut words = value.split_ascii_whitespace();
        while let Some(way) = words.next() {
            let streams = match way {
                "send" => &mut simulcast.send,
                "recv" => &mut simulcast.recv,
                _ => return Err("a simulcast that neither sends nor receives"),
            };
            let list = words.next().ok_or("a simulcast without streams")?;
            *streams = list.split(';').map(|stream| stream.split(',').map(alternative).collect()).collect();
        }
        self.simulcast = Some(simulcast);
        Ok(())
    }
}

fn alternative(text: &str) -> Alternative<'_> {
    match text.strip_prefix('~') {
        Some(rid) => Alternative { rid, paused: true },
        None => Alternative { rid: text, paused: false },
    }
}

/// `fingerprint:sha-256 AB:CD:...` (RFC 8122)
fn fingerprint(value: &str) -> Result<Fingerprint<'_>, &'static str> {
    let (algorithm, value) = split_word(value);
    let pairs = value.split(':');
    if !is_token(algorithm) || !pairs.clone().all(is_hex_pair) {
        return Err("a malformed fingerprint");
    }
    Ok(Fingerprint { algorithm, value })
}

fn is_hex_pair(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `extmap:3/recvonly urn:ietf:params:rtp-hdrext:toffset short`
fn extension(value: &str) -> Result<Extension<'_>, &'static str> {
    let (number, rest) = split_word(value);
    let (number, way) = match number.split_once('/') {
        Some((number, way)) => (number, Some(direction(way).ok_or("an extmap with an unknown direction")?)),
        None => (number, None),
    };
    let id = number.parse().map_err(|_| "an extmap without a number")?;
    let (uri, attributes) = split_word(rest);
    if uri.is_empty() {
        return Err("an extmap without a URI");
    }
    Ok(Extension { id, direction: way, uri, attributes })
}

fn direction(name: &str) -> Option<Direction> {
    match name {
        "sendrecv" => Some(Direction::SendRecv),
        "sendonly" => Some(Direction::SendOnly),
        "recvonly" => Some(Direction::RecvOnly),
        "inactive" => Some(Direction::Inactive),
        _ => None,
    }
}

fn is_credential(text: &str, least: usize) -> bool {
    (least..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The first word, and what follows the blanks behind it.
fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim_ascii();
    match text.split_once([' ', '\t']) {
        Some((word, rest)) => (word, rest.trim_ascii_start()),
        None => (text, ""),
    }
}
