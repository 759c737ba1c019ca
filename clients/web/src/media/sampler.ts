/** Statistics of a media session, read into what the watcher and the health line need. */

import type { Use } from '@/protocol/events'

import type { MediaSession } from './session'

export interface SlotSample {
  framesDecoded: number
  packetsReceived: number
  width: number
  height: number
  /** Newest CSRC; null: none seen yet. */
  csrc: number | null
}

export interface Totals {
  bytesReceived: number
  packetsReceived: number
  packetsLost: number
  bytesSent: number
  /** As the server reports them about what this page sends: 0..1. */
  lossUp: number
  rtt_ms: number | null
  sendLimit: 'none' | 'bandwidth' | 'cpu'
}

export interface Sample {
  at: number
  slots: Record<string, SlotSample>
  /** Frames that own video tracks have given so far, by track id. */
  captured: Record<string, number>
  /** Packets sent so far. */
  sent: Record<Use, number>
  totals: Totals
}

/** Rows of a stats report have many shapes; these are the fields that are read here. */
interface Row {
  type: string
  kind?: string
  mid?: string
  trackIdentifier?: string
  frames?: number
  framesDecoded?: number
  packetsSent?: number
  packetsReceived?: number
  packetsLost?: number
  bytesReceived?: number
  bytesSent?: number
  frameWidth?: number
  frameHeight?: number
  fractionLost?: number
  qualityLimitationReason?: string
  state?: string
  nominated?: boolean
  currentRoundTripTime?: number
}

export async function sample(session: MediaSession, now: number): Promise<Sample> {
  const rows: Row[] = []
  ;(await session.stats()).forEach((row: Row) => rows.push(row))
  return { at: now, slots: slotSamples(session, rows), captured: capturedFrames(rows), sent: sentPackets(session, rows), totals: totalsOf(rows) }
}

function slotSamples(session: MediaSession, rows: readonly Row[]): Record<string, SlotSample> {
  const inbound = rows.filter((row) => row.type === 'inbound-rtp')
  const slots: Record<string, SlotSample> = {}
  for (const [slot, receiver] of session.receivers) {
    const mid = session.midOf(slot, 'receive')
    const row = inbound.find((one) => (one.mid === undefined ? one.trackIdentifier === receiver.track.id : one.mid === mid))
    slots[slot] = {
      framesDecoded: row?.framesDecoded ?? 0,
      packetsReceived: row?.packetsReceived ?? 0,
      width: row?.frameWidth ?? 0,
      height: row?.frameHeight ?? 0,
      csrc: newestCsrc(receiver),
    }
  }
  return slots
}

function capturedFrames(rows: readonly Row[]): Record<string, number> {
  const captured: Record<string, number> = {}
  for (const { type, trackIdentifier, frames } of rows) {
    if (type === 'media-source' && trackIdentifier !== undefined && frames !== undefined) captured[trackIdentifier] = frames
  }
  return captured
}

function sentPackets(session: MediaSession, rows: readonly Row[]): Record<Use, number> {
  const outbound = rows.filter((row) => row.type === 'outbound-rtp')
  const of = (use: Use) => {
    const mid = session.midOf(use, 'send')
    return mid === null ? 0 : sum(outbound.filter((row) => row.mid === mid), (row) => row.packetsSent)
  }
  return { camera: of('camera'), microphone: of('microphone'), board: of('board') }
}

/** Entries live for 10 s, so after a switch the former source is still listed: the newest counts. */
export function newestCsrc(receiver: RTCRtpReceiver): number | null {
  if (typeof receiver.getContributingSources !== 'function') return null
  const sources = receiver.getContributingSources()
  if (sources.length === 0) return null
  return sources.reduce((newest, one) => (one.timestamp > newest.timestamp ? one : newest)).source
}

function totalsOf(rows: readonly Row[]): Totals {
  const inbound = rows.filter((row) => row.type === 'inbound-rtp')
  const pair = rows.find((row) => row.type === 'candidate-pair' && row.state === 'succeeded' && row.nominated === true)
  const fractions = rows.filter((row) => row.type === 'remote-inbound-rtp').map((row) => row.fractionLost ?? 0)
  const limits = rows.filter((row) => row.type === 'outbound-rtp').map((row) => row.qualityLimitationReason)
  return {
    bytesReceived: sum(inbound, (row) => row.bytesReceived),
    packetsReceived: sum(inbound, (row) => row.packetsReceived),
    packetsLost: sum(inbound, (row) => row.packetsLost),
    bytesSent: sum(rows.filter((row) => row.type === 'outbound-rtp'), (row) => row.bytesSent),
    lossUp: Math.max(0, ...fractions),
    rtt_ms: pair?.currentRoundTripTime === undefined ? null : pair.currentRoundTripTime * 1000,
    sendLimit: limits.includes('bandwidth') ? 'bandwidth' : limits.includes('cpu') ? 'cpu' : 'none',
  }
}

function sum(rows: readonly Row[], field: (row: Row) => number | undefined): number {
  return rows.reduce((total, row) => total + (field(row) ?? 0), 0)
}
