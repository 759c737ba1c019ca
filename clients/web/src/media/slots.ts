/** The names of slots, and which of them a page offers. */

import type { Pool } from '@/protocol/replies'

export type MediaKind = 'video' | 'audio'

export interface SlotSpec {
  name: string
  kind: MediaKind
  /** Slots of one group are one person's picture and sound, kept in step by the browser. */
  group: string
}

/** The receiving slots of a pool, in the order in which their m-lines are offered. */
export function poolSlots(pool: Pool): SlotSpec[] {
  const slots: SlotSpec[] = []
  if (pool.lecturer) slots.push(...pair('lecturer'))
  if (pool.board) slots.push({ name: 'board', kind: 'video', group: 'board' })
  for (const index of range(pool.stage)) slots.push(...pair(`stage.${index}`))
  for (const index of range(pool.floor)) slots.push({ name: `floor.${index}`, kind: 'audio', group: `floor.${index}` })
  if (pool.private) slots.push({ name: 'private', kind: 'audio', group: 'private' })
  for (const index of range(pool.wall)) slots.push({ name: `wall.${index}`, kind: 'video', group: `wall.${index}` })
  return slots
}

/** Whether a session made for one pool serves the other. */
export function samePool(a: Pool, b: Pool): boolean {
  return JSON.stringify(poolSlots(a)) === JSON.stringify(poolSlots(b))
}

function pair(group: string): SlotSpec[] {
  return [
    { name: `${group}.video`, kind: 'video', group },
    { name: `${group}.audio`, kind: 'audio', group },
  ]
}

function range(size: number): number[] {
  return Array.from({ length: size }, (_, index) => index)
}
