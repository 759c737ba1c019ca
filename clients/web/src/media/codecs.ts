/**
 * Codec preferences trimmed to what a lesson uses, so that offers stay small and nothing else can
 * be negotiated: the lesson's video codec with its retransmission, and Opus.
 */

import type { Codec } from '@/protocol/events'

import type { MediaKind } from './slots'

/** Best first; empty: this browser does not have the lesson's codec. */
export function preferredCodecs(all: readonly RTCRtpCodec[], kind: MediaKind, codec: Codec): RTCRtpCodec[] {
  if (kind === 'audio') return all.filter((one) => mime(one) === 'audio/opus')
  const fitting = codec === 'h264' ? h264(all) : all.filter((one) => mime(one) === 'video/vp8')
  const best = fitting[0]
  return best === undefined ? [] : [best, ...all.filter((one) => mime(one) === 'video/rtx')]
}

/** Constrained baseline and baseline with packetization-mode 1, constrained baseline first. */
function h264(all: readonly RTCRtpCodec[]): RTCRtpCodec[] {
  return all
    .filter((one) => mime(one) === 'video/h264' && /packetization-mode=1/.test(one.sdpFmtpLine ?? ''))
    .filter((one) => /profile-level-id=42/i.test(one.sdpFmtpLine ?? ''))
    .sort((a, b) => rank(a) - rank(b))
}

function rank(codec: RTCRtpCodec): number {
  return /profile-level-id=42e0/i.test(codec.sdpFmtpLine ?? '') ? 0 : 1
}

function mime(codec: RTCRtpCodec): string {
  return codec.mimeType.toLowerCase()
}

/** Whether this browser can show a lesson of this codec at all. */
export function canReceive(codec: Codec): boolean {
  const capabilities = RTCRtpReceiver.getCapabilities('video')
  return capabilities === null || preferredCodecs(capabilities.codecs, 'video', codec).length > 0
}

/** Trim a transceiver before the offer is made. Browsers without the call offer all they have. */
export function trim(transceiver: RTCRtpTransceiver, kind: MediaKind, codec: Codec): void {
  if (typeof transceiver.setCodecPreferences !== 'function') return
  // Browsers differ in whether a sendonly transceiver is checked against what they can receive.
  for (const side of [RTCRtpReceiver, RTCRtpSender]) {
    const wanted = preferredCodecs(side.getCapabilities(kind)?.codecs ?? [], kind, codec)
    if (wanted.length === 0) continue
    try {
      transceiver.setCodecPreferences(wanted)
      return
    } catch {
      continue
    }
  }
}
