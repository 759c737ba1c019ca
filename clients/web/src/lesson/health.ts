/** How well the lesson arrives, in one word and a few figures. Pure. */

import type { MediaState } from '@/media/keeper'
import type { Sample, Totals } from '@/media/sampler'

import type { ConnectionState } from './connection'
import type { Health, HealthWord, SlotStatus } from './types'

/** From here on one hears and sees it. */
const POOR = { loss: 0.05, rtt_ms: 600 }
/** So many connections failed in a row: something between here and the server blocks media. */
const BLOCKED_AFTER = 3
/** Figures are of the last seconds. */
const WINDOW_MS = 4_000

export interface HealthInput {
  offline: boolean
  connection: ConnectionState
  media: MediaState
  failures: number
  slots: readonly SlotStatus[]
}

export function freshHealth(): Health {
  return {
    word: 'media_connecting', signaling: 'connecting', media: 'idle', retry_in_ms: null, addresses: [], rtt_ms: null,
    lossDown: 0, lossUp: 0, bps_down: 0, bps_up: 0, sendLimit: 'none',
  }
}

export function healthWord(input: HealthInput, figures: Pick<Health, 'rtt_ms' | 'lossDown' | 'lossUp'>): HealthWord {
  if (input.offline && input.connection !== 'live') return 'offline'
  if (input.connection === 'reconnecting' || input.connection === 'connecting') return 'server_lost'
  if (input.failures >= BLOCKED_AFTER) return 'media_blocked'
  if (input.media === 'connecting' || input.media === 'interrupted') return 'media_connecting'
  if (input.slots.includes('stalled')) return 'stalled'
  const poor = Math.max(figures.lossDown, figures.lossUp) > POOR.loss || (figures.rtt_ms ?? 0) > POOR.rtt_ms
  return poor ? 'poor' : 'ok'
}

export function signalingWord(connection: ConnectionState): Health['signaling'] {
  if (connection === 'live' || connection === 'waiting') return 'connected'
  return connection === 'connecting' ? 'connecting' : 'lost'
}

export type Figures = Pick<Health, 'rtt_ms' | 'lossDown' | 'lossUp' | 'bps_down' | 'bps_up' | 'sendLimit'>

/** Turns counters that only grow into rates over the last seconds. */
export class Rates {
  private samples: Pick<Sample, 'at' | 'totals'>[] = []

  reset(): void {
    this.samples = []
  }

  add({ at, totals }: Pick<Sample, 'at' | 'totals'>): Figures {
    this.samples = [...this.samples.filter((one) => at - one.at <= WINDOW_MS), { at, totals }]
    const first = this.samples[0]
    const seconds = first === undefined ? 0 : (at - first.at) / 1000
    const { rtt_ms, lossUp, sendLimit } = totals
    if (first === undefined || seconds === 0) {
      return { rtt_ms, lossUp, sendLimit, lossDown: 0, bps_down: 0, bps_up: 0 }
    }
    const grown = (field: Counter) => growth(first.totals, totals, field)
    const lost = grown('packetsLost')
    const expected = lost + grown('packetsReceived')
    return {
      rtt_ms,
      lossUp,
      sendLimit,
      lossDown: expected === 0 ? 0 : lost / expected,
      bps_down: Math.round((grown('bytesReceived') * 8) / seconds),
      bps_up: Math.round((grown('bytesSent') * 8) / seconds),
    }
  }
}

type Counter = 'bytesReceived' | 'bytesSent' | 'packetsReceived' | 'packetsLost'

function growth(before: Totals, now: Totals, field: Counter): number {
  // A new stream in the statistics may be counted from less: never below nothing.
  return Math.max(0, now[field] - before[field])
}
