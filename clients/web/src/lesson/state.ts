/**
 * The lesson as this participant may see it, and how each event of the log changes it: the same
 * fold as `signaling/log/view.py` (docs/log.md, "State"; its example is replayed by the test).
 */

import type { Codec, LessonEvent, LogEvent, Role, Use } from '@/protocol/events'

export type Holder = 'self' | 'staff'

export interface SourceRecord {
  participant: string
  session: string
  use: Use
}

export interface HandRecord {
  participant: string
  pos: number
  at_ms: number
}

export interface ChatRecord {
  pos: number
  at_ms: number
  participant: string
  text: string
  to: string | null
}

export interface MarkRecord {
  pos: number
  at_ms: number
  participant: string
  label: string
}

export interface QuizRecord {
  quiz: number
  asked_ms: number
  question: string
  options: string[]
  multiple: boolean
  open: boolean
  /** Null: not told (to this role, or not yet). */
  counts: number[] | null
  answered: number | null
}

export interface LessonState {
  title: string
  codec: Codec
  started_ms: number | null
  ended_ms: number | null
  /** Those present of whom this participant may know. */
  participants: Record<string, { role: Role }>
  hands: HandRecord[]
  /** Stage pair -> participant. */
  stage: Record<string, string>
  sources: Record<string, SourceRecord>
  mutes: Record<string, Partial<Record<Use, Holder[]>>>
  spotlight: string | null
  floor_open: boolean
  recording: boolean
  /** The last one asked; those before it are in `past_quizzes`, oldest first. */
  quiz: QuizRecord | null
  past_quizzes: QuizRecord[]
  chat: ChatRecord[]
  marks: MarkRecord[]
  /** Staff only. */
  stage_counts?: Record<string, number>
}

/** How many chat lines a view keeps. */
export const CHAT_TAIL = 100

export function emptyState(): LessonState {
  return {
    title: '', codec: 'h264', started_ms: null, ended_ms: null, participants: {}, hands: [], stage: {},
    sources: {}, mutes: {}, spotlight: null, floor_open: false, recording: false,
    quiz: null, past_quizzes: [], chat: [], marks: [],
  }
}

/** The state after one more event. `state` stays as it was; unchanged parts are shared. */
export function fold(state: LessonState, entry: LogEvent): LessonState {
  const { event } = entry
  switch (event.t) {
    case 'created': return { ...state, title: event.title, codec: event.codec }
    case 'codec_changed': return { ...state, codec: event.codec }
    case 'started': return { ...state, started_ms: entry.at_ms }
    case 'ended': return { ...state, ended_ms: entry.at_ms }
    case 'joined':
      return { ...state, participants: { ...state.participants, [event.participant]: { role: event.role } } }
    case 'left':
      return {
        ...state,
        participants: without(state.participants, event.participant),
        hands: lowered(state, event.participant),
      }
    case 'published': {
      const { participant, session, use } = event
      return { ...state, sources: { ...state.sources, [String(event.source)]: { participant, session, use } } }
    }
    case 'unpublished': return { ...state, sources: without(state.sources, String(event.source)) }
    case 'hand_raised': {
      const hand = { participant: event.participant, pos: entry.pos, at_ms: entry.at_ms }
      return { ...state, hands: [...lowered(state, event.participant), hand] }
    }
    case 'hand_lowered': return { ...state, hands: lowered(state, event.participant) }
    case 'stage_entered': return stageEntered(state, event)
    case 'stage_left': {
      const stage = Object.entries(state.stage).filter(([, who]) => who !== event.participant)
      return { ...state, stage: Object.fromEntries(stage) }
    }
    case 'muted':
    case 'unmuted': return muted(state, event, entry.by === event.participant ? 'self' : 'staff')
    case 'spotlighted': return { ...state, spotlight: event.participant }
    case 'floor_set': return { ...state, floor_open: event.open }
    case 'recording_started': return { ...state, recording: true }
    case 'recording_stopped': return { ...state, recording: false }
    case 'chat_said': {
      const { participant, text } = event
      const line = { pos: entry.pos, at_ms: entry.at_ms, participant, text, to: event.to ?? null }
      return { ...state, chat: [...state.chat, line].slice(-CHAT_TAIL) }
    }
    case 'quiz_asked': {
      const { quiz, question, options, multiple = false } = event
      const asked = { quiz, asked_ms: entry.at_ms, question, options, multiple, open: true, counts: null, answered: null }
      const past = state.quiz === null ? [] : [...state.past_quizzes, state.quiz]
      return { ...state, quiz: asked, past_quizzes: past }
    }
    case 'quiz_tallied':
    case 'quiz_closed': return tallied(state, event)
    case 'marked': {
      const mark = { pos: entry.pos, at_ms: entry.at_ms, participant: event.participant, label: event.label ?? '' }
      return { ...state, marks: [...state.marks, mark] }
    }
    default:
      // A newer server may know events that this page does not; the rest of the lesson goes on.
      return state
  }
}

type EventOf<T extends LessonEvent['t']> = Extract<LessonEvent, { t: T }>

function stageEntered(state: LessonState, event: EventOf<'stage_entered'>): LessonState {
  const { participant } = event
  const after = { ...state, stage: { ...state.stage, [String(event.index)]: participant } }
  const counts = state.stage_counts
  if (counts !== undefined) after.stage_counts = { ...counts, [participant]: (counts[participant] ?? 0) + 1 }
  return after
}

function muted(state: LessonState, event: EventOf<'muted' | 'unmuted'>, who: Holder): LessonState {
  const { participant, use } = event
  const uses = { ...state.mutes[participant] }
  const holders = (uses[use] ?? []).filter((holder) => holder !== who)
  if (event.t === 'muted') holders.push(who)
  if (holders.length > 0) uses[use] = holders.sort()
  const rest = holders.length > 0 ? uses : without(uses, use)
  const others = without(state.mutes, participant)
  const mutes = Object.keys(rest).length > 0 ? { ...others, [participant]: rest } : others
  return { ...state, mutes }
}

function tallied(state: LessonState, event: EventOf<'quiz_tallied' | 'quiz_closed'>): LessonState {
  const { quiz } = state
  if (quiz === null || quiz.quiz !== event.quiz) return state
  const open = quiz.open && event.t === 'quiz_tallied'
  return { ...state, quiz: { ...quiz, open, counts: event.counts, answered: event.answered } }
}

function lowered(state: LessonState, participant: string): HandRecord[] {
  return state.hands.filter((hand) => hand.participant !== participant)
}

function without<T extends object>(record: T, key: string): T {
  return Object.fromEntries(Object.entries(record).filter(([name]) => name !== key)) as T
}
