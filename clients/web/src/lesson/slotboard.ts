/** Every slot as pages see it, brought together from what the server wants and what arrives. */

import { markRaw, reactive } from 'vue'

import type { Sample } from '@/media/sampler'
import { poolSlots, type MediaKind } from '@/media/slots'
import { shownSource, stalledSince, statusOf, type SlotRecord, type Watch } from '@/media/watch'
import type { Pool, Slots, SourceInfo } from '@/protocol/replies'

import type { People } from './people'
import type { SlotView } from './types'

/** After a change of source the former picture may stay this long for the new one's key frame. */
const STALE_MS = 700

/** Slots that pages may name whatever their pool is. */
const ALWAYS: readonly [string, MediaKind][] = [['lecturer.video', 'video'], ['lecturer.audio', 'audio'], ['board', 'video']]

export class SlotBoard {
  readonly views: Record<string, SlotView> = reactive({})
  /** Slot -> source that the server wants there, without one's own. */
  wanted: Record<string, number> = {}
  sources: Record<string, SourceInfo> = {}
  private readonly streams = new Map<string, MediaStream>()
  private records: Watch['records'] = {}

  constructor(private readonly people: People) {
    for (const [name, kind] of ALWAYS) this.views[name] = blank(name, kind)
  }

  /** The pool that the server grants: its slots exist from now on. */
  offer(pool: Pool): void {
    const names = new Map([...ALWAYS, ...poolSlots(pool).map(({ name, kind }) => [name, kind] as const)])
    for (const name of Object.keys(this.views)) {
      if (!names.has(name)) Reflect.deleteProperty(this.views, name)
    }
    for (const [name, kind] of names) this.views[name] ??= blank(name, kind)
  }

  /** A session's track for a slot. */
  connect(slot: string, track: MediaStreamTrack): void {
    this.streams.set(slot, markRaw(new MediaStream([track])))
    const view = this.views[slot]
    if (view === undefined) return
    view.track = markRaw(track)
    this.show(view, performance.now())
  }

  /** The session is gone: nothing of it moves any more. */
  disconnect(): void {
    this.records = {}
    this.refresh()
  }

  /** The server's newest word on who belongs where. */
  arrange(message: Slots, me: string | null): void {
    this.sources = Object.fromEntries(Object.entries(message.sources ?? {}))
    const others = Object.entries(message.slots ?? {}).filter(([, source]) => this.sources[source]?.participant !== me)
    this.wanted = Object.fromEntries(others)
    this.refresh()
  }

  setLive(source: number, live: boolean): void {
    const info = this.sources[source]
    if (info !== undefined) this.sources[source] = { ...info, live }
  }

  /** What the last look at the session saw. */
  observe(sample: Sample, watch: Watch): void {
    this.records = watch.records
    for (const [name, seen] of Object.entries(sample.slots)) {
      const view = this.views[name]
      if (view !== undefined) Object.assign(view, { width: seen.width, height: seen.height })
    }
    this.refresh()
  }

  /** The track to play a slot's sound from. Floating voices are mixed by the server: always on. */
  soundOf(view: SlotView): MediaStream | null {
    const floating = view.name.startsWith('floor.') || view.name === 'private'
    return floating ? (this.streams.get(view.name) ?? null) : view.stream
  }

  private refresh(): void {
    const now = performance.now()
    for (const view of Object.values(this.views)) this.show(view, now)
    this.noteInterrupted()
  }

  private show(view: SlotView, now: number): void {
    const wanted = this.wanted[view.name] ?? null
    const record = this.records[view.name]
    // A record of the former source says nothing about the new one.
    const fits = record !== undefined && record.wanted === wanted
    const stream = this.streams.get(view.name) ?? null
    view.status = wanted === null ? 'empty' : fits ? statusOf(record, now) : 'waiting'
    view.stalledSince = fits ? stalledSince(record, now) : null
    view.source = wanted === null ? null : this.nameable(record, wanted)
    view.participant = view.source === null ? null : this.person(view.source)
    const stale = fits && record.playedAt === null && record.movedAt !== null && now - record.wantedSince > STALE_MS
    view.stream = wanted === null || stale ? null : stream
  }

  /** The source whose face is there at this moment, if it is one that may be named. */
  private nameable(record: SlotRecord | undefined, wanted: number): number {
    const shown = record === undefined ? null : shownSource(record)
    return shown !== null && this.sources[shown] !== undefined ? shown : wanted
  }

  private person(source: number) {
    const info = this.sources[source]
    return info === undefined ? null : this.people.get(info.participant)
  }

  private noteInterrupted(): void {
    const interrupted = new Set<string>()
    for (const view of Object.values(this.views)) {
      if (view.status === 'interrupted' && view.participant !== null) interrupted.add(view.participant.id)
    }
    const shown = Object.values(this.sources).map((info) => this.people.get(info.participant))
    for (const person of shown) person.interrupted = interrupted.has(person.id)
  }
}

function blank(name: string, kind: MediaKind): SlotView {
  return {
    name, kind, status: 'empty', source: null, participant: null, track: null, stream: null,
    stalledSince: null, width: 0, height: 0,
  }
}
