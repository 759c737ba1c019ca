/**
 * One media session: one RTCPeerConnection that offers once. Everything this page may send has its
 * m-line from the start, without a track; everything it may receive has a slot. Who is seen where
 * changes without SDP ever after; only an ICE restart offers again, under the same session.
 */

import type { Codec, Role, Use } from '@/protocol/events'
import type { Answer, Pool } from '@/protocol/replies'

import { mediaAddresses } from './candidates'
import { trim } from './codecs'
import { contentHint, encodingFor, type Quality } from './quality'
import { poolSlots, type MediaKind } from './slots'

export interface SessionPlan {
  sends: readonly Use[]
  pool: Pool
  codec: Codec
  role: Role
  quality: Quality
}

/** Sends an offer to the server and brings its answer. */
export type Signal = (sdp: string, labels: Record<string, string>, session: string | null) => Promise<Answer>

export interface SessionHandlers {
  /** The track of a slot; for the whole life of this session. */
  track(slot: string, kind: MediaKind, receiver: RTCRtpReceiver): void
  state(state: RTCPeerConnectionState): void
}

interface Line {
  label: string
  side: 'send' | 'receive'
  transceiver: RTCRtpTransceiver
}

export class MediaSession {
  /** The server's name for it; null until the first answer. */
  id: string | null = null
  /** Where the server takes media: `address:port`, of the last answer. */
  addresses: readonly string[] = []
  readonly receivers = new Map<string, RTCRtpReceiver>()
  private readonly senders = new Map<Use, RTCRtpSender>()
  private readonly lines: Line[] = []
  private readonly pc: RTCPeerConnection
  /** Offers go one after another: an ICE restart waits for the answer before it. */
  private exchange: Promise<void> = Promise.resolve()
  private closed = false

  constructor(private readonly plan: SessionPlan, private readonly signal: Signal, private readonly handlers: SessionHandlers) {
    this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require' })
    this.pc.onconnectionstatechange = () => { handlers.state(this.pc.connectionState) }
    this.addSenders()
    this.addReceivers()
  }

  get state(): RTCPeerConnectionState {
    return this.pc.connectionState
  }

  /** Offer, and apply the answer. Throws the server's refusal. */
  async open(): Promise<void> {
    await this.negotiate(false)
    for (const [slot, receiver] of this.receivers) {
      this.handlers.track(slot, receiver.track.kind as MediaKind, receiver)
    }
  }

  /** New ICE credentials and candidates on the same session: the network under it has changed. */
  async restartIce(): Promise<void> {
    await this.negotiate(true)
  }

  /** Swap what a sending m-line carries; null sends nothing. No SDP is exchanged. */
  async setTrack(use: Use, track: MediaStreamTrack | null): Promise<void> {
    const sender = this.senders.get(use)
    if (sender === undefined || this.closed) return
    if (track !== null) track.contentHint = contentHint(use)
    await sender.replaceTrack(track)
  }

  async stats(): Promise<RTCStatsReport> {
    return await this.pc.getStats()
  }

  /** For the watcher: an m-line's id, by which its statistics are found. A lecturer sends `board` and has the slot. */
  midOf(label: string, side: 'send' | 'receive'): string | null {
    return this.lines.find((line) => line.label === label && line.side === side)?.transceiver.mid ?? null
  }

  /** The SDP of both sides, for the technician. */
  get descriptions(): { local: string; remote: string } {
    return { local: this.pc.localDescription?.sdp ?? '', remote: this.pc.remoteDescription?.sdp ?? '' }
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.pc.onconnectionstatechange = null
    this.pc.close()
  }

  // --- m-lines --------------------------------------------------------------------------------

  private addSenders(): void {
    const { sends, role, quality } = this.plan
    const person = new MediaStream()
    const board = new MediaStream()
    for (const use of sends) {
      const transceiver = this.add(use, use === 'microphone' ? 'audio' : 'video', {
        direction: 'sendonly',
        streams: [use === 'board' ? board : person],
        sendEncodings: [encodingFor(use, role, quality)],
      })
      this.senders.set(use, transceiver.sender)
    }
  }

  private addReceivers(): void {
    for (const { name, kind } of poolSlots(this.plan.pool)) {
      const transceiver = this.add(name, kind, { direction: 'recvonly' })
      this.receivers.set(name, transceiver.receiver)
    }
  }

  private add(label: string, kind: MediaKind, init: RTCRtpTransceiverInit): RTCRtpTransceiver {
    const transceiver = this.pc.addTransceiver(kind, init)
    trim(transceiver, kind, this.plan.codec)
    this.lines.push({ label, side: init.direction === 'sendonly' ? 'send' : 'receive', transceiver })
    return transceiver
  }

  // --- offer and answer -----------------------------------------------------------------------

  private negotiate(iceRestart: boolean): Promise<void> {
    const next = this.exchange.then(() => this.exchangeOnce(iceRestart))
    this.exchange = next.catch(() => undefined)
    return next
  }

  private async exchangeOnce(iceRestart: boolean): Promise<void> {
    if (this.closed) return
    const offer = await this.pc.createOffer({ iceRestart })
    await this.pc.setLocalDescription(offer)
    try {
      // The server is ICE-lite and learns this side's addresses from its checks: no candidate of
      // ours is needed, so the offer leaves before any is gathered.
      const answer = await this.signal(offer.sdp ?? '', labelsByMid(this.lines), this.id)
      if (this.closed) return
      await this.pc.setRemoteDescription({ type: 'answer', sdp: answer.sdp })
      this.id = answer.session
      this.addresses = mediaAddresses(answer.sdp)
    } catch (error) {
      if (iceRestart && this.pc.signalingState === 'have-local-offer') {
        await this.pc.setLocalDescription({ type: 'rollback' }).catch(() => undefined)
      }
      throw error
    }
  }
}

/** mid -> label, as the `offer` request wants it. Mids exist once the local offer is set. */
export function labelsByMid(lines: readonly { label: string; transceiver: { mid: string | null } }[]): Record<string, string> {
  const labels: Record<string, string> = {}
  for (const { label, transceiver } of lines) {
    if (transceiver.mid !== null) labels[transceiver.mid] = label
  }
  return labels
}
