import { describe, expect, it } from 'vitest'

import { FrozenWatch } from './frozen'

/** When a camera whose frame count is told for each second is to be opened again. */
function alarms(frames: (number | undefined)[], track: (second: number) => string = () => 'a'): number[] {
  const watch = new FrozenWatch()
  return frames.flatMap((count, second) => (watch.look(track(second), count, second * 1000) ? [second] : []))
}

const still = (seconds: number, frames = 7) => Array<number>(seconds).fill(frames)

describe('FrozenWatch', () => {
  it('is content while frames come', () => {
    expect(alarms([0, 25, 50, 75, 100, 125, 150, 175])).toEqual([])
  })

  it('calls after four seconds without one, and again only much later', () => {
    expect(alarms([0, ...still(25)])).toEqual([5, 20])
  })

  it('calls for a camera that never gave any', () => {
    expect(alarms(still(6, 0))).toEqual([4])
  })

  it('says nothing where the browser does not tell', () => {
    expect(alarms(Array<undefined>(20).fill(undefined))).toEqual([])
  })

  it('gives a new track its time, and knows when that did not help', () => {
    const reopened = (second: number) => (second < 6 ? 'a' : 'b')
    expect(alarms([0, ...still(12)], reopened)).toEqual([5])
    const watch = new FrozenWatch()
    for (let second = 0; second <= 5; second += 1) watch.look('a', 0, second * 1000)
    watch.look('b', 0, 6_000)
    expect(watch.hopeless(7_000)).toBe(false)
    watch.look('b', 0, 10_000)
    expect(watch.hopeless(10_000)).toBe(true)
    watch.look('b', 1, 11_000)
    expect(watch.hopeless(20_000)).toBe(false)
  })

  it('does not count the time in which nothing was expected', () => {
    const watch = new FrozenWatch()
    watch.look('a', 0, 0)
    watch.rest(60_000)
    expect(watch.look('a', 0, 61_000)).toBe(false)
  })
})
