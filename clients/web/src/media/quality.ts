/** What the own camera, microphone and board are captured and sent at. */

import type { Role, Use } from '@/protocol/events'

/** The user's choice: `low` for weak computers and thin lines. */
export type Quality = 'low' | 'normal' | 'high'
export const QUALITIES: readonly Quality[] = ['low', 'normal', 'high']

export interface VideoSize {
  width: number
  height: number
  fps: number
  max_bps: number
}

const SMALL: VideoSize = { width: 320, height: 180, fps: 15, max_bps: 250_000 }
const MEDIUM: VideoSize = { width: 640, height: 360, fps: 25, max_bps: 700_000 }
const LARGE: VideoSize = { width: 1280, height: 720, fps: 25, max_bps: 1_800_000 }
const FULL: VideoSize = { width: 1920, height: 1080, fps: 25, max_bps: 4_000_000 }

/** A room or studio is looked at on large screens, a student in one tile of many. */
export function cameraSize(role: Role, quality: Quality): VideoSize {
  const large = role === 'lecturer' || role === 'classroom'
  switch (quality) {
    case 'low': return SMALL
    case 'normal': return large ? LARGE : MEDIUM
    case 'high': return large ? FULL : LARGE
  }
}

/** Text must stay sharp: the size is kept, and frames are dropped when bits are scarce. */
export function boardSize(quality: Quality): VideoSize {
  switch (quality) {
    case 'low': return { width: 1280, height: 720, fps: 5, max_bps: 800_000 }
    case 'normal': return { width: 1920, height: 1080, fps: 15, max_bps: 2_500_000 }
    case 'high': return { width: 1920, height: 1080, fps: 30, max_bps: 5_000_000 }
  }
}

/** The one encoding of a sending m-line. */
export function encodingFor(use: Use, role: Role, quality: Quality): RTCRtpEncodingParameters {
  if (use === 'microphone') return { maxBitrate: role === 'lecturer' ? 64_000 : 40_000 }
  const size = use === 'camera' ? cameraSize(role, quality) : boardSize(quality)
  return { maxBitrate: size.max_bps, maxFramerate: size.fps }
}

/** `contentHint` tells the encoder what matters: motion, words, or the edges of letters. */
export function contentHint(use: Use): string {
  return { camera: 'motion', microphone: 'speech', board: 'detail' }[use]
}
