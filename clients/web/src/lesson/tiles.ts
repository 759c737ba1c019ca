/** The places on the screen, from the slots and the log. Pure. */

import type { LessonState } from './state'
import type { LocalMedia, Participant, SlotView, Tile } from './types'
import type { Use } from '@/protocol/events'

export interface TileSources {
  state: LessonState
  slots: Readonly<Record<string, SlotView>>
  local: Readonly<Record<Use, LocalMedia>>
  me: string | null
  person(id: string): Participant
}

export function lecturerTile(from: TileSources): Tile {
  const place = { key: 'lecturer', kind: 'lecturer', index: -1 } as const
  const video = from.slots['lecturer.video'] ?? null
  const audio = from.slots['lecturer.audio'] ?? null
  const sends = video?.participant ?? audio?.participant ?? null
  const present = Object.entries(from.state.participants).find(([, { role }]) => role === 'lecturer')?.[0]
  const lectures = from.me !== null && from.state.participants[from.me]?.role === 'lecturer'
  // One's own picture never comes back: what comes is another lecturer's, whom the class sees now.
  if (from.me !== null && lectures && isEmpty(video)) return ownTile(place, from, 'camera', from.person(from.me))
  const person = sends ?? (present === undefined ? null : from.person(present))
  return received(place, video, audio, person)
}

export function boardTile(from: TileSources): Tile {
  const place = { key: 'board', kind: 'board', index: -1 } as const
  const video = from.slots['board'] ?? null
  if (from.local.board.publishing && from.me !== null && isEmpty(video)) {
    return ownTile(place, from, 'board', from.person(from.me))
  }
  return received(place, video, null, video?.participant ?? null)
}

export function stageTiles(from: TileSources): Tile[] {
  const places = Object.entries(from.state.stage).map(([index, who]) => ({ index: Number(index), who }))
  places.sort((a, b) => a.index - b.index)
  return places.map(({ index, who }) => {
    const place = { key: `stage.${index}`, kind: 'stage', index } as const
    const person = from.person(who)
    if (who === from.me) return ownTile(place, from, 'camera', person)
    return received(place, from.slots[`stage.${index}.video`] ?? null, from.slots[`stage.${index}.audio`] ?? null, person)
  })
}

export function wallTiles(from: TileSources): Tile[] {
  const walls = Object.values(from.slots).filter((slot) => slot.name.startsWith('wall.') && slot.status !== 'empty')
  const tiles = walls.map((slot) => {
    const index = Number(slot.name.slice('wall.'.length))
    return received({ key: slot.name, kind: 'wall', index } as const, slot, null, slot.participant)
  })
  return tiles.sort((a, b) => a.index - b.index)
}

type Place = Pick<Tile, 'key' | 'kind' | 'index'>

function received(place: Place, video: SlotView | null, audio: SlotView | null, participant: Participant | null): Tile {
  const status = video?.status ?? 'empty'
  // The place has passed on, and the face of whoever was here before is still in the picture.
  const former = video !== null && video.participant !== null && video.participant.id !== participant?.id
  return { ...place, participant, self: false, stream: former ? null : (video?.stream ?? null), video, audio, status }
}

function isEmpty(slot: SlotView | null): boolean {
  return slot === null || slot.status === 'empty'
}

function ownTile(place: Place, from: TileSources, use: Use, participant: Participant): Tile {
  const { stream, publishing, muted } = from.local[use]
  const shown = publishing && !muted ? stream : null
  const status = shown === null ? 'empty' : 'playing'
  return { ...place, participant, self: true, stream: shown, video: null, audio: null, status }
}
