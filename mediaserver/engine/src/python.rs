//! The Python module `mediaserver._engine`: its surface is written down in `_engine.pyi`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use crate::core::{
    self, Codec, Command, Extension, ExtensionIds, IceCredentials, IceState, MediaKind, ProducerParameters,
    SlotParameters, TransportStats,
};
use crate::journal::{is_key, Notice, Settings};
use crate::shell::{Event, Shell};
use crate::wire::srtp::Profile;

/// Bytes of a file's key.
const MAX_KEY: usize = 1024;

#[pymodule]
fn _engine(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let extensions = PyDict::new(module.py());
    for extension in Extension::ALL {
        extensions.set_item(extension.name(), extension.uri())?;
    }
    module.add("EXTENSIONS", extensions)?;
    module.add_class::<Engine>()?;
    module.add_function(wrap_pyfunction!(crate::python_sdp::parse_sdp, module)?)?;
    Ok(())
}

/// One node's packet path: UDP sockets, one packet thread, no GIL in it.
#[pyclass(frozen, module = "mediaserver._engine")]
struct Engine(Shell);

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (bind, journal = None))]
    fn new(py: Python<'_>, bind: Vec<String>, journal: Option<PathBuf>) -> PyResult<Self> {
        let addresses = bind
            .iter()
            .map(|text| text.parse().map_err(|_| PyValueError::new_err(format!("not an address: {text:?}"))))
            .collect::<PyResult<Vec<SocketAddr>>>()?;
        let journal = journal.map(Settings::new);
        let shell = py.detach(|| Shell::start(&addresses, journal.as_ref()));
        Ok(Self(
            shell.map_err(|failed| PyOSError::new_err((failed.error.raw_os_error(), failed.to_string())))?,
        ))
    }

    #[getter]
    fn port(&self) -> u16 {
        self.0.port()
    }

    #[getter]
    fn event_fd(&self) -> i32 {
        self.0.event_fd()
    }

    fn take_events<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for event in self.0.take_events() {
            list.append(event_to_python(py, event)?)?;
        }
        Ok(list)
    }

    #[pyo3(signature = (transport, *, local_ufrag, local_pwd, remote_ufrag, remote_pwd))]
    fn open_transport(
        &self,
        transport: u64,
        local_ufrag: String,
        local_pwd: String,
        remote_ufrag: String,
        remote_pwd: String,
    ) {
        let credentials = IceCredentials { local_ufrag, local_pwd, remote_ufrag, remote_pwd };
        self.0.command(Command::OpenTransport { transport, credentials });
    }

    #[pyo3(signature = (transport, *, local_ufrag, local_pwd, remote_ufrag, remote_pwd))]
    fn restart_ice(
        &self,
        transport: u64,
        local_ufrag: String,
        local_pwd: String,
        remote_ufrag: String,
        remote_pwd: String,
    ) {
        let credentials = IceCredentials { local_ufrag, local_pwd, remote_ufrag, remote_pwd };
        self.0.command(Command::RestartIce { transport, credentials });
    }

    fn send_dtls(&self, transport: u64, datagram: &[u8]) {
        self.0.command(Command::SendDtls { transport, datagram: datagram.to_vec() });
    }

    fn set_srtp(&self, transport: u64, profile: u16, local_key: &[u8], remote_key: &[u8]) -> PyResult<()> {
        let profile = Profile::from_dtls(profile)
            .ok_or_else(|| PyValueError::new_err(format!("SRTP profile {profile} is not known")))?;
        let wanted = profile.keying_len();
        if local_key.len() != wanted || remote_key.len() != wanted {
            return Err(PyValueError::new_err(format!("this profile's key and salt are {wanted} bytes")));
        }
        self.0.command(Command::SetSrtp {
            transport,
            profile,
            local_key: local_key.to_vec(),
            remote_key: remote_key.to_vec(),
        });
        Ok(())
    }

    fn close_transport(&self, transport: u64) {
        self.0.command(Command::CloseTransport { transport });
    }

    fn open_producer(&self, transport: u64, parameters: Producer) -> PyResult<()> {
        let parameters = parameters.try_into()?;
        self.0.command(Command::OpenProducer { transport, parameters });
        Ok(())
    }

    fn close_producer(&self, source: u32) {
        self.0.command(Command::CloseProducer { source });
    }

    fn open_slot(&self, transport: u64, parameters: Slot) -> PyResult<()> {
        let parameters = parameters.try_into()?;
        self.0.command(Command::OpenSlot { transport, parameters });
        Ok(())
    }

    fn assign(&self, changes: Vec<(u64, String, u32)>) {
        self.0.command(Command::Assign(changes));
    }

    fn request_keyframe(&self, source: u32) {
        self.0.command(Command::RequestKeyframe { source });
    }

    fn record(&self, source: u32, file: String, label: String) -> PyResult<()> {
        if !is_key(&file) || file.len() > MAX_KEY {
            return Err(PyValueError::new_err(format!("not a file below the journals: {file:?}")));
        }
        self.0.command(Command::Record { source, file, label });
        Ok(())
    }

    fn stop_recording(&self, source: u32) {
        self.0.command(Command::StopRecording { source });
    }

    fn stats(&self, py: Python<'_>) -> HashMap<&'static str, u64> {
        py.detach(|| self.0.stats()).into_iter().collect()
    }

    fn transport_stats<'py>(&self, py: Python<'py>, transport: u64) -> PyResult<Option<Bound<'py, PyDict>>> {
        let stats = py.detach(|| self.0.transport_stats(transport));
        stats.map(|stats| stats_to_python(py, stats)).transpose()
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}

/// `ProducerParameters` of `_engine.pyi`, read attribute by attribute.
#[derive(FromPyObject)]
struct Producer {
    source: u32,
    group: u32,
    kind: String,
    codec: String,
    clock_rate: u32,
    mid: String,
    payload_type: u8,
    rtx_payload_type: Option<u8>,
    ssrcs: Vec<u32>,
    rtx_ssrcs: HashMap<u32, u32>,
    rids: Vec<String>,
    extensions: HashMap<String, u8>,
    nack: bool,
    pli: bool,
    fir: bool,
    twcc: bool,
}

impl TryFrom<Producer> for ProducerParameters {
    type Error = PyErr;

    fn try_from(from: Producer) -> PyResult<Self> {
        if from.source == 0 {
            return Err(PyValueError::new_err("source 0 means nobody"));
        }
        Ok(Self {
            source: from.source,
            group: from.group,
            kind: kind(&from.kind)?,
            codec: codec(&from.codec)?,
            clock_rate: clock_rate(from.clock_rate)?,
            mid: from.mid,
            payload_type: from.payload_type,
            rtx_payload_type: from.rtx_payload_type,
            ssrcs: from.ssrcs,
            rtx_ssrcs: from.rtx_ssrcs.into_iter().collect(),
            rids: from.rids,
            extensions: extension_ids(from.extensions)?,
            nack: from.nack,
            pli: from.pli,
            fir: from.fir,
            twcc: from.twcc,
        })
    }
}

/// `SlotParameters` of `_engine.pyi`, read attribute by attribute.
#[derive(FromPyObject)]
struct Slot {
    mid: String,
    kind: String,
    codec: String,
    clock_rate: u32,
    payload_type: u8,
    rtx_payload_type: Option<u8>,
    ssrc: u32,
    rtx_ssrc: Option<u32>,
    cname: String,
    extensions: HashMap<String, u8>,
    nack: bool,
}

impl TryFrom<Slot> for SlotParameters {
    type Error = PyErr;

    fn try_from(from: Slot) -> PyResult<Self> {
        Ok(Self {
            mid: from.mid,
            kind: kind(&from.kind)?,
            codec: codec(&from.codec)?,
            clock_rate: clock_rate(from.clock_rate)?,
            payload_type: from.payload_type,
            rtx_payload_type: from.rtx_payload_type,
            ssrc: from.ssrc,
            rtx_ssrc: from.rtx_ssrc,
            cname: from.cname,
            extensions: extension_ids(from.extensions)?,
            nack: from.nack,
        })
    }
}

fn kind(name: &str) -> PyResult<MediaKind> {
    match name {
        "audio" => Ok(MediaKind::Audio),
        "video" => Ok(MediaKind::Video),
        _ => Err(PyValueError::new_err(format!("not a kind of media: {name:?}"))),
    }
}

fn codec(name: &str) -> PyResult<Codec> {
    match name {
        "opus" => Ok(Codec::Opus),
        "h264" => Ok(Codec::H264),
        "vp8" => Ok(Codec::Vp8),
        _ => Err(PyValueError::new_err(format!("not a codec of ours: {name:?}"))),
    }
}

fn clock_rate(hz: u32) -> PyResult<u32> {
    if hz == 0 {
        return Err(PyValueError::new_err("a clock rate of 0"));
    }
    Ok(hz)
}

/// Extensions that the engine does not understand are left out.
fn extension_ids(ids: HashMap<String, u8>) -> PyResult<ExtensionIds> {
    let mut known = ExtensionIds::default();
    for (name, id) in ids {
        if id == 0 {
            return Err(PyValueError::new_err(format!("header extension {name:?} has id 0")));
        }
        if let Some(extension) = Extension::from_name(&name) {
            known.set(extension, id);
        }
    }
    Ok(known)
}

fn event_to_python(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyTuple>> {
    let event = match event {
        Event::Core(event) => event,
        Event::Journal(Notice { file, state, detail }) => {
            return ("journal", file, state.name(), detail).into_pyobject(py);
        }
    };
    match event {
        core::Event::Dtls { transport, datagram } => {
            ("dtls", transport, PyBytes::new(py, &datagram)).into_pyobject(py)
        }
        core::Event::Ice { transport, state, remote } => {
            let state = match state {
                IceState::Connected => "connected",
                IceState::Moved => "moved",
                IceState::Expired => "expired",
            };
            ("ice", transport, state, remote.to_string()).into_pyobject(py)
        }
        core::Event::Source { source, live } => ("source", source, live).into_pyobject(py),
        core::Event::Slot { transport, mid, source } => ("slot", transport, mid, source).into_pyobject(py),
        core::Event::Speakers { group, levels } => {
            let levels: Vec<(u32, u32)> =
                levels.into_iter().map(|(source, level)| (source, level.into())).collect();
            ("speakers", group, levels).into_pyobject(py)
        }
    }
}

fn stats_to_python(py: Python<'_>, stats: TransportStats) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("remote", stats.remote.map(|remote| remote.to_string()))?;
    dict.set_item("encrypted", stats.encrypted)?;
    dict.set_item("rtt_ms", stats.rtt_ms)?;
    dict.set_item("packets_received", stats.packets_received)?;
    dict.set_item("bytes_received", stats.bytes_received)?;
    dict.set_item("packets_sent", stats.packets_sent)?;
    dict.set_item("bytes_sent", stats.bytes_sent)?;
    dict.set_item("twcc_arrived", stats.twcc_arrived)?;
    dict.set_item("twcc_lost", stats.twcc_lost)?;
    dict.set_item("remb_bps", stats.remb_bps)?;
    let producers = PyList::empty(py);
    for layer in stats.producers {
        let item = PyDict::new(py);
        item.set_item("source", layer.source)?;
        item.set_item("rid", layer.rid)?;
        item.set_item("ssrc", layer.ssrc)?;
        item.set_item("packets", layer.packets)?;
        item.set_item("bytes", layer.bytes)?;
        item.set_item("lost", layer.lost)?;
        item.set_item("repaired", layer.repaired)?;
        item.set_item("jitter_ms", layer.jitter_ms)?;
        item.set_item("key_frames", layer.key_frames)?;
        item.set_item("live", layer.live)?;
        producers.append(item)?;
    }
    dict.set_item("producers", producers)?;
    let slots = PyList::empty(py);
    for slot in stats.slots {
        let item = PyDict::new(py);
        item.set_item("mid", slot.mid)?;
        item.set_item("ssrc", slot.ssrc)?;
        item.set_item("wanted", slot.wanted)?;
        item.set_item("source", slot.source)?;
        item.set_item("packets", slot.packets)?;
        item.set_item("bytes", slot.bytes)?;
        item.set_item("retransmitted", slot.retransmitted)?;
        item.set_item("switches", slot.switches)?;
        item.set_item("fraction_lost", slot.fraction_lost)?;
        slots.append(item)?;
    }
    dict.set_item("slots", slots)?;
    Ok(dict)
}
