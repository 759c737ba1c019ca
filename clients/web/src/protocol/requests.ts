/** What a client may say, as `signaling/protocol/requests.py` has it. `req` is added when sent. */

import type { Use } from './events'

export const PROTOCOL_VERSION = 1

export interface Resume {
  log: string
  /** The last position seen. */
  after: number
}

export type Device = 'pc' | 'phone' | 'room' | 'bot'

export interface Hello {
  t: 'hello'
  token: string
  version: number
  resume?: Resume
  /** The media session that this page still holds. */
  session?: string
  device: Device
  client: string
}

export type RequestBody =
  | Hello
  | { t: 'leave' }
  | { t: 'ping' }
  | { t: 'offer'; sdp: string; labels: Record<string, string>; session?: string }
  | { t: 'close_session'; session: string }
  | { t: 'publish'; session: string; use: Use; on: boolean }
  | { t: 'raise_hand'; up: boolean; participant?: string }
  | { t: 'bring_up'; participant: string }
  | { t: 'take_down'; participant: string }
  | { t: 'mute'; participant: string; use: Use; muted: boolean }
  | { t: 'spotlight'; participant: string | null }
  | { t: 'set_floor'; open: boolean }
  | { t: 'chat'; text: string; to?: string }
  | { t: 'quiz_ask'; question: string; options: string[]; multiple: boolean }
  | { t: 'quiz_answer'; quiz: number; choices: number[] }
  | { t: 'quiz_close'; quiz: number }
  | { t: 'mark'; label: string }
  | { t: 'record'; on: boolean }
  | { t: 'end_lesson' }
  | { t: 'layers'; session: string; heights: Record<string, number> }
  | { t: 'mend'; session: string; slot: string }

export type RequestTag = RequestBody['t']
export type Request = RequestBody & { req: number }
