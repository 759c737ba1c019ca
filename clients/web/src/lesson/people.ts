/**
 * Everybody of whom this page knows, each as one lasting reactive object: what changes about a
 * person changes in place, so that a thousand names are not drawn anew for one raised hand.
 */

import { reactive, shallowRef } from 'vue'

import { fromDecibels } from '@/media/meter'
import { USES, type Role, type Use } from '@/protocol/events'
import type { Person } from '@/protocol/replies'

import type { LessonState } from './state'
import type { Participant } from './types'

/** From this level on somebody is said to speak: about -42 dBFS. */
const SPEAKING = 0.3

const RANK: readonly Role[] = [
  'lecturer', 'tutor', 'classroom', 'student', 'parent', 'observer', 'researcher', 'inspector', 'technician', 'ops',
]

export class People {
  /** Those present, teachers first, then in the order of coming. */
  readonly present = shallowRef<readonly Participant[]>([])
  readonly speakers = shallowRef<readonly Participant[]>([])
  private readonly known = new Map<string, Participant>()

  /** Anybody by id; who has never been heard of is made up, with no name yet. */
  get(id: string): Participant {
    const found = this.known.get(id)
    if (found !== undefined) return found
    const none = (): Record<Use, boolean> => ({ camera: false, microphone: false, board: false })
    const person: Participant = reactive({
      id, name: '', role: 'student', self: false, present: false, hand: null, stage: null, stageCount: 0,
      muted: none(), silenced: none(), publishing: none(), level: 0, speaking: false, interrupted: false,
    })
    this.known.set(id, person)
    return person
  }

  find(id: string): Participant | null {
    return this.known.get(id) ?? null
  }

  learn(people: Record<string, Person> | undefined): void {
    for (const [id, { name, role }] of Object.entries(people ?? {})) {
      const person = this.get(id)
      if (name !== '') person.name = name
      person.role = role
    }
  }

  /** Bring everybody up to date with the log. */
  follow(state: LessonState, me: string | null): void {
    const stage = new Map(Object.entries(state.stage).map(([index, who]) => [who, Number(index)]))
    const hands = new Map(state.hands.map((hand, place) => [hand.participant, place + 1]))
    for (const [id, { role }] of Object.entries(state.participants)) this.get(id).role = role
    for (const id of [...stage.keys(), ...hands.keys()]) this.get(id)
    const sending = sendingNow(state)
    for (const person of this.known.values()) {
      person.self = person.id === me
      person.stage = stage.get(person.id) ?? null
      person.present = person.id in state.participants || person.stage !== null
      person.hand = hands.get(person.id) ?? null
      person.stageCount = state.stage_counts?.[person.id] ?? 0
      for (const use of USES) {
        const holders = state.mutes[person.id]?.[use] ?? []
        person.muted[use] = holders.length > 0
        person.silenced[use] = holders.includes('staff')
        person.publishing[use] = sending.get(person.id)?.has(use) ?? false
      }
    }
    this.list(state)
  }

  /** Levels in -dBov by participant; who is not named is silent. */
  hear(levels: ReadonlyMap<string, number>): void {
    for (const person of this.known.values()) {
      const level = levels.get(person.id)
      person.level = level === undefined ? 0 : fromDecibels(-level)
      person.speaking = person.level >= SPEAKING && !person.muted.microphone
    }
    const speaking = [...this.known.values()].filter((person) => person.speaking)
    this.speakers.value = speaking.sort((a, b) => b.level - a.level)
  }

  private list(state: LessonState): void {
    const order = new Map(Object.keys(state.participants).map((id, place) => [id, place]))
    const last = order.size
    const present = [...this.known.values()].filter((person) => person.present)
    present.sort((a, b) => rank(a) - rank(b) || (order.get(a.id) ?? last) - (order.get(b.id) ?? last))
    const before = this.present.value
    const same = present.length === before.length && present.every((person, place) => person === before[place])
    if (!same) this.present.value = present
  }
}

function sendingNow(state: LessonState): Map<string, Set<Use>> {
  const sending = new Map<string, Set<Use>>()
  for (const { participant, use } of Object.values(state.sources)) {
    const uses = sending.get(participant) ?? new Set<Use>()
    sending.set(participant, uses.add(use))
  }
  return sending
}

function rank(person: Participant): number {
  return RANK.indexOf(person.role)
}
