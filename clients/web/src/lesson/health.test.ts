import { describe, expect, it } from 'vitest'

import type { Totals } from '@/media/sampler'

import { healthWord, Rates, type HealthInput } from './health'

const WELL: HealthInput = { offline: false, connection: 'live', media: 'connected', failures: 0, slots: ['playing', 'empty'] }
const FINE = { rtt_ms: 20, lossDown: 0, lossUp: 0 }

describe('healthWord', () => {
  it.each([
    ['ok', {}, {}],
    ['offline', { offline: true, connection: 'reconnecting' }, {}],
    ['server_lost', { connection: 'reconnecting' }, {}],
    ['media_connecting', { media: 'interrupted' }, {}],
    ['media_blocked', { media: 'interrupted', failures: 3 }, {}],
    ['stalled', { slots: ['playing', 'stalled'] }, {}],
    ['poor', {}, { lossDown: 0.1 }],
    ['poor', {}, { rtt_ms: 900 }],
    // The sender's network is not one's own.
    ['ok', { slots: ['interrupted'] }, {}],
  ] as const)('says %s of %o %o', (word, input, figures) => {
    expect(healthWord({ ...WELL, ...input }, { ...FINE, ...figures })).toBe(word)
  })
})

describe('Rates', () => {
  const totals = (bytesReceived: number, packetsReceived: number, packetsLost: number): Totals => ({
    bytesReceived, packetsReceived, packetsLost, bytesSent: 0, lossUp: 0, rtt_ms: 5, sendLimit: 'none',
  })

  it('are of the last seconds only', () => {
    const rates = new Rates()
    expect(rates.add({ at: 0, totals: totals(0, 0, 50) })).toMatchObject({ bps_down: 0, lossDown: 0 })
    expect(rates.add({ at: 2_000, totals: totals(1_000, 90, 60) })).toMatchObject({ bps_down: 4_000, lossDown: 0.1 })
    expect(rates.add({ at: 10_000, totals: totals(9_000, 190, 60) })).toMatchObject({ bps_down: 0, lossDown: 0 })
  })

  it('are never below nothing when counters start anew', () => {
    const rates = new Rates()
    rates.add({ at: 0, totals: totals(5_000, 100, 9) })
    expect(rates.add({ at: 1_000, totals: totals(10, 1, 0) })).toMatchObject({ bps_down: 0, lossDown: 0 })
  })
})
