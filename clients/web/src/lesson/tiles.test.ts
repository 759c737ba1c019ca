import { describe, expect, it } from 'vitest'

import type { Use } from '@/protocol/events'

import { People } from './people'
import { emptyState, type LessonState } from './state'
import { boardTile, lecturerTile, stageTiles, wallTiles, type TileSources } from './tiles'
import type { LocalMedia, SlotView } from './types'

/** Stands for a picture; tiles only hand it on. */
const PICTURE = { id: 'picture' } as unknown as MediaStream

const STATE: LessonState = {
  ...emptyState(),
  participants: { wang: { role: 'lecturer' }, li: { role: 'tutor' }, ming: { role: 'student' } },
  stage: { 2: 'ming', 0: 'li' },
}

function own(use: Use, more: Partial<LocalMedia> = {}): LocalMedia {
  return { use, allowed: true, wanted: true, publishing: false, muted: false, silenced: false, stream: PICTURE, error: null, ...more }
}

function setting(me: string, slots: Record<string, Partial<SlotView>> = {}, camera: Partial<LocalMedia> = {}): TileSources {
  const people = new People()
  people.follow(STATE, me)
  const views = Object.entries(slots).map(([name, view]): [string, SlotView] => [name, {
    name, kind: 'video', status: 'playing', source: 1, participant: null, track: null, stream: PICTURE, stalledSince: null,
    width: 0, height: 0, ...view,
  }])
  const local = { camera: own('camera', camera), microphone: own('microphone'), board: own('board') }
  return { state: STATE, slots: Object.fromEntries(views), local, me, person: (id) => people.get(id) }
}

describe('tiles', () => {
  it('are in the order of the stage, each with its person and the picture of its slot', () => {
    const from = setting('wang')
    from.slots = setting('wang', { 'stage.2.video': { participant: from.person('ming') }, 'stage.0.video': { participant: from.person('li') } }).slots
    const tiles = stageTiles(from)
    expect(tiles.map((tile) => [tile.key, tile.participant?.id, tile.stream])).toEqual([
      ['stage.0', 'li', PICTURE],
      ['stage.2', 'ming', PICTURE],
    ])
  })

  it('never put one name under the face of another', () => {
    const from = setting('wang')
    from.slots = setting('wang', { 'stage.2.video': { participant: from.person('li') } }).slots
    expect(stageTiles(from)[1]).toMatchObject({ participant: { id: 'ming' }, stream: null })
  })

  it('show oneself from the own camera, and only while it is sent', () => {
    const sending = setting('ming', {}, { publishing: true })
    expect(stageTiles(sending)[1]).toMatchObject({ self: true, stream: PICTURE, video: null, status: 'playing' })
    const muted = setting('ming', {}, { publishing: true, muted: true })
    expect(stageTiles(muted)[1]).toMatchObject({ self: true, stream: null, status: 'empty' })
  })

  it('know the lecturer who sends nothing yet', () => {
    const from = setting('ming', { 'lecturer.video': { status: 'empty', stream: null, source: null } })
    expect(lecturerTile(from)).toMatchObject({ participant: { id: 'wang' }, status: 'empty', stream: null })
    expect(lecturerTile(setting('wang', {}, { publishing: true }))).toMatchObject({ self: true, stream: PICTURE })
  })

  it('show a lecturer the other one while that is whom the class sees', () => {
    const from = setting('wang', {}, { publishing: true })
    const other = { ...from.person('zhou'), name: 'Zhou' }
    from.slots = setting('wang', { 'lecturer.video': { participant: other }, board: { participant: other } }).slots
    expect(lecturerTile(from)).toMatchObject({ self: false, participant: { name: 'Zhou' }, stream: PICTURE })
    expect(boardTile(from)).toMatchObject({ self: false, participant: { name: 'Zhou' }, stream: PICTURE })
    const alone = { 'lecturer.video': { status: 'empty', stream: null }, board: { status: 'empty', stream: null } } as const
    from.slots = setting('wang', alone).slots
    expect(lecturerTile(from)).toMatchObject({ self: true, stream: PICTURE })
    expect(boardTile(from)).toMatchObject({ self: false, status: 'empty' })
    from.local = { ...from.local, board: own('board', { publishing: true }) }
    expect(boardTile(from)).toMatchObject({ self: true, stream: PICTURE })
  })

  it('name whom this page has no pair for, without a picture', () => {
    const tiles = stageTiles(setting('wang', { 'stage.0.video': { participant: null } }))
    expect(tiles[1]).toMatchObject({ participant: { id: 'ming' }, self: false, video: null, stream: null })
  })

  it('leave out empty places on the wall', () => {
    const from = setting('wang', { 'wall.1': {}, 'wall.0': { status: 'empty' }, 'wall.10': { status: 'waiting' } })
    expect(wallTiles(from).map((tile) => tile.key)).toEqual(['wall.1', 'wall.10'])
  })

  it('show a board that nobody shares as empty', () => {
    expect(boardTile(setting('ming', { board: { status: 'empty', stream: null } }))).toMatchObject({ status: 'empty', participant: null })
  })
})

describe('People', () => {
  it('stay the same objects while what is known of them changes', () => {
    const people = new People()
    people.follow(STATE, 'ming')
    const ming = people.get('ming')
    const raised = { ...STATE, hands: [{ participant: 'ming', pos: 9, at_ms: 9 }], stage: {} }
    people.follow({ ...raised, mutes: { ming: { microphone: ['staff'] } } }, 'ming')
    expect(people.get('ming')).toBe(ming)
    expect(ming).toMatchObject({ self: true, hand: 1, stage: null, muted: { microphone: true, camera: false } })
    expect(ming.silenced).toMatchObject({ microphone: true, camera: false })
    people.follow({ ...STATE, mutes: { ming: { microphone: ['self'] } } }, 'ming')
    expect([ming.muted.microphone, ming.silenced.microphone]).toEqual([true, false])
  })

  it('lists those present, teachers first', () => {
    const people = new People()
    people.follow({ ...STATE, participants: { ming: { role: 'student' }, li: { role: 'tutor' }, wang: { role: 'lecturer' } } }, null)
    expect(people.present.value.map(({ id }) => id)).toEqual(['wang', 'li', 'ming'])
  })

  it('says who speaks, loudest first, and forgets it in silence', () => {
    const people = new People()
    people.follow(STATE, null)
    people.hear(new Map([['ming', 40], ['wang', 20], ['li', 70]]))
    expect(people.speakers.value.map(({ id }) => id)).toEqual(['wang', 'ming'])
    people.hear(new Map())
    expect(people.speakers.value).toEqual([])
    expect(people.get('wang').level).toBe(0)
  })
})
