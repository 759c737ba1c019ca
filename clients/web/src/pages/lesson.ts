/** How pages and components reach the lesson that one is in. */

import { inject, type InjectionKey, provide } from 'vue'
import type { Lesson } from '@/lesson/types'

const key: InjectionKey<Lesson> = Symbol('lesson')

export function provideLesson(lesson: Lesson): void {
  provide(key, lesson)
}

export function useLesson(): Lesson {
  const lesson = inject(key)
  if (!lesson) throw new Error('This component belongs inside a lesson page.')
  return lesson
}
