import type { Scene } from './fakeLesson'

/** Names are the gallery's addresses: `#/gallery/studio`. */
export const scenes: Record<string, Scene> = {
  studio: { role: 'lecturer', stage: ['room1', 'li', 'chen'], hands: ['sun', 'zhou', 'wang', 'zhao'], spotlight: 'li' },
  'studio-empty': { role: 'lecturer', board: 'empty', lecturer: 'empty' },
  'studio-quiz': { role: 'lecturer', stage: ['li'], quiz: 'open', hands: ['sun'] },
  tutor: { role: 'tutor', stage: ['room1', 'li', 'chen'], hands: ['sun', 'zhou', 'wang'] },
  classroom: { role: 'classroom', stage: ['room3', 'li', 'chen'] },
  'classroom-quiz': { role: 'classroom', stage: ['li'], quiz: 'open' },
  student: { role: 'student', stage: ['room1', 'li', 'chen'] },
  'student-hand': { role: 'student', stage: ['li'], hands: ['zhou', 'wang'] },
  'student-stage': { role: 'student', stage: ['room1', 'li'], onStage: true, spotlight: 'li' },
  'student-quiz': { role: 'student', stage: ['li'], quiz: 'open' },
  'student-answered': { role: 'student', quiz: 'answered' },
  'student-trouble': { role: 'student', lecturer: 'interrupted', board: 'stalled', stage: ['room2', 'li'], health: 'server_lost' },
  'student-noboard': { role: 'student', board: 'empty', stage: ['li'] },
  observer: { role: 'observer', stage: ['room1', 'li', 'chen'] },
  waiting: { role: 'student', phase: 'waiting' },
  connecting: { role: 'student', phase: 'connecting' },
  ended: { role: 'student', phase: 'ended' },
  'refused-expired': { role: 'student', phase: 'refused', refusal: 'token_expired' },
  'refused-replaced': { role: 'student', phase: 'refused', refusal: 'replaced' },
}
