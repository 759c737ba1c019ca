//! What is negotiated: codecs, header extensions, sending and receiving sections.

/// Audio switches between sources at once, video at key frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    Audio,
    Video,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Opus,
    H264,
    Vp8,
}

/// Header extensions that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    Mid,
    Rid,
    RepairedRid,
    AudioLevel,
    Twcc,
    AbsSendTime,
    VideoOrientation,
    ContentType,
    ColorSpace,
    PlayoutDelay,
}

impl Extension {
    pub const ALL: [Self; 10] = [
        Self::Mid,
        Self::Rid,
        Self::RepairedRid,
        Self::AudioLevel,
        Self::Twcc,
        Self::AbsSendTime,
        Self::VideoOrientation,
        Self::ContentType,
        Self::ColorSpace,
        Self::PlayoutDelay,
    ];

    /// Those that go from a producer to its slots as they are.
    pub const PASSED: [Self; 5] =
        [Self::AudioLevel, Self::VideoOrientation, Self::ContentType, Self::ColorSpace, Self::PlayoutDelay];

    /// The short name by which the Python side calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mid => "mid",
            Self::Rid => "rid",
            Self::RepairedRid => "repaired_rid",
            Self::AudioLevel => "audio_level",
            Self::Twcc => "twcc",
            Self::AbsSendTime => "abs_send_time",
            Self::VideoOrientation => "video_orientation",
            Self::ContentType => "content_type",
            Self::ColorSpace => "color_space",
            Self::PlayoutDelay => "playout_delay",
        }
    }

    /// The URI in `a=extmap`.
    pub fn uri(self) -> &'static str {
        match self {
            Self::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Self::Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Self::RepairedRid => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            Self::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Self::Twcc => "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
            Self::AbsSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            Self::VideoOrientation => "urn:3gpp:video-orientation",
            Self::ContentType => "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",
            Self::ColorSpace => "http://www.webrtc.org/experiments/rtp-hdrext/color-space",
            Self::PlayoutDelay => "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|extension| extension.name() == name)
    }
}

/// The ids of one section: they may differ between bundled sections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtensionIds([u8; Extension::ALL.len()]);

impl ExtensionIds {
    /// `id` 0 takes the extension out.
    pub fn set(&mut self, extension: Extension, id: u8) {
        self.0[extension as usize] = id;
    }

    pub fn with(mut self, extension: Extension, id: u8) -> Self {
        self.set(extension, id);
        self
    }

    pub fn get(&self, extension: Extension) -> Option<u8> {
        Some(self.0[extension as usize]).filter(|&id| id != 0)
    }
}

/// One sending section of a peer, as it was answered.
#[derive(Clone, Debug)]
pub struct ProducerParameters {
    /// Never 0; unique in the node. It is the CSRC in slots.
    pub source: u32,
    /// Producers that share it are ranked among each other by loudness.
    pub group: u32,
    pub kind: MediaKind,
    pub codec: Codec,
    /// Hz.
    pub clock_rate: u32,
    pub mid: String,
    pub payload_type: u8,
    pub rtx_payload_type: Option<u8>,
    /// As declared; may be empty, and may hold those of RTX, too.
    pub ssrcs: Vec<u32>,
    /// (RTX SSRC, media SSRC).
    pub rtx_ssrcs: Vec<(u32, u32)>,
    /// Simulcast layers; empty without simulcast.
    pub rids: Vec<String>,
    pub extensions: ExtensionIds,
    pub nack: bool,
    pub pli: bool,
    pub fir: bool,
    pub twcc: bool,
}

/// One receiving section of a peer, as it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotParameters {
    pub mid: String,
    pub kind: MediaKind,
    pub codec: Codec,
    /// Hz.
    pub clock_rate: u32,
    pub payload_type: u8,
    pub rtx_payload_type: Option<u8>,
    pub ssrc: u32,
    pub rtx_ssrc: Option<u32>,
    pub cname: String,
    pub extensions: ExtensionIds,
    pub nack: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_extension_has_its_own_place_name_and_uri() {
        let mut ids = ExtensionIds::default();
        for (at, extension) in Extension::ALL.into_iter().enumerate() {
            assert_eq!(extension as usize, at);
            assert_eq!(Extension::from_name(extension.name()), Some(extension));
            assert_eq!(ids.get(extension), None);
            ids.set(extension, at as u8 + 1);
        }
        for (at, extension) in Extension::ALL.into_iter().enumerate() {
            assert_eq!(ids.get(extension), Some(at as u8 + 1));
            assert_eq!(Extension::ALL.iter().filter(|e| e.uri() == extension.uri()).count(), 1);
        }
        assert_eq!(Extension::from_name("depth"), None);
    }
}
