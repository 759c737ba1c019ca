//! `parse_sdp` for Python: one description as plain dicts, lists and tuples.
//!
//! To be registered in the module by `python.rs`: `m.add_function(wrap_pyfunction!(parse_sdp, m)?)`.
//! The Python side of this shape is `mediaserver/sdp/description.py`.

// Lists that stand at session level are given once, there, and not in each section: written
// out, a hostile description could make of 512 kB some gigabytes.

use std::collections::HashMap;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use crate::wire::sdp::{self, Common, Description, Direction, Media, Setup};

/// Parses one SDP (RFC 8866, 9429). ValueError("line 7: ...") on malformed text.
///
/// The direction, ICE credentials and setup that a section inherits from the session level are
/// filled in; fingerprints and header extensions of the session level stay there.
#[pyfunction]
pub fn parse_sdp<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    let description = sdp::parse(text).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Writer { py, strings: HashMap::new() }.description(&description)
}

/// Builds Python objects. Offers repeat the same few strings in each section: each becomes one
/// Python string, once.
struct Writer<'py, 'a> {
    py: Python<'py>,
    strings: HashMap<&'a str, Bound<'py, PyString>>,
}

impl<'py, 'a> Writer<'py, 'a> {
    fn description(&mut self, description: &Description<'a>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(self.py);
        dict.set_item("session_id", self.text(description.session_id))?;
        dict.set_item("session_version", self.text(description.session_version))?;
        dict.set_item("ice_lite", description.ice_lite)?;
        dict.set_item("fingerprints", self.fingerprints(&description.common)?)?;
        dict.set_item("extensions", self.extensions(&description.common)?)?;
        let groups = PyList::empty(self.py);
        for group in &description.groups {
            groups.append((self.text(group.semantics), self.texts(&group.mids)?))?;
        }
        dict.set_item("groups", groups)?;
        let sections = PyList::empty(self.py);
        for media in &description.media {
            sections.append(self.media(media, &description.common)?)?;
        }
        dict.set_item("media", sections)?;
        Ok(dict)
    }

    fn media(&mut self, media: &Media<'a>, session: &Common<'a>) -> PyResult<Bound<'py, PyDict>> {
        let own = &media.common;
        let dict = PyDict::new(self.py);
        dict.set_item("kind", self.text(media.kind))?;
        dict.set_item("port", media.port)?;
        dict.set_item("protocol", self.text(media.protocol))?;
        dict.set_item("formats", self.text(media.formats))?;
        dict.set_item("mid", media.mid.map(|mid| self.text(mid)))?;
        let direction = own.direction.or(session.direction).unwrap_or(Direction::SendRecv);
        dict.set_item("direction", self.text(direction.as_str()))?;
        dict.set_item("ice_ufrag", own.ice_ufrag.or(session.ice_ufrag).map(|text| self.text(text)))?;
        dict.set_item("ice_pwd", own.ice_pwd.or(session.ice_pwd).map(|text| self.text(text)))?;
        dict.set_item("setup", own.setup.or(session.setup).map(|role: Setup| self.text(role.as_str())))?;
        dict.set_item("rtcp_mux", media.rtcp_mux)?;
        dict.set_item("rtcp_rsize", media.rtcp_rsize)?;
        dict.set_item("bundle_only", media.bundle_only)?;
        dict.set_item("extmap_allow_mixed", own.extmap_allow_mixed || session.extmap_allow_mixed)?;
        dict.set_item("msid", media.msid.map(|msid| self.text(msid)))?;
        dict.set_item("fingerprints", self.fingerprints(own)?)?;
        dict.set_item("extensions", self.extensions(own)?)?;
        dict.set_item("codecs", self.codecs(media)?)?;
        dict.set_item("feedback", self.texts(&media.feedback)?)?;
        dict.set_item("rids", self.rids(media)?)?;
        dict.set_item("simulcast", self.simulcast(media)?)?;
        let ssrcs = PyList::empty(self.py);
        for ssrc in &media.ssrcs {
            ssrcs.append(ssrc.ssrc)?;
        }
        dict.set_item("ssrcs", ssrcs)?;
        let groups = PyList::empty(self.py);
        for group in &media.ssrc_groups {
            groups.append((self.text(group.semantics), PyList::new(self.py, &group.ssrcs)?))?;
        }
        dict.set_item("ssrc_groups", groups)?;
        Ok(dict)
    }

    /// `[(algorithm, value)]`
    fn fingerprints(&mut self, common: &Common<'a>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(self.py);
        for fingerprint in &common.fingerprints {
            list.append((self.text(fingerprint.algorithm), self.text(fingerprint.value)))?;
        }
        Ok(list)
    }

    /// `[(id, uri, direction or None)]`
    fn extensions(&mut self, common: &Common<'a>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(self.py);
        for extension in &common.extensions {
            let direction = extension.direction.map(|direction| self.text(direction.as_str()));
            list.append((extension.id, self.text(extension.uri), direction))?;
        }
        Ok(list)
    }

    /// `[(payload type, name in lower case, clock rate, channels, fmtp, [feedback])]`
    fn codecs(&mut self, media: &Media<'a>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(self.py);
        for codec in &media.codecs {
            list.append((
                codec.payload_type,
                self.lower(codec.name),
                codec.clock_rate,
                codec.channels,
                self.text(codec.fmtp),
                self.texts(&codec.feedback)?,
            ))?;
        }
        Ok(list)
    }

    /// `[(id, sends)]`
    fn rids(&mut self, media: &Media<'a>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(self.py);
        for rid in &media.rids {
            list.append((self.text(rid.id), rid.sends))?;
        }
        Ok(list)
    }

    /// The rids that `a=simulcast` says are sent: the first alternative of each stream.
    fn simulcast(&mut self, media: &Media<'a>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(self.py);
        for stream in media.simulcast.iter().flat_map(|simulcast| &simulcast.send) {
            if let Some(first) = stream.first() {
                list.append(self.text(first.rid))?;
            }
        }
        Ok(list)
    }

    fn texts(&mut self, texts: &[&'a str]) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(self.py);
        for text in texts {
            list.append(self.text(text))?;
        }
        Ok(list)
    }

    fn text(&mut self, text: &'a str) -> Bound<'py, PyString> {
        self.strings.entry(text).or_insert_with(|| PyString::new(self.py, text)).clone()
    }

    fn lower(&mut self, text: &'a str) -> Bound<'py, PyString> {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            PyString::new(self.py, &text.to_ascii_lowercase())
        } else {
            self.text(text)
        }
    }
}
