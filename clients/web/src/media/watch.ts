/**
 * Does what should arrive, arrive? Pure: looks at counters with the time passed in, keeps a record
 * per slot, and decides what to do about darkness: ask the server to mend a slot (a key frame),
 * restart ICE, or make a new connection. "Playing" is said of nothing that does not move.
 */

import type { SlotStatus } from '@/lesson/types'

import type { MediaKind } from './slots'

/** What one look at a slot saw. */
export interface Sighting {
  slot: string
  kind: MediaKind
  /** The source that the server wants here, and whether its media reach the server. */
  wanted: number | null
  live: boolean
  /** Grows while media arrive: frames decoded, or packets of sound. */
  progress: number
  /** The source named by the newest packets (CSRC); null: none seen. */
  csrc: number | null
}

export interface SlotRecord {
  slot: string
  kind: MediaKind
  wanted: number | null
  wantedSince: number
  live: boolean
  liveSince: number
  progress: number
  csrc: number | null
  /** When the wanted source last moved here; null: never yet. */
  playedAt: number | null
  /** When anything last moved here, of whichever source. */
  movedAt: number | null
  mends: number
  mendedAt: number | null
}

export interface Watch {
  records: Record<string, SlotRecord>
  lookedAt: number | null
  restartedAt: number | null
}

export type Step = { do: 'mend'; slot: string } | { do: 'restart' } | { do: 'renew'; source: number | null }

/** All in ms of darkness, except `gap`. */
export const POLICY = {
  /** A slot is called stalled after this. */
  stall: 1_000,
  /** A shared screen that does not change sends about one frame a second. */
  stallBoard: 3_500,
  stallAudio: 2_000,
  /** How long a newly wanted source may take to appear. */
  arrive: 1_500,
  mendAgain: 2_000,
  mendMost: 10_000,
  restart: 3_000,
  renew: 6_000,
  /** One slot dark while others play: worth a new connection only once, and late. */
  renewForOne: 12_000,
  /** A page that slept this long between two looks has missed the media, not lost them. */
  gap: 3_000,
}

export function newWatch(): Watch {
  return { records: {}, lookedAt: null, restartedAt: null }
}

/** One look at all slots. */
export function look(watch: Watch, sightings: readonly Sighting[], now: number): Watch {
  const slept = watch.lookedAt !== null && now - watch.lookedAt > POLICY.gap
  const records: Record<string, SlotRecord> = {}
  for (const sighting of sightings) {
    const before = watch.records[sighting.slot]
    records[sighting.slot] = before === undefined ? first(sighting, now) : next(before, sighting, now, slept)
  }
  return { ...watch, records, lookedAt: now }
}

export function statusOf(record: SlotRecord, now: number): SlotStatus {
  if (record.wanted === null) return 'empty'
  if (record.playedAt !== null && now - record.playedAt < patience(record)) return 'playing'
  if (!record.live) {
    const waited = now - Math.max(record.wantedSince, record.liveSince)
    return record.playedAt !== null || waited >= POLICY.arrive ? 'interrupted' : 'waiting'
  }
  if (record.playedAt === null && darkness(record, now) < POLICY.arrive) return 'waiting'
  return 'stalled'
}

/** Since when nothing arrives in a slot where something should, or null. */
export function stalledSince(record: SlotRecord, now: number): number | null {
  return statusOf(record, now) === 'stalled' ? now - darkness(record, now) : null
}

/** Whose picture or sound is in the slot at this moment: names go by it, so they never lag faces. */
export function shownSource(record: SlotRecord): number | null {
  return record.csrc ?? record.wanted
}

/** What to do now, and the watch after having decided it. */
export function decideMend(watch: Watch, now: number): { steps: Step[]; watch: Watch } {
  const expected = Object.values(watch.records).filter((record) => record.wanted !== null && record.live)
  const dark = expected.filter((record) => statusOf(record, now) === 'stalled')
  if (dark.length === 0) return { steps: [], watch: { ...watch, restartedAt: null } }

  const whole = wholeDarkness(watch, expected, now)
  if (whole >= POLICY.renew) return { steps: [{ do: 'renew', source: null }], watch }
  const records = { ...watch.records }
  const steps: Step[] = []
  for (const record of dark) {
    const alone = darkness(record, now) >= POLICY.renewForOne && record.kind === 'video'
    if (alone) steps.push({ do: 'renew', source: record.wanted })
    else if (mendDue(record, now)) {
      steps.push({ do: 'mend', slot: record.slot })
      records[record.slot] = { ...record, mends: record.mends + 1, mendedAt: now }
    }
  }
  const restart = whole >= POLICY.restart && watch.restartedAt === null
  if (restart) steps.push({ do: 'restart' })
  return { steps, watch: { ...watch, records, restartedAt: restart ? now : watch.restartedAt } }
}

// --- records --------------------------------------------------------------------------------

function first(sighting: Sighting, now: number): SlotRecord {
  const { slot, kind, wanted, live, progress, csrc } = sighting
  return {
    slot, kind, wanted, wantedSince: now, live, liveSince: now, progress, csrc,
    playedAt: null, movedAt: null, mends: 0, mendedAt: null,
  }
}

function next(before: SlotRecord, sighting: Sighting, now: number, slept: boolean): SlotRecord {
  const { wanted, live, progress } = sighting
  const csrc = sighting.csrc ?? (wanted === null ? null : before.csrc)
  const switched = wanted !== before.wanted
  const moved = progress !== before.progress
  const record: SlotRecord = { ...before, wanted, live, progress, csrc }
  if (moved || slept) record.movedAt = now
  if (live !== before.live) record.liveSince = now
  if (switched) Object.assign(record, { wantedSince: now, playedAt: null, mends: 0, mendedAt: null })
  // What moved while it was of the former source is no sign of the new one.
  const isWanted = csrc === null ? !switched : csrc === wanted
  if (wanted !== null && moved && isWanted) Object.assign(record, { playedAt: now, mends: 0, mendedAt: null })
  else if (slept && record.playedAt !== null) record.playedAt = now
  else if (slept) record.wantedSince = now
  return record
}

function patience(record: SlotRecord): number {
  if (record.kind === 'audio') return POLICY.stallAudio
  return record.slot === 'board' ? POLICY.stallBoard : POLICY.stall
}

/** How long the wanted source has not moved although it could. */
function darkness(record: SlotRecord, now: number): number {
  return now - Math.max(record.playedAt ?? 0, record.wantedSince, record.liveSince)
}

/** How long nothing at all has arrived over this connection although something should. */
function wholeDarkness(watch: Watch, expected: readonly SlotRecord[], now: number): number {
  const moved = Object.values(watch.records).map((record) => record.movedAt ?? 0)
  const longest = Math.max(...expected.map((record) => darkness(record, now)))
  return Math.min(longest, now - Math.max(0, ...moved))
}

/** The first at once, then after 2 s, 4 s, 8 s, and every 10 s. */
function mendDue(record: SlotRecord, now: number): boolean {
  if (record.mendedAt === null) return true
  return now - record.mendedAt >= Math.min(POLICY.mendMost, POLICY.mendAgain * 2 ** (record.mends - 1))
}
