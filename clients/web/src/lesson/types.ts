/**
 * The lesson as pages see it: one reactive object, made by `createLesson` (store.ts).
 *
 * Everything here is read-only for pages; they change the lesson by its commands. A command
 * resolves to true when the server has acknowledged it, and to false when it was refused: the
 * refusal is then in `notices`, with sentences to show. Commands never throw.
 */

import type { Codec, Role, Use } from '@/protocol/events'
import type { Device, RequestTag } from '@/protocol/requests'

/**
 * - `connecting`: nothing is known yet.
 * - `waiting`: the lecturer has not come; `waiting.present` says who has.
 * - `live`: the lesson is on and the connection stands.
 * - `reconnecting`: the connection is lost and comes back by itself; what was shown stays shown.
 * - `ended`: the lesson is over, or one has left (`left`).
 * - `refused`: the server does not let this page in; `refusal` says why. Final.
 */
export type Phase = 'connecting' | 'waiting' | 'live' | 'reconnecting' | 'ended' | 'refused'

/** Something to tell the user, in both languages. `code` is stable (docs/errors.md). */
export interface Sentence {
  code: string
  zh: string
  en: string
}

export interface Notice extends Sentence {
  id: number
  at_ms: number
  retry_after_ms: number | null
}

export interface Participant {
  id: string
  /** Empty while the name is not known. */
  name: string
  role: Role
  self: boolean
  present: boolean
  /** Place in the queue of raised hands, from 1; null: hand is down. */
  hand: number | null
  /** The stage pair in which everyone sees them; null: not on stage. */
  stage: number | null
  /** How often they have been on stage in this lesson. */
  stageCount: number
  /** Muted by a decision that is in the log (own or a teacher's). */
  muted: Record<Use, boolean>
  /** Muted by a teacher (and perhaps by themselves, too): only a teacher takes it back. */
  silenced: Record<Use, boolean>
  publishing: Record<Use, boolean>
  /** 0..1, of their microphone if it is among the loudest. */
  level: number
  speaking: boolean
  /** Something of theirs is published but does not arrive at the server: their network. */
  interrupted: boolean
}

/**
 * - `empty`: nobody is in the slot. Show no picture at all (not the last one).
 * - `waiting`: somebody is, and nothing has arrived yet.
 * - `playing`: media arrives and is decoded.
 * - `stalled`: nothing arrives although the sender's media reach the server; being mended.
 * - `interrupted`: the sender's media do not reach the server: the sender's network.
 */
export type SlotStatus = 'empty' | 'waiting' | 'playing' | 'stalled' | 'interrupted'

export interface SlotView {
  /** `lecturer.video`, `stage.3.audio`, `floor.0`, … Put it in `data-slot` of the video element. */
  name: string
  kind: 'video' | 'audio'
  status: SlotStatus
  /** Whose media are wanted here; put `source` in `data-source` of the video element. */
  source: number | null
  participant: Participant | null
  /** The received track; the same object for the whole session. */
  track: MediaStreamTrack | null
  /** A stream of this track only, for `srcObject`; null while the slot is empty. */
  stream: MediaStream | null
  /** Since when nothing arrives (performance.now()), or null. */
  stalledSince: number | null
  width: number
  height: number
}

/**
 * A place on the screen. `key` is stable and fit for `v-for`.
 *
 * Sound is not the page's business: the core plays every audio slot itself. Video elements are
 * always `muted autoplay playsinline`; use the `v-play` directive of media/autoplay.ts.
 */
export interface Tile {
  key: string
  kind: 'lecturer' | 'board' | 'stage' | 'wall'
  /** Of stage and wall tiles; -1 otherwise. */
  index: number
  participant: Participant | null
  /** One's own picture: shown from the local camera, mirrored, never from the server. */
  self: boolean
  /** What to put in `srcObject`; null: show the placeholder (name, role, status). */
  stream: MediaStream | null
  /** The slots behind it; null when the pool does not have them or the tile is one's own. */
  video: SlotView | null
  audio: SlotView | null
  status: SlotStatus
}

export interface ChatLine {
  pos: number
  at_ms: number
  from: Participant
  /** Of a private line: to whom. */
  to: Participant | null
  text: string
  mine: boolean
}

export interface QuizView {
  id: number
  question: string
  options: string[]
  multiple: boolean
  open: boolean
  asked_ms: number
  /** Answers per option so far; all 0 as long as this role may not see them. */
  counts: number[]
  /** How many participants have answered. */
  answered: number
  /** One's own choice; null: not answered. */
  mine: number[] | null
}

export interface MarkView {
  pos: number
  at_ms: number
  label: string
  by: Participant | null
}

/** Why a camera, microphone or screen cannot be had. Texts are the pages' (i18n by code). */
export type DeviceErrorCode =
  | 'denied' // by the user or by policy
  | 'denied_by_system' // the operating system forbids the browser
  | 'not_found'
  | 'in_use' // another program holds it
  | 'insecure' // the page is not secure: cameras are given to https and localhost only
  | 'unsupported'
  | 'dismissed' // the user closed the dialogue
  | 'failed'

export interface LocalMedia {
  use: Use
  /** This role may send it. */
  allowed: boolean
  /** The user's switch: turned on, whether it can be sent now or not. */
  wanted: boolean
  /** It is sent now (everyone concerned may see or hear it). */
  publishing: boolean
  /** Muted in the log, by oneself or a teacher. */
  muted: boolean
  /** A teacher is among those who muted it: only a teacher takes that back. */
  silenced: boolean
  /** The local picture or sound, for the preview; null: device is not held. */
  stream: MediaStream | null
  error: DeviceErrorCode | null
}

/**
 * One word for the state of things, worst first. `ok` is claimed only while what should arrive
 * arrives.
 * - `offline`: the browser says that there is no network.
 * - `server_lost`: the WebSocket is gone; it comes back by itself. Media may go on.
 * - `media_blocked`: no media path in spite of several tries (a firewall that blocks UDP).
 * - `media_connecting`: the media path is being made, or made again.
 * - `stalled`: the path stands but something that should arrive does not.
 * - `poor`: it arrives with losses or delays that one notices.
 */
export type HealthWord =
  | 'ok' | 'offline' | 'server_lost' | 'media_blocked' | 'media_connecting' | 'stalled' | 'poor'

export interface Health {
  word: HealthWord
  signaling: 'connected' | 'connecting' | 'lost'
  media: 'idle' | 'connecting' | 'connected' | 'interrupted'
  /** When the next try is made (ms from now at the time of writing), or null. */
  retry_in_ms: number | null
  /** Where the server takes media (`address:port`, UDP): what a firewall has to let through. */
  addresses: readonly string[]
  /** Round trip of media, or null while unknown. */
  rtt_ms: number | null
  /** Share of packets lost in the last seconds, 0..1. */
  lossDown: number
  lossUp: number
  bps_down: number
  bps_up: number
  /** What limits the own picture: nothing, the network or this computer. */
  sendLimit: 'none' | 'bandwidth' | 'cpu'
}

export interface Lesson {
  readonly phase: Phase
  /** In phase `refused`. */
  readonly refusal: Sentence | null
  /** In phase `ended`: true if one left oneself, false if the lesson is over. */
  readonly left: boolean
  readonly id: string
  readonly title: string
  readonly codec: Codec
  readonly started: boolean
  /** UTC; null before the start. */
  readonly startedAt_ms: number | null
  readonly waiting: { readonly present: readonly { name: string; role: Role }[] }

  readonly me: Participant | null
  readonly role: Role | null
  /** May this role use that request? For showing or hiding buttons. */
  may(tag: RequestTag): boolean

  readonly participants: readonly Participant[]
  participant(id: string): Participant | null
  /** Raised hands, the first raised first. */
  readonly hands: readonly Participant[]
  readonly lecturerPresent: boolean

  /** The lecturer's camera and the board; always there, with status `empty` when nothing is sent. */
  readonly lecturer: Tile
  readonly board: Tile
  /**
   * Who is on stage, by index, empty places left out. Of whom this page has no pair (index from
   * `stageSize` on) there is no picture: `video` is null; they are heard all the same.
   */
  readonly stage: readonly Tile[]
  /** How many places the stage has for this page. */
  readonly stageSize: number
  /** Cameras of classrooms, for the lecturer; empty places left out. */
  readonly wall: readonly Tile[]
  readonly spotlight: Participant | null
  readonly floorOpen: boolean
  /** What is sent in the lesson is kept. */
  readonly recording: boolean
  /** Told to staff: what keeps the recording from being saved, if anything does. */
  readonly recordingTrouble: 'slow' | 'full' | 'failed' | null
  /** Who speaks now, loudest first. */
  readonly speakers: readonly Participant[]
  /** Every slot by name. */
  readonly slots: Readonly<Record<string, SlotView>>

  readonly chat: readonly ChatLine[]
  /** The quiz that is open, or the last that was; null: none yet. */
  readonly quiz: QuizView | null
  readonly quizzes: readonly QuizView[]
  readonly marks: readonly MarkView[]
  readonly counts: { readonly present: Partial<Record<Role, number>>; readonly total: number; readonly hands: number }

  readonly local: Readonly<Record<Use, LocalMedia>>
  readonly health: Health
  /** The browser refuses to play sound until the user touches the page: show a button. */
  readonly soundBlocked: boolean
  /** How loud the lesson is played, 0 to 1; remembered by the browser. */
  readonly volume: number
  readonly notices: readonly Notice[]

  // --- commands ----------------------------------------------------------------------------
  raiseHand(up?: boolean): Promise<boolean>
  lowerHand(participant: string): Promise<boolean>
  bringUp(participant: string): Promise<boolean>
  takeDown(participant: string): Promise<boolean>
  mute(participant: string, use: Use, muted: boolean): Promise<boolean>
  setSpotlight(participant: string | null): Promise<boolean>
  setFloor(open: boolean): Promise<boolean>
  record(on: boolean): Promise<boolean>
  say(text: string, to?: string): Promise<boolean>
  askQuiz(question: string, options: string[], multiple?: boolean): Promise<boolean>
  answerQuiz(quiz: number, choices: number[]): Promise<boolean>
  closeQuiz(quiz: number): Promise<boolean>
  mark(label?: string): Promise<boolean>
  endLesson(): Promise<boolean>
  /** Leave for good: closes everything; the object is of no more use. */
  leave(): Promise<void>

  /**
   * The own camera: on asks for the device if need be and sends as soon as one may (a student: on
   * stage); off stops sending and lets the device go.
   */
  setCamera(on: boolean): Promise<boolean>
  /** The own microphone: off mutes at once and keeps the device; on unmutes. */
  setMicrophone(on: boolean): Promise<boolean>
  /** The board: on asks for a screen or window to share. */
  setBoard(on: boolean): Promise<boolean>
  /** Hand over tracks that the device check already has; sent when one may. */
  provide(use: Use, track: MediaStreamTrack): Promise<void>
  /** Other devices were chosen (media/devices.ts, `choices`): take them up while sending. */
  devicesChanged(): Promise<void>

  /** A tile's video is shown at this height in CSS pixels; 0: not shown. Debounced. */
  shown(slot: string, height: number): void
  /** Call in a click handler after `soundBlocked`. */
  unblockSound(): Promise<void>
  setVolume(volume: number): void
  dismiss(notice: number): void
  /** The server's clock, UTC ms. */
  now(): number
}

export interface LessonOptions {
  token: string
  /** Address of the WebSocket; by default `/ws` of the page's server. */
  url?: string
  device?: Device
}
