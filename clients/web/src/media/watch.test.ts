import { describe, expect, it } from 'vitest'

import { decideMend, look, newWatch, POLICY, shownSource, statusOf, type Sighting, type SlotRecord, type Step, type Watch } from './watch'

const STEP_MS = 500

/** A page whose slots are told what to see; time is virtual. */
class Page {
  watch: Watch = newWatch()
  now = 10_000
  steps: (Step & { at: number })[] = []
  private readonly sightings = new Map<string, Sighting>()

  wants(slot: string, wanted: number | null, live = true, kind: 'video' | 'audio' = 'video'): this {
    const before = this.sightings.get(slot)
    this.sightings.set(slot, { slot, kind, wanted, live, progress: before?.progress ?? 0, csrc: before?.csrc ?? null })
    return this
  }

  /** Let time pass; in the named slots media arrive, of the wanted source unless another is named. */
  pass(ms: number, arriving: Record<string, number | null> = {}): this {
    for (let passed = 0; passed < ms; passed += STEP_MS) {
      this.now += STEP_MS
      for (const [slot, csrc] of Object.entries(arriving)) {
        const sighting = this.sightings.get(slot)
        if (sighting) this.sightings.set(slot, { ...sighting, progress: sighting.progress + 10, csrc })
      }
      this.watch = look(this.watch, [...this.sightings.values()], this.now)
      const { steps, watch } = decideMend(this.watch, this.now)
      this.watch = watch
      this.steps.push(...steps.map((step) => ({ ...step, at: this.now })))
    }
    return this
  }

  sleep(ms: number): this {
    this.now += ms
    return this
  }

  record(slot: string): SlotRecord {
    const record = this.watch.records[slot]
    if (record === undefined) throw new Error(slot)
    return record
  }

  status(slot: string) {
    return statusOf(this.record(slot), this.now)
  }

  kinds(): string[] {
    return this.steps.map((step) => step.do)
  }
}

describe('status', () => {
  it('is empty for nobody, waiting for who comes, playing for what moves', () => {
    const page = new Page().wants('board', null).wants('lecturer.video', 7).pass(500)
    expect(page.status('board')).toBe('empty')
    expect(page.status('lecturer.video')).toBe('waiting')
    expect(page.pass(500, { 'lecturer.video': 7 }).status('lecturer.video')).toBe('playing')
  })

  it('does not take the former source for the new one', () => {
    const page = new Page().wants('lecturer.video', 7).pass(1000, { 'lecturer.video': 7 })
    page.wants('lecturer.video', 8).pass(500, { 'lecturer.video': 7 })
    expect(page.status('lecturer.video')).toBe('waiting')
    expect(shownSource(page.record('lecturer.video'))).toBe(7)
    page.pass(500, { 'lecturer.video': 8 })
    expect(page.status('lecturer.video')).toBe('playing')
    expect(shownSource(page.record('lecturer.video'))).toBe(8)
  })

  it('plays without CSRC where the browser shows none', () => {
    const page = new Page().wants('lecturer.video', 7).pass(1000, { 'lecturer.video': null })
    expect(page.status('lecturer.video')).toBe('playing')
  })

  it("blames the sender's network when their media do not reach the server", () => {
    const page = new Page().wants('lecturer.video', 7).pass(1000, { 'lecturer.video': 7 })
    page.wants('lecturer.video', 7, false).pass(2000)
    expect(page.status('lecturer.video')).toBe('interrupted')
    expect(page.steps).toEqual([])
  })

  it('lets a shared screen rest longer than a face', () => {
    const arrived = { board: 1, 'lecturer.video': 2 }
    const page = new Page().wants('board', 1).wants('lecturer.video', 2).pass(1000, arrived).pass(1500)
    expect(page.status('board')).toBe('playing')
    expect(page.status('lecturer.video')).toBe('stalled')
  })
})

describe('mending', () => {
  it('asks for a key frame after a second, then less and less often', () => {
    const page = new Page().wants('stage.0.video', 1).wants('lecturer.video', 2)
    page.pass(1000, { 'stage.0.video': 1, 'lecturer.video': 2 })
    const began = page.now
    page.pass(9000, { 'lecturer.video': 2 })
    expect(page.kinds()).toEqual(['mend', 'mend', 'mend'])
    expect(page.steps.map((step) => step.at - began)).toEqual([1000, 3000, 7000])
  })

  it('restarts ICE when nothing at all arrives, then makes a new connection', () => {
    const page = new Page().wants('lecturer.video', 1).wants('lecturer.audio', 2, true, 'audio')
    page.pass(1000, { 'lecturer.video': 1, 'lecturer.audio': 2 })
    const began = page.now
    page.pass(6000)
    const restarts = page.steps.filter((step) => step.do === 'restart')
    expect(restarts.map((step) => step.at - began)).toEqual([POLICY.restart])
    expect(page.steps.at(-1)).toEqual({ do: 'renew', source: null, at: began + POLICY.renew })
  })

  it('does neither while something else arrives, until one slot has been dark for long', () => {
    const page = new Page().wants('stage.0.video', 1).wants('lecturer.video', 2)
    page.pass(1000, { 'stage.0.video': 1, 'lecturer.video': 2 })
    page.pass(POLICY.renewForOne - 500, { 'lecturer.video': 2 })
    expect(new Set(page.kinds())).toEqual(new Set(['mend']))
    page.pass(500, { 'lecturer.video': 2 })
    expect(page.steps.at(-1)).toMatchObject({ do: 'renew', source: 1 })
  })

  it('never acts for empty slots, nor once all is well again', () => {
    const page = new Page().wants('lecturer.video', 1).wants('board', null).pass(1000, { 'lecturer.video': 1 })
    page.pass(2000).pass(1000, { 'lecturer.video': 1 })
    page.steps = []
    page.pass(20_000, { 'lecturer.video': 1 })
    page.wants('lecturer.video', null).pass(20_000)
    expect(page.steps).toEqual([])
  })

  it('restarts anew in a second time of darkness', () => {
    const page = new Page().wants('lecturer.video', 1).pass(1000, { 'lecturer.video': 1 })
    page.pass(3500).pass(1000, { 'lecturer.video': 1 }).pass(3500)
    expect(page.kinds().filter((kind) => kind === 'restart')).toHaveLength(2)
  })

  it('does not take its own sleep for a stall', () => {
    const page = new Page().wants('lecturer.video', 1).pass(1000, { 'lecturer.video': 1 })
    page.sleep(60_000).pass(500)
    expect(page.status('lecturer.video')).toBe('playing')
    expect(page.steps).toEqual([])
  })
})
