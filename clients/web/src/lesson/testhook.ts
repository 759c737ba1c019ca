/**
 * `window.__kelian`: what end-to-end tests and technicians read, and nothing that changes anything.
 *
 * - `lesson`: the object that pages see (phase, slots with status and source, health …).
 * - `slots()`: per slot `{status, source, framesDecoded, packetsReceived, width, height, csrc}`.
 * - `stats()`: the whole statistics of the media session, as plain rows.
 * - `session()`: its id, connection state, and the SDP of both sides.
 *
 * In the page, the video of a slot is `video[data-slot="lecturer.video"]` with `data-source`, the
 * sound of a slot `audio[data-slot="lecturer.audio"]`.
 */

import type { Sample } from '@/media/sampler'
import type { MediaSession } from '@/media/session'

import type { Lesson, SlotStatus } from './types'

export interface SlotProbe {
  status: SlotStatus
  source: number | null
  framesDecoded: number
  packetsReceived: number
  width: number
  height: number
  csrc: number | null
}

export interface Hook {
  lesson: Lesson
  slots(): Record<string, SlotProbe>
  stats(): Promise<Record<string, unknown>[]>
  session(): { id: string | null; state: RTCPeerConnectionState; local: string; remote: string } | null
}

declare global {
  interface Window {
    __kelian?: Hook
  }
}

interface Insides {
  session(): MediaSession | null
  sample(): Sample | null
}

export function exposeForTests(lesson: Lesson, insides: Insides): void {
  window.__kelian = {
    lesson,
    slots() {
      const sample = insides.sample()
      const probes = Object.values(lesson.slots).map(({ name, status, source }) => {
        const { framesDecoded = 0, packetsReceived = 0, width = 0, height = 0, csrc = null } = sample?.slots[name] ?? {}
        return [name, { status, source, framesDecoded, packetsReceived, width, height, csrc }] as const
      })
      return Object.fromEntries(probes)
    },
    async stats() {
      const rows: Record<string, unknown>[] = []
      const report = await insides.session()?.stats()
      report?.forEach((row: Record<string, unknown>) => rows.push({ ...row }))
      return rows
    },
    session() {
      const session = insides.session()
      return session === null ? null : { id: session.id, state: session.state, ...session.descriptions }
    },
  }
}
