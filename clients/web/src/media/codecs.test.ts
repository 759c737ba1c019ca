import { describe, expect, it } from 'vitest'

import { preferredCodecs } from './codecs'
import { labelsByMid } from './session'
import { poolSlots, samePool } from './slots'

const codec = (mimeType: string, sdpFmtpLine?: string): RTCRtpCodec => ({
  mimeType,
  clockRate: mimeType.startsWith('audio') ? 48_000 : 90_000,
  ...(sdpFmtpLine === undefined ? {} : { sdpFmtpLine }),
})

/** What Chromium says that it can receive, shortened. */
const VIDEO = [
  codec('video/VP8'),
  codec('video/rtx'),
  codec('video/VP9', 'profile-id=0'),
  codec('video/H264', 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f'),
  codec('video/H264', 'level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f'),
  codec('video/H264', 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f'),
  codec('video/H264', 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f'),
  codec('video/AV1'),
  codec('video/red'),
  codec('video/ulpfec'),
]

describe('preferredCodecs', () => {
  it('takes one H.264 of constrained baseline with packetization-mode 1, and its retransmission', () => {
    const [first, ...rest] = preferredCodecs(VIDEO, 'video', 'h264')
    expect(first?.sdpFmtpLine).toContain('packetization-mode=1;profile-level-id=42e01f')
    expect(rest.map((one) => one.mimeType)).toEqual(['video/rtx'])
  })

  it('takes plain baseline where there is nothing else', () => {
    const [first] = preferredCodecs(VIDEO.filter((one) => !/42e0/.test(one.sdpFmtpLine ?? '')), 'video', 'h264')
    expect(first?.sdpFmtpLine).toContain('42001f')
  })

  it('takes VP8 in a VP8 lesson', () => {
    expect(preferredCodecs(VIDEO, 'video', 'vp8').map((one) => one.mimeType)).toEqual(['video/VP8', 'video/rtx'])
  })

  it('is empty when the browser lacks the codec', () => {
    expect(preferredCodecs([codec('video/VP8'), codec('video/rtx')], 'video', 'h264')).toEqual([])
  })

  it('takes Opus alone of all sound', () => {
    const audio = [codec('audio/opus'), codec('audio/red'), codec('audio/PCMU'), codec('audio/telephone-event')]
    expect(preferredCodecs(audio, 'audio', 'h264').map((one) => one.mimeType)).toEqual(['audio/opus'])
  })
})

describe('labels', () => {
  it('name m-lines by mid and leave out those without one', () => {
    const lines = [
      { label: 'camera', transceiver: { mid: '0' } },
      { label: 'lecturer.video', transceiver: { mid: '1' } },
      { label: 'board', transceiver: { mid: null } },
    ]
    expect(labelsByMid(lines)).toEqual({ 0: 'camera', 1: 'lecturer.video' })
  })
})

describe('poolSlots', () => {
  const pool = { lecturer: true, board: true, stage: 2, floor: 1, private: true, wall: 1 }

  it('lists every slot once, picture and sound of one person in one group', () => {
    const slots = poolSlots(pool)
    expect(slots.map((slot) => slot.name)).toEqual([
      'lecturer.video', 'lecturer.audio', 'board', 'stage.0.video', 'stage.0.audio', 'stage.1.video', 'stage.1.audio',
      'floor.0', 'private', 'wall.0',
    ])
    expect(slots.filter((slot) => slot.group === 'stage.1').map((slot) => slot.kind)).toEqual(['video', 'audio'])
  })

  it('tells pools apart', () => {
    expect(samePool(pool, { ...pool })).toBe(true)
    expect(samePool(pool, { ...pool, stage: 3 })).toBe(false)
  })
})
