/** What the server says, as `signaling/protocol/replies.py` has it. */

import type { Codec, LogEvent, Role, Use } from './events'

export interface Person {
  name: string
  role: Role
}

/** How many slots of each sort this role and device offers. */
export interface Pool {
  lecturer: boolean
  board: boolean
  stage: number
  floor: number
  private: boolean
  wall: number
}

export interface LessonInfo {
  id: string
  log: string
  title: string
  codec: Codec
}

export interface Welcome {
  t: 'welcome'
  req: number
  participant: string
  role: Role
  lesson: LessonInfo
  position: number
  /** The server's clock, UTC. */
  now_ms: number
  may: string[]
  sends: Use[]
  pool: Pool
  /** The lesson as this participant may see it; absent when the resume succeeded. */
  state?: Record<string, unknown> | null
  people?: Record<string, Person>
  answers?: Record<number, number[]>
  session_lost?: boolean
}

export interface Waiting {
  t: 'waiting'
  req: number
  lesson: string
  participant: string
  present?: Person[]
}

export interface Ack {
  t: 'ack'
  req: number
  position?: number
}

export interface Answer {
  t: 'answer'
  req: number
  session: string
  sdp: string
  sources?: Partial<Record<Use, number>>
}

export interface ErrorReply {
  t: 'error'
  req?: number | null
  code: string
  zh: string
  en: string
  retry_after_ms?: number | null
}

export interface Goodbye {
  t: 'goodbye'
  code: string
  zh: string
  en: string
  reconnect: boolean
}

export interface Events {
  t: 'events'
  events?: LogEvent[]
  upto: number
  people?: Record<string, Person>
}

export interface SourceInfo {
  participant: string
  use: Use
  /** Its RTP arrives at the server. */
  live: boolean
}

export interface Slots {
  t: 'slots'
  slots?: Record<string, number>
  sources?: Record<number, SourceInfo>
  people?: Record<string, Person>
}

export interface Live {
  t: 'live'
  source: number
  live: boolean
}

export interface Levels {
  t: 'levels'
  /** (source, -dBov), loudest first. */
  levels: [number, number][]
}

export interface Counts {
  t: 'counts'
  present: Partial<Record<Role, number>>
  hands: number
}

export interface Tally {
  t: 'tally'
  quiz: number
  counts: number[]
  answered: number
}

/** To staff: how the recording fares. A gap is told once, the others last until the next. */
export interface Journal {
  t: 'journal'
  state: 'ok' | 'slow' | 'full' | 'failed' | 'gap'
  detail?: string
}

export interface SessionLost {
  t: 'session_lost'
  session: string
  reason: 'node_lost' | 'disconnected' | 'closed'
}

export type Presence = Slots | Live | Levels | Counts | Tally | Journal | SessionLost
export type Reply = Welcome | Waiting | Ack | Answer | ErrorReply | Goodbye | Events | Presence
