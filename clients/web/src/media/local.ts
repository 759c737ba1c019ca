/**
 * What this page sends: devices held, the user's switches, and whether each may be sent now. Going
 * on stage puts a track that is already there into its m-line, and says `publish`.
 */

import { markRaw, reactive } from 'vue'

import type { DeviceErrorCode, LocalMedia } from '@/lesson/types'
import type { KelianError } from '@/protocol/errors'
import { asKelianError } from '@/protocol/errors'
import { USES, type Role, type Use } from '@/protocol/events'

import { DeviceError, openBoard, openCamera, openMicrophone } from './devices'
import { FrozenWatch } from './frozen'
import type { Sample } from './sampler'
import type { MediaSession } from './session'

export interface LocalHandlers {
  role(): Role
  /** Whether one's place in the lesson lets this be sent now. */
  mayNow(use: Use): boolean
  publish(session: string, use: Use, on: boolean): Promise<void>
  failed(error: KelianError): void
}

export class LocalSender {
  readonly uses: Record<Use, LocalMedia> = reactive({
    camera: off('camera'),
    microphone: off('microphone'),
    board: off('board'),
  })
  private readonly tracks = new Map<Use, MediaStreamTrack>()
  private session: MediaSession | null = null
  /** What the server was told of this session, and the track that its m-line carries. */
  private readonly announced = new Set<Use>()
  private readonly sent = new Map<Use, MediaStreamTrack>()
  /** Changes of one use go one after another. */
  private readonly queue = new Map<Use, Promise<void>>()
  private readonly frozen = new FrozenWatch()
  private closed = false

  constructor(private readonly handlers: LocalHandlers) {}

  // --- the user's switches --------------------------------------------------------------------

  /** Take the device if need be, and send as soon as one may. */
  async turnOn(use: Use): Promise<boolean> {
    const media = this.uses[use]
    media.wanted = true
    if (this.tracks.get(use)?.readyState !== 'live' && !(await this.acquire(use))) {
      media.wanted = false
      return false
    }
    this.settle(use)
    return true
  }

  /** Stop sending and let the device go. */
  turnOff(use: Use): void {
    this.uses[use].wanted = false
    this.settle(use)
    this.release(use)
  }

  /** A track that somebody else has opened already. It is sent once it is wanted. */
  provide(use: Use, track: MediaStreamTrack): void {
    if (this.tracks.get(use) === track) return
    this.release(use)
    this.hold(use, track)
    this.settle(use)
  }

  /** Another device was chosen: swap it in where one is held. */
  async reopen(): Promise<void> {
    for (const use of ['camera', 'microphone'] as const) {
      if (!this.tracks.has(use)) continue
      const before = this.tracks.get(use)
      if (await this.acquire(use)) before?.stop()
      this.settle(use)
    }
  }

  close(): void {
    this.closed = true
    for (const use of USES) this.release(use)
  }

  // --- what the lesson says -------------------------------------------------------------------

  allow(sends: readonly Use[]): void {
    for (const use of USES) this.uses[use].allowed = sends.includes(use)
  }

  /** Place or mute may have changed. */
  settleAll(mutes: (use: Use) => Pick<LocalMedia, 'muted' | 'silenced'>): void {
    for (const use of USES) {
      Object.assign(this.uses[use], mutes(use))
      this.settle(use)
    }
  }

  /** A new session stands: everything is to be put into it and announced anew. */
  opened(session: MediaSession): void {
    this.session = session
    this.announced.clear()
    this.sent.clear()
    for (const use of USES) this.settle(use)
  }

  disconnected(): void {
    this.session = null
    for (const use of USES) this.uses[use].publishing = false
  }

  /** The log, told anew, says what it holds of this session: the last word was perhaps lost. */
  confirm(published: ReadonlySet<Use>): void {
    for (const use of USES) {
      if (published.has(use)) this.announced.add(use)
      else this.announced.delete(use)
      this.settle(use)
    }
  }

  /** A camera that has stopped giving pictures is opened again; if that does not help, say so. */
  observe(sample: Sample): void {
    const track = this.tracks.get('camera')
    const media = this.uses.camera
    // The browser itself holds a muted track back, for instance while a call comes in.
    if (track === undefined || !media.publishing || media.muted || track.muted) {
      this.frozen.rest(sample.at)
      return
    }
    if (this.frozen.look(track.id, sample.captured[track.id], sample.at)) void this.reopenCamera(track)
    else if (this.frozen.hopeless(sample.at)) media.error = 'in_use'
    else if (media.error === 'in_use') media.error = null
  }

  // --- one use at a time ----------------------------------------------------------------------

  /** Bring the m-line and the announcement in line with what is wanted and allowed. */
  private settle(use: Use): void {
    const before = this.queue.get(use) ?? Promise.resolve()
    const next = before.then(() => this.settleOnce(use)).catch((thrown: unknown) => {
      this.handlers.failed(asKelianError(thrown))
    })
    this.queue.set(use, next)
  }

  private async settleOnce(use: Use): Promise<void> {
    const { session } = this
    const media = this.uses[use]
    const track = this.wantedTrack(use)
    if (track !== null) track.enabled = !media.muted
    if (session?.id == null || this.closed) return
    if (track === null) {
      if (this.announced.has(use)) {
        this.announced.delete(use)
        media.publishing = false
        await this.handlers.publish(session.id, use, false)
      }
      await this.carry(session, use, null)
    } else {
      await this.carry(session, use, track)
      if (!this.announced.has(use)) {
        await this.handlers.publish(session.id, use, true)
        if (session === this.session) this.announced.add(use)
      }
      media.publishing = session === this.session
    }
  }

  private wantedTrack(use: Use): MediaStreamTrack | null {
    const media = this.uses[use]
    const track = this.tracks.get(use)
    const ready = media.allowed && media.wanted && this.handlers.mayNow(use)
    return ready && track?.readyState === 'live' ? track : null
  }

  private async carry(session: MediaSession, use: Use, track: MediaStreamTrack | null): Promise<void> {
    if ((this.sent.get(use) ?? null) === track) return
    await session.setTrack(use, track)
    if (session !== this.session) return
    if (track === null) this.sent.delete(use)
    else this.sent.set(use, track)
  }

  // --- devices --------------------------------------------------------------------------------

  private async acquire(use: Use): Promise<boolean> {
    const media = this.uses[use]
    try {
      const track = await this.open(use)
      if (this.closed) {
        track.stop()
        return false
      }
      media.error = null
      this.hold(use, track)
      return true
    } catch (thrown) {
      media.error = thrown instanceof DeviceError ? thrown.code : 'failed'
      return false
    }
  }

  private async reopenCamera(before: MediaStreamTrack): Promise<void> {
    before.stop()
    if (await this.acquire('camera')) this.settle('camera')
  }

  private open(use: Use): Promise<MediaStreamTrack> {
    if (use === 'camera') return openCamera(this.handlers.role())
    return use === 'microphone' ? openMicrophone() : openBoard()
  }

  private hold(use: Use, track: MediaStreamTrack): void {
    this.tracks.set(use, track)
    this.uses[use].stream = markRaw(new MediaStream([track]))
    track.addEventListener('ended', () => { void this.trackEnded(use, track) })
  }

  /** Unplugged, taken by the system, or sharing stopped by the browser's own button. */
  private async trackEnded(use: Use, track: MediaStreamTrack): Promise<void> {
    if (this.tracks.get(use) !== track || this.closed) return
    const wanted = this.uses[use].wanted
    // Another camera or microphone may be there; a screen is shared only by the user's choice.
    if (use !== 'board' && wanted && (await this.acquire(use))) this.settle(use)
    else {
      const error: DeviceErrorCode | null = this.uses[use].error
      this.turnOff(use)
      this.uses[use].error = error
    }
  }

  private release(use: Use): void {
    const track = this.tracks.get(use)
    this.tracks.delete(use)
    this.uses[use].stream = null
    if (track === undefined) return
    // The m-line gives up the track first (settle), so that no last black frame is sent.
    void (this.queue.get(use) ?? Promise.resolve()).then(() => { track.stop() })
  }
}

function off(use: Use): LocalMedia {
  return { use, allowed: false, wanted: false, publishing: false, muted: false, silenced: false, stream: null, error: null }
}
