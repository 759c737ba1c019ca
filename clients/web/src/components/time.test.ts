import { describe, expect, it } from 'vitest'
import { initialOf, letterOf } from './naming'
import { duration } from './time'
import type { Participant } from '@/lesson/types'

describe('a duration', () => {
  it.each([
    [0, '0:00'],
    [-5, '0:00'],
    [65_999, '1:05'],
    [3_600_000, '1:00:00'],
    [36_061_000, '10:01:01'],
  ])('of %d ms reads %s', (ms, text) => expect(duration(ms)).toBe(text))
})

describe('a placeholder', () => {
  const named = (name: string): Participant => ({ name, role: 'student', id: 'x' }) as Participant

  it.each([
    ['王小明', '小明'],
    ['李明', '李明'],
    ['第三小学 四年级二班', '第'],
    ['王老师', '王'],
    ['anna', 'A'],
    ['', '学生'],
  ])('of %j shows %s', (name, initial) => expect(initialOf(named(name))).toBe(initial))

  it('names options by letters', () => expect([0, 1, 9].map(letterOf)).toEqual(['A', 'B', 'J']))
})
