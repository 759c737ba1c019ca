/**
 * Keeps one media session up for as long as the lesson lasts: opens it, watches every slot, mends,
 * restarts ICE, and makes a new session when nothing else helps. The user does nothing.
 */

import { Backoff } from '@/lesson/backoff'
import { asKelianError, type KelianError } from '@/protocol/errors'

import { sample, type Sample } from './sampler'
import { MediaSession, type SessionHandlers, type SessionPlan, type Signal } from './session'
import { samePool } from './slots'
import { decideMend, look, newWatch, type Sighting, type Step, type Watch } from './watch'

export type MediaState = 'idle' | 'connecting' | 'connected' | 'interrupted'

/** What the server wants in a slot now, and whether that source's media reach it. */
export interface Wanted {
  source: number
  live: boolean
  /** Muted in the log: silence is as it should be. */
  silent: boolean
}

export interface KeeperHandlers {
  state(state: MediaState): void
  /** A new session stands (its answer is applied): publish anew what was published. */
  opened(session: MediaSession): void
  track: SessionHandlers['track']
  wanted(): Record<string, Wanted>
  /** Whether something of one's own is sent that the server says it does not get. */
  uplinkDark(): boolean
  mend(session: string, slot: string): void
  closed(session: string): void
  sampled(sample: Sample, watch: Watch): void
  /** The server refused the offer, and another try would not help. */
  refused(error: KelianError): void
}

export const TIMING = {
  sample_ms: 500,
  /** While somebody is about to appear, so that the page shows it at once. */
  eager_ms: 120,
  eagerFor_ms: 3_000,
  /** From the answer to "connected", and from an ICE restart to "connected" again. */
  connect_ms: 6_000,
  /** Browsers recover from short "disconnected" by themselves. */
  disconnected_ms: 800,
  uplinkRestart_ms: 4_000,
  uplinkRenew_ms: 9_000,
  /** Good for so long: the next trouble is a new one. */
  good_ms: 15_000,
  backoff: { first_ms: 250, most_ms: 8_000 },
  /** A new connection because of darkness, though the path stands: not too often. */
  renewGap: { first_ms: 8_000, most_ms: 120_000 },
}

/** Refusals of an offer that another try may overcome; all others are final. */
const PASSING = new Set([
  'connection_lost', 'request_timeout', 'media_node_unavailable', 'media_overloaded', 'store_unavailable', 'rate_limited',
  'no_such_session', 'offer_changed', 'session_taken', 'source_taken', 'too_many_sessions', 'internal', 'not_present',
])

export class SessionKeeper {
  session: MediaSession | null = null
  state: MediaState = 'idle'
  /** Sessions that did not connect, one after another: a firewall, perhaps. */
  failures = 0
  private plan: SessionPlan | null = null
  private watch: Watch = newWatch()
  private timer: ReturnType<typeof setTimeout> | null = null
  private connectTimer: ReturnType<typeof setTimeout> | null = null
  private retryTimer: ReturnType<typeof setTimeout> | null = null
  private readonly backoff = new Backoff(TIMING.backoff)
  private readonly renewGap = new Backoff(TIMING.renewGap)
  private renewNotBefore = 0
  private connectedAt = 0
  /** Looks at the session go on, one after another, until it is dropped. */
  private looking = false
  private uplinkDarkSince: number | null = null
  private uplinkRestarted = false
  /** Sources for which alone a new connection was made already. */
  private readonly renewedFor = new Set<number>()

  constructor(private readonly signal: Signal, private readonly handlers: KeeperHandlers) {}

  get id(): string | null {
    return this.session?.id ?? null
  }

  /** Open a session for this plan, unless one that serves it stands or is being made. */
  start(plan: SessionPlan): void {
    const before = this.plan
    this.plan = plan
    if (before !== null && !serves(before, plan)) this.renew()
    else if (this.session === null && this.retryTimer === null) void this.open()
  }

  /** The server has lost our session: make a new one at once. */
  lost(session: string): void {
    if (session === this.id) this.renew()
  }

  /** Replace the session by a new one. */
  renew(): void {
    if (this.plan === null) return
    this.drop()
    this.setState('connecting')
    void this.open()
  }

  /** The server wants something else in the slots: look soon. */
  lookSoon(): void {
    if (this.timer === null) return
    this.clear('timer')
    this.scheduleLook(TIMING.eager_ms)
  }

  stop(): void {
    this.plan = null
    this.drop()
    this.setState('idle')
  }

  // --- opening --------------------------------------------------------------------------------

  private async open(): Promise<void> {
    const { plan } = this
    if (plan === null) return
    this.setState(this.connectedAt === 0 ? 'connecting' : 'interrupted')
    const session = new MediaSession(plan, this.signal, {
      track: this.handlers.track,
      state: (state) => { if (session === this.session) this.changed(state) },
    })
    this.session = session
    this.watch = newWatch()
    try {
      await session.open()
    } catch (thrown) {
      if (session === this.session) this.failed(asKelianError(thrown))
      return
    }
    if (session !== this.session) return
    this.handlers.opened(session)
    this.expectConnected(() => { this.notConnected() })
    this.changed(session.state)
  }

  private failed(error: KelianError): void {
    this.drop()
    if (error.retryAfterMs === null && !PASSING.has(error.code)) {
      this.plan = null
      this.setState('idle')
      this.handlers.refused(error)
      return
    }
    this.retryLater(error.retryAfterMs ?? 0)
  }

  private notConnected(): void {
    this.failures += 1
    this.drop()
    this.retryLater(0)
  }

  private retryLater(least_ms: number): void {
    this.setState('interrupted')
    const pause = Math.max(least_ms, this.backoff.next())
    this.retryTimer = setTimeout(() => {
      this.retryTimer = null
      void this.open()
    }, pause)
  }

  private drop(): void {
    this.clear('timer')
    this.clear('connectTimer')
    this.clear('retryTimer')
    this.looking = false
    this.uplinkDarkSince = null
    this.uplinkRestarted = false
    const { session } = this
    this.session = null
    if (session === null) return
    session.close()
    if (session.id !== null) this.handlers.closed(session.id)
  }

  // --- the path -------------------------------------------------------------------------------

  private changed(state: RTCPeerConnectionState): void {
    switch (state) {
      case 'connected': this.connected(); break
      case 'disconnected':
        this.setState('interrupted')
        this.clear('connectTimer')
        this.connectTimer = setTimeout(() => { void this.restart() }, TIMING.disconnected_ms)
        break
      case 'failed':
        if (this.connectedAt === 0) this.notConnected()
        else void this.restart()
        break
    }
  }

  private connected(): void {
    this.clear('connectTimer')
    this.failures = 0
    this.backoff.reset()
    this.connectedAt = performance.now()
    this.setState('connected')
    if (!this.looking) {
      this.looking = true
      this.scheduleLook(TIMING.eager_ms)
    }
  }

  private async restart(): Promise<void> {
    const { session } = this
    if (session === null) return
    this.expectConnected(() => { this.renew() })
    try {
      await session.restartIce()
    } catch {
      // The server may have lost the session, or the line to it is away: a new session asks again.
      if (session === this.session) {
        this.drop()
        this.retryLater(0)
      }
    }
  }

  private expectConnected(otherwise: () => void): void {
    this.clear('connectTimer')
    this.connectTimer = setTimeout(() => {
      // "connected" all along during a restart: the watcher says whether it helped.
      if (this.session?.state !== 'connected') otherwise()
    }, TIMING.connect_ms)
  }

  // --- watching -------------------------------------------------------------------------------

  private scheduleLook(after_ms = TIMING.sample_ms): void {
    this.timer = setTimeout(() => {
      this.timer = null
      void this.lookNow()
    }, after_ms)
  }

  private async lookNow(): Promise<void> {
    const { session } = this
    if (session === null) return
    const seen = await sample(session, performance.now())
    if (session !== this.session) return
    const watched = look(this.watch, this.sightings(seen), seen.at)
    const { steps, watch } = decideMend(watched, seen.at)
    this.watch = watch
    this.handlers.sampled(seen, watch)
    this.scheduleLook(this.somebodyComes(seen.at) ? TIMING.eager_ms : TIMING.sample_ms)
    this.watchUplink(seen.at)
    if (steps.length === 0 && seen.at - this.connectedAt > TIMING.good_ms) this.renewGap.reset()
    for (const step of steps) this.take(step, seen.at)
  }

  private somebodyComes(now: number): boolean {
    return Object.values(this.watch.records).some((record) => {
      return record.wanted !== null && record.playedAt === null && now - record.wantedSince < TIMING.eagerFor_ms
    })
  }

  private sightings(seen: Sample): Sighting[] {
    const wanted = this.handlers.wanted()
    // Some browsers do not decode what a hidden page would show.
    const hidden = document.visibilityState === 'hidden'
    return [...(this.session?.receivers ?? [])].map(([slot, receiver]) => {
      const kind = receiver.track.kind === 'audio' ? 'audio' : 'video'
      const want = wanted[slot]
      const one = seen.slots[slot]
      return {
        slot,
        kind,
        wanted: want === undefined || want.silent ? null : want.source,
        live: want?.live ?? false,
        progress: (kind === 'audio' || hidden ? one?.packetsReceived : one?.framesDecoded) ?? 0,
        csrc: one?.csrc ?? null,
      }
    })
  }

  private take(step: Step, now: number): void {
    const id = this.id
    if (id === null || this.state !== 'connected') return
    switch (step.do) {
      case 'mend': this.handlers.mend(id, step.slot); break
      case 'restart': void this.restart(); break
      case 'renew': this.renewForDarkness(step.source, now); break
    }
  }

  private renewForDarkness(source: number | null, now: number): void {
    if (now < this.renewNotBefore || (source !== null && this.renewedFor.has(source))) return
    if (source !== null) this.renewedFor.add(source)
    this.renewNotBefore = now + this.renewGap.next()
    this.renew()
  }

  private watchUplink(now: number): void {
    if (!this.handlers.uplinkDark() || this.state !== 'connected') {
      this.uplinkDarkSince = null
      this.uplinkRestarted = false
      return
    }
    this.uplinkDarkSince ??= now
    const dark = now - this.uplinkDarkSince
    if (dark >= TIMING.uplinkRenew_ms) this.renewForDarkness(null, now)
    else if (dark >= TIMING.uplinkRestart_ms && !this.uplinkRestarted) {
      this.uplinkRestarted = true
      void this.restart()
    }
  }

  // --- small things ---------------------------------------------------------------------------

  private setState(state: MediaState): void {
    if (state === this.state) return
    this.state = state
    this.handlers.state(state)
  }

  private clear(name: 'timer' | 'connectTimer' | 'retryTimer'): void {
    const timer = this[name]
    if (timer !== null) clearTimeout(timer)
    this[name] = null
  }
}

/** Whether a session offered for the one plan is as good for the other. */
function serves(one: SessionPlan, other: SessionPlan): boolean {
  return one.codec === other.codec && one.sends.join() === other.sends.join() && samePool(one.pool, other.pool)
}
