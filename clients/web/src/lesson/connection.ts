/**
 * The WebSocket of one lesson, kept up: hello, requests with their answers, resume from the last
 * position, silence noticed within seconds, and a new try after every loss until the server says
 * that there is no point.
 */

import { msgpack, type Codec } from '@/protocol/codec'
import { KelianError, ownError } from '@/protocol/errors'
import type { Ack, Answer, ErrorReply, Events, Goodbye, Presence, Reply, Waiting, Welcome } from '@/protocol/replies'
import { PROTOCOL_VERSION, type Device, type Hello, type Request, type RequestBody, type Resume } from '@/protocol/requests'
import { watchWake } from '@/platform/wake'

import { Backoff } from './backoff'

export type ConnectionState = 'connecting' | 'waiting' | 'live' | 'reconnecting' | 'ended' | 'refused'

export interface ConnectionHandlers {
  state(state: ConnectionState): void
  /** Before it, `resumed` tells whether missed events follow (true) or a whole state came. */
  welcome(welcome: Welcome): void
  waiting(waiting: Waiting): void
  events(events: Events): void
  presence(presence: Presence): void
  /** State `refused`: the server does not let this page in, now or later. */
  refused(error: KelianError): void
  /** An error that belongs to no request. */
  error(error: KelianError): void
  /** In state `reconnecting`: the next try comes in so many ms; null: it is being made. */
  retrying(in_ms: number | null): void
}

export interface Timing {
  /** From opening the socket to the answer to hello. */
  hello_ms: number
  request_ms: number
  /** After so much silence the page asks whether the line lives … */
  ping_ms: number
  /** … and after so much more it takes it for dead. */
  pong_ms: number
  backoff_first_ms: number
  backoff_most_ms: number
}

export const TIMING: Timing = {
  hello_ms: 8_000,
  request_ms: 10_000,
  ping_ms: 5_000,
  pong_ms: 4_000,
  backoff_first_ms: 300,
  backoff_most_ms: 5_000,
}

/** The part of a WebSocket that is used; the browser's has it, and so has the `ws` package's. */
export interface Socket {
  binaryType: string
  readonly readyState: number
  send(data: Uint8Array<ArrayBuffer> | string): void
  close(code?: number, reason?: string): void
  onopen: ((event: never) => void) | null
  onmessage: ((event: never) => void) | null
  onclose: ((event: never) => void) | null
  onerror: ((event: never) => void) | null
}

export interface ConnectionOptions {
  url: string
  token: string
  device: Device
  client: string
  handlers: ConnectionHandlers
  /** The media session that this page holds, if any. */
  session?: () => string | null
  codec?: Codec
  timing?: Partial<Timing>
  open?: (url: string, subprotocol: string) => Socket
  random?: () => number
}

/** Goodbyes with these codes mean that the lesson is over, not that this page is unwelcome. */
const ENDINGS = new Set(['lesson_ended', 'ended', 'left'])

interface Pending {
  resolve(reply: Ack | Answer): void
  reject(error: KelianError): void
  timer: ReturnType<typeof setTimeout>
}

interface Waiter {
  resolve(): void
  reject(error: KelianError): void
  timer: ReturnType<typeof setTimeout>
}

export class Connection {
  state: ConnectionState = 'connecting'
  private readonly timing: Timing
  private readonly codec: Codec
  private readonly backoff: Backoff
  private socket: Socket | null = null
  private helloReq = 0
  private nextReq = 1
  private readonly pending = new Map<number, Pending>()
  private readonly waiters = new Set<Waiter>()
  private resume: Resume | null = null
  private everIn = false
  private retryTimer: ReturnType<typeof setTimeout> | null = null
  private helloTimer: ReturnType<typeof setTimeout> | null = null
  private silenceTimer: ReturnType<typeof setTimeout> | null = null
  private stopWake: (() => void) | null = null
  private retryAfter_ms: number | null = null

  constructor(private readonly options: ConnectionOptions) {
    this.timing = { ...TIMING, ...options.timing }
    this.codec = options.codec ?? msgpack
    const { backoff_first_ms: first_ms, backoff_most_ms: most_ms } = this.timing
    // A restarted server is back within a second or two: the first tries lie close together.
    this.backoff = new Backoff({ first_ms, most_ms, growth: 1.5 }, options.random)
  }

  start(): void {
    this.stopWake = watchWake({
      wake: () => { this.wake() },
      offline: () => { this.ask(this.timing.pong_ms / 2) },
    })
    this.connect()
  }

  /** Look at once: ask a line that seems to stand, or try again without waiting. */
  wake(): void {
    if (this.final) return
    if (this.retryTimer !== null) this.connect()
    else this.ask(this.timing.pong_ms / 2)
  }

  /** Send a request; while the connection is away, wait for it as long as the request's time. */
  async request(body: Exclude<RequestBody, Hello>, timeout_ms = this.timing.request_ms): Promise<Ack | Answer> {
    if (this.final) throw ownError('closed')
    if (this.state !== 'live') await this.whenLive(timeout_ms)
    return await new Promise<Ack | Answer>((resolve, reject) => {
      const req = this.nextReq++
      const timer = setTimeout(() => {
        this.pending.delete(req)
        reject(ownError('request_timeout'))
      }, timeout_ms)
      this.pending.set(req, { resolve, reject, timer })
      this.send({ ...body, req })
    })
  }

  /** Close for good, without a word to the server; a `leave` request goes first if one means it. */
  close(): void {
    if (!this.final) this.finish('ended')
  }

  private get final(): boolean {
    return this.state === 'ended' || this.state === 'refused'
  }

  // --- one try ------------------------------------------------------------------------------

  private connect(): void {
    this.clearTimer('retryTimer')
    this.options.handlers.retrying(null)
    const socket = this.openSocket()
    socket.binaryType = 'arraybuffer'
    socket.onopen = () => { this.sayHello() }
    socket.onmessage = (event: { data: ArrayBuffer | string }) => {
      if (socket === this.socket) this.receive(event.data)
    }
    socket.onclose = () => {
      if (socket === this.socket) this.lost()
    }
    socket.onerror = () => undefined // close follows and says all there is
    this.socket = socket
    this.helloTimer = setTimeout(() => { this.lost() }, this.timing.hello_ms)
  }

  private openSocket(): Socket {
    const open = this.options.open ?? ((url: string, subprotocol: string) => new WebSocket(url, subprotocol) as unknown as Socket)
    return open(this.options.url, this.codec.subprotocol)
  }

  private sayHello(): void {
    this.helloReq = this.nextReq++
    const session = this.options.session?.() ?? null
    this.send({
      t: 'hello',
      req: this.helloReq,
      token: this.options.token,
      version: PROTOCOL_VERSION,
      device: this.options.device,
      client: this.options.client.slice(0, 64),
      ...(this.resume === null ? {} : { resume: this.resume }),
      ...(session === null ? {} : { session }),
    })
  }

  private send(request: Request): void {
    // What cannot be sent is answered by `lost`, which fails every pending request.
    if (this.socket?.readyState === 1) this.socket.send(this.codec.encode(request))
  }

  private lost(): void {
    this.dropSocket()
    this.failPending(ownError('connection_lost'))
    if (this.final) return
    this.setState(this.everIn ? 'reconnecting' : 'connecting')
    const pause = Math.max(this.retryAfter_ms ?? 0, this.backoff.next())
    this.retryAfter_ms = null
    this.options.handlers.retrying(pause)
    this.retryTimer = setTimeout(() => { this.connect() }, pause)
  }

  private dropSocket(): void {
    this.clearTimer('helloTimer')
    this.clearTimer('silenceTimer')
    const socket = this.socket
    this.socket = null
    if (socket === null) return
    socket.onopen = socket.onmessage = socket.onclose = null
    socket.close()
  }

  private finish(state: 'ended' | 'refused'): void {
    this.clearTimer('retryTimer')
    this.stopWake?.()
    this.dropSocket()
    this.setState(state)
    this.failPending(ownError('closed'))
    for (const waiter of this.waiters) {
      clearTimeout(waiter.timer)
      waiter.reject(ownError('closed'))
    }
    this.waiters.clear()
  }

  // --- what comes in --------------------------------------------------------------------------

  private receive(data: ArrayBuffer | string): void {
    this.listen()
    const reply = this.codec.decode(data)
    if (reply === null) this.options.handlers.error(ownError('bad_reply'))
    else this.handle(reply)
  }

  private handle(reply: Reply): void {
    const { handlers } = this.options
    switch (reply.t) {
      case 'welcome': this.welcomed(reply); break
      case 'waiting': this.waitingRoom(reply); break
      case 'ack':
      case 'answer': this.settle(reply.req)?.resolve(reply); break
      case 'error': this.failed(reply); break
      case 'goodbye': this.dismissed(reply); break
      case 'events':
        if (this.resume !== null && reply.upto > this.resume.after) this.resume = { ...this.resume, after: reply.upto }
        handlers.events(reply)
        break
      default: handlers.presence(reply)
    }
  }

  private welcomed(welcome: Welcome): void {
    this.clearTimer('helloTimer')
    this.backoff.reset()
    this.everIn = true
    const resumed = welcome.state === undefined || welcome.state === null
    // After a resume the missed events are still to come, and only they move the position.
    if (!resumed || this.resume === null) this.resume = { log: welcome.lesson.log, after: welcome.position }
    this.options.handlers.welcome(welcome)
    this.setState('live')
    for (const waiter of this.waiters) {
      clearTimeout(waiter.timer)
      waiter.resolve()
    }
    this.waiters.clear()
  }

  private waitingRoom(waiting: Waiting): void {
    this.clearTimer('helloTimer')
    this.backoff.reset()
    this.everIn = true
    this.options.handlers.waiting(waiting)
    this.setState('waiting')
  }

  private failed(reply: ErrorReply): void {
    const error = KelianError.from(reply)
    const req = reply.req ?? null
    if (req !== null && req === this.helloReq) {
      if (error.retryAfterMs === null) this.refuse(error)
      else this.tryLater(error.retryAfterMs)
      return
    }
    const pending = req === null ? null : this.settle(req)
    if (pending) pending.reject(error)
    else if (req === null) this.options.handlers.error(error)
  }

  private dismissed(goodbye: Goodbye): void {
    if (goodbye.reconnect) this.lost()
    else if (ENDINGS.has(goodbye.code)) this.finish('ended')
    else this.refuse(KelianError.from(goodbye))
  }

  private refuse(error: KelianError): void {
    this.options.handlers.refused(error)
    this.finish('refused')
  }

  private tryLater(after_ms: number): void {
    this.retryAfter_ms = after_ms
    this.lost()
  }

  // --- silence --------------------------------------------------------------------------------

  /** Something was heard: be content for a while, then ask. */
  private listen(): void {
    this.clearTimer('silenceTimer')
    this.silenceTimer = setTimeout(() => { this.ask(this.timing.pong_ms) }, this.timing.ping_ms)
  }

  /** Browsers hide WebSocket pings, so ask by a request; any message at all is the answer. */
  private ask(patience_ms: number): void {
    if (this.state !== 'live' && this.state !== 'waiting') return
    this.clearTimer('silenceTimer')
    this.send({ t: 'ping', req: this.nextReq++ })
    this.silenceTimer = setTimeout(() => { this.lost() }, patience_ms)
  }

  // --- small things ---------------------------------------------------------------------------

  private setState(state: ConnectionState): void {
    if (state === this.state) return
    this.state = state
    this.options.handlers.state(state)
  }

  private settle(req: number): Pending | null {
    const pending = this.pending.get(req)
    if (pending === undefined) return null
    this.pending.delete(req)
    clearTimeout(pending.timer)
    return pending
  }

  private failPending(error: KelianError): void {
    for (const req of [...this.pending.keys()]) this.settle(req)?.reject(error)
  }

  private whenLive(timeout_ms: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiters.delete(waiter)
        reject(ownError('connection_lost'))
      }, timeout_ms)
      const waiter: Waiter = { resolve, reject, timer }
      this.waiters.add(waiter)
    })
  }

  private clearTimer(name: 'retryTimer' | 'helloTimer' | 'silenceTimer'): void {
    const timer = this[name]
    if (timer !== null) clearTimeout(timer)
    this[name] = null
  }
}
