import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

import type { LessonEvent, LogEvent } from '@/protocol/events'

import { CHAT_TAIL, emptyState, fold, type LessonState } from './state'

interface Example {
  entries: LogEvent[]
  views: { viewer: { participant: string; role: string }; view: LessonState; events: number[]; end: LessonState }[]
}

/** The same example that the server's own test reads. */
function example(): Example {
  const text = readFileSync(new URL('../../../../docs/log.md', import.meta.url), 'utf8')
  const block = /```json\n([\s\S]*?)```/.exec(text)?.[1]
  if (block === undefined) throw new Error('docs/log.md holds no example')
  return JSON.parse(block) as Example
}

function at(pos: number, event: LessonEvent, by?: string): LogEvent {
  return { pos, at_ms: 1000 * pos, event, ...(by === undefined ? {} : { by }) }
}

describe('the example of docs/log.md', () => {
  const { entries, views } = example()

  it.each(views)('leads $viewer.role from its first view to its last', ({ view, events, end }) => {
    const seen = events.map((pos) => entries.find((entry) => entry.pos === pos) as LogEvent)
    expect(seen).not.toContain(undefined)
    expect(seen.reduce(fold, view)).toEqual(end)
  })

  it('is not changed by being folded over', () => {
    for (const { view } of views) {
      const before = structuredClone(view)
      entries.reduce(fold, view)
      expect(view).toEqual(before)
    }
  })
})

describe('fold', () => {
  it('keeps a mute as long as anybody holds it', () => {
    const own = fold(emptyState(), at(1, { t: 'muted', participant: 'a', use: 'microphone' }, 'a'))
    const both = fold(own, at(2, { t: 'muted', participant: 'a', use: 'microphone' }, 'teacher'))
    expect(both.mutes).toEqual({ a: { microphone: ['self', 'staff'] } })
    const staff = fold(both, at(3, { t: 'unmuted', participant: 'a', use: 'microphone' }, 'a'))
    expect(staff.mutes).toEqual({ a: { microphone: ['staff'] } })
    expect(fold(staff, at(4, { t: 'unmuted', participant: 'a', use: 'microphone' }, 'teacher')).mutes).toEqual({})
  })

  it('keeps earlier questions beside the newest', () => {
    const ask = (quiz: number): LessonEvent => ({ t: 'quiz_asked', quiz, question: `${quiz}?`, options: ['a', 'b'] })
    const first = fold(fold(emptyState(), at(1, ask(1))), at(2, { t: 'quiz_closed', quiz: 1, counts: [1, 2], answered: 3 }))
    const second = fold(first, at(3, ask(2)))
    expect(second.past_quizzes.map(({ quiz, open, counts }) => [quiz, open, counts])).toEqual([[1, false, [1, 2]]])
    expect(second.quiz).toMatchObject({ quiz: 2, open: true, asked_ms: 3000, counts: null })
  })

  it('keeps the last lines of the chat', () => {
    let state = emptyState()
    for (let pos = 1; pos <= CHAT_TAIL + 5; pos += 1) state = fold(state, at(pos, { t: 'chat_said', participant: 'a', text: `${pos}` }))
    expect(state.chat).toHaveLength(CHAT_TAIL)
    expect(state.chat[0]?.text).toBe('6')
  })

  it('goes on over an event that it does not know', () => {
    const unknown = { t: 'slide_turned', page: 3 } as unknown as LessonEvent
    expect(fold(emptyState(), at(1, unknown))).toEqual(emptyState())
  })
})
