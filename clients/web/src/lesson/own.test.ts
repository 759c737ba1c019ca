import { describe, expect, it } from 'vitest'

import type { Role } from '@/protocol/events'

import { maySend, type Place } from './own'
import { emptyState, type LessonState } from './state'

function place(role: Role, more: Partial<LessonState> = {}): Place {
  return { me: 'me', role, state: { ...emptyState(), ...more } }
}

describe('maySend', () => {
  const onStage = { stage: { 3: 'me' } }
  const floor = { floor_open: true }

  it.each([
    ['a lecturer everything', place('lecturer'), ['camera', 'microphone', 'board']],
    ['a student off stage nothing', place('student'), []],
    ['a student on stage both', place('student', onStage), ['camera', 'microphone']],
    ['a student on an open floor the microphone', place('student', floor), ['microphone']],
    ['a classroom its camera', place('classroom'), ['camera']],
    ['a tutor on an open floor both', place('tutor', floor), ['camera', 'microphone']],
    ['nobody anything once it is over', place('lecturer', { ended_ms: 1 }), []],
    ['nobody anything before the welcome', null, []],
  ] as const)('lets %s', (_, where, uses) => {
    const asked = where?.role === 'lecturer' ? (['camera', 'microphone', 'board'] as const) : (['camera', 'microphone'] as const)
    expect(asked.filter((use) => maySend(use, where))).toEqual(uses)
  })
})
