/**
 * The events of a lesson's log, as `signaling/log/events.py` has them (docs/log.md).
 * Events hold participant ids, never names.
 */

export type Role =
  | 'lecturer' | 'tutor' | 'classroom' | 'student' | 'observer' | 'inspector'
  | 'researcher' | 'parent' | 'technician' | 'ops'

/** What a participant may send. */
export type Use = 'camera' | 'microphone' | 'board'
export const USES: readonly Use[] = ['camera', 'microphone', 'board']

export type Codec = 'h264' | 'vp8'
export type LeaveReason = 'left' | 'lost' | 'replaced' | 'removed'

export type LessonEvent =
  | { t: 'created'; title: string; codec: Codec }
  | { t: 'codec_changed'; codec: Codec }
  | { t: 'started' }
  | { t: 'joined'; participant: string; role: Role }
  | { t: 'left'; participant: string; reason?: LeaveReason }
  | { t: 'published'; source: number; participant: string; session: string; use: Use }
  | { t: 'unpublished'; source: number }
  | { t: 'hand_raised'; participant: string }
  | { t: 'hand_lowered'; participant: string }
  | { t: 'stage_entered'; participant: string; index: number }
  | { t: 'stage_left'; participant: string }
  | { t: 'muted'; participant: string; use: Use }
  | { t: 'unmuted'; participant: string; use: Use }
  | { t: 'spotlighted'; participant: string | null }
  | { t: 'floor_set'; open: boolean }
  | { t: 'chat_said'; participant: string; text: string; to?: string | null }
  | { t: 'quiz_asked'; quiz: number; question: string; options: string[]; multiple?: boolean }
  | { t: 'quiz_tallied'; quiz: number; counts: number[]; answered: number }
  | { t: 'quiz_closed'; quiz: number; counts: number[]; answered: number }
  | { t: 'marked'; participant: string; label?: string }
  | { t: 'recording_started' }
  | { t: 'recording_stopped' }
  | { t: 'ended' }

/** One line of the log as a client sees it. */
export interface LogEvent {
  pos: number
  /** UTC, milliseconds since 1970. */
  at_ms: number
  event: LessonEvent
  by?: string
}
