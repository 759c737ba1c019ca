/** Chat, quizzes and marks as pages show them. Pure. */

import type { Tally } from '@/protocol/replies'

import type { LessonState, QuizRecord } from './state'
import type { ChatLine, MarkView, Participant, QuizView } from './types'

type Who = (id: string) => Participant

export function chatLines(state: LessonState, who: Who): ChatLine[] {
  return state.chat.map(({ pos, at_ms, participant, text, to }) => {
    const from = who(participant)
    return { pos, at_ms, text, from, to: to === null ? null : who(to), mine: from.self }
  })
}

export function markViews(state: LessonState, who: Who): MarkView[] {
  return state.marks.map(({ pos, at_ms, label, participant }) => ({ pos, at_ms, label, by: who(participant) }))
}

/** Oldest first. While a quiz is open the newest tally counts; the log's word is final. */
export function quizViews(
  state: LessonState,
  tallies: Readonly<Record<number, Tally>>,
  answers: Readonly<Record<number, number[]>>,
): QuizView[] {
  const records = state.quiz === null ? state.past_quizzes : [...state.past_quizzes, state.quiz]
  return records.map((record) => quizView(record, tallies[record.quiz], answers[record.quiz] ?? null))
}

function quizView(record: QuizRecord, tally: Tally | undefined, mine: number[] | null): QuizView {
  const { quiz: id, asked_ms, question, options, multiple, open } = record
  const told = open && tally !== undefined ? tally : record
  const counts = told.counts ?? options.map(() => 0)
  return { id, asked_ms, question, options, multiple, open, counts, answered: told.answered ?? 0, mine }
}
