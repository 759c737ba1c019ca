import { decode, encode } from '@msgpack/msgpack'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { WebSocket as NodeSocket, WebSocketServer } from 'ws'

import type { KelianError } from '@/protocol/errors'
import type { Events, Welcome } from '@/protocol/replies'
import type { Request } from '@/protocol/requests'

import { Connection, type ConnectionState, type Socket } from './connection'

/** A lesson's server as far as one WebSocket goes: it says what the test tells it to. */
class Server {
  readonly heard: Request[] = []
  /** One for each connection that was ever made, the newest last. */
  readonly sockets: NodeSocket[] = []
  answer: (request: Request, socket: NodeSocket) => void = () => undefined
  private readonly server = new WebSocketServer({ port: 0, host: '127.0.0.1' })

  constructor() {
    this.server.on('connection', (socket) => {
      this.sockets.push(socket)
      socket.on('message', (data: Buffer) => {
        const request = decode(data) as Request
        this.heard.push(request)
        this.answer(request, socket)
      })
    })
  }

  async listening(): Promise<void> {
    await new Promise((ready) => this.server.on('listening', ready))
  }

  get url(): string {
    const address = this.server.address()
    if (address === null || typeof address === 'string') throw new Error('not listening')
    return `ws://127.0.0.1:${address.port}`
  }

  get last(): NodeSocket {
    return this.sockets.at(-1) as NodeSocket
  }

  of<T extends Request['t']>(tag: T): Extract<Request, { t: T }>[] {
    return this.heard.filter((request) => request.t === tag) as Extract<Request, { t: T }>[]
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.terminate()
    await new Promise((done) => this.server.close(done))
  }
}

function say(socket: NodeSocket, message: object): void {
  socket.send(encode(message))
}

function welcome(req: number, position: number, state: object | null): object {
  return {
    t: 'welcome', req, participant: 'p', role: 'student', lesson: { id: 'l', log: 'log-1', title: '', codec: 'h264' },
    position, now_ms: 0, may: [], sends: [], pool: {}, ...(state === null ? {} : { state }),
  }
}

/** Welcomes everybody at a position, resuming who asks for it, and acknowledges the rest. */
function hospitable(position = 5): Server['answer'] {
  return (request, socket) => {
    if (request.t === 'hello') say(socket, welcome(request.req, position, request.resume ? null : {}))
    else say(socket, { t: 'ack', req: request.req, position: 0 })
  }
}

/** A connection that writes down all that it reports. */
class Client {
  readonly states: ConnectionState[] = []
  readonly welcomes: Welcome[] = []
  readonly events: Events[] = []
  readonly retries: (number | null)[] = []
  readonly presence: string[] = []
  refusal: KelianError | null = null
  session: string | null = null
  readonly connection: Connection

  constructor(url: string, timing: object = {}) {
    this.connection = new Connection({
      url,
      token: 'token',
      device: 'pc',
      client: 'test',
      session: () => this.session,
      open: (address, subprotocol) => new NodeSocket(address, subprotocol) as unknown as Socket,
      random: () => 0.5,
      timing: { backoff_first_ms: 10, backoff_most_ms: 40, hello_ms: 1_000, request_ms: 300, ...timing },
      handlers: {
        state: (state) => this.states.push(state),
        welcome: (message) => this.welcomes.push(message),
        waiting: () => undefined,
        events: (message) => this.events.push(message),
        presence: (message) => this.presence.push(message.t),
        refused: (error) => { this.refusal = error },
        error: () => undefined,
        retrying: (in_ms) => this.retries.push(in_ms),
      },
    })
    this.connection.start()
  }

  async reaches(state: ConnectionState): Promise<void> {
    await vi.waitFor(() => { expect(this.connection.state).toBe(state) }, { timeout: 2_000, interval: 5 })
  }
}

describe('Connection', () => {
  let server: Server
  const clients: Client[] = []

  function join(timing: object = {}): Client {
    const client = new Client(server.url, timing)
    clients.push(client)
    return client
  }

  beforeEach(async () => {
    server = new Server()
    await server.listening()
  })
  afterEach(async () => {
    for (const client of clients.splice(0)) client.connection.close()
    await server.close()
  })

  it('says hello and is live when it is welcomed', async () => {
    server.answer = hospitable()
    const client = join()
    await client.reaches('live')
    expect(server.last.protocol).toBe('kelian.v1.msgpack')
    expect(server.of('hello')[0]).toMatchObject({ token: 'token', version: 1, device: 'pc' })
    expect(server.of('hello')[0]).not.toHaveProperty('resume')
  })

  it('waits in the waiting room until the welcome', async () => {
    server.answer = (request, socket) => { say(socket, { t: 'waiting', req: request.req, lesson: 'l', participant: 'p' }) }
    const client = join()
    await client.reaches('waiting')
    say(server.last, welcome(1, 3, {}))
    await client.reaches('live')
    expect(client.states).toEqual(['waiting', 'live'])
  })

  it('matches each answer to its request, in whatever order they come', async () => {
    server.answer = (request, socket) => {
      if (request.t === 'hello') { hospitable()(request, socket); return }
      if (server.heard.length < 3) return
      for (const { req } of server.heard.slice(1).reverse()) say(socket, { t: 'ack', req, position: req * 10 })
    }
    const client = join()
    await client.reaches('live')
    const both = await Promise.all([client.connection.request({ t: 'mark', label: 'a' }), client.connection.request({ t: 'mark', label: 'b' })])
    const sent = server.of('mark')
    expect(sent.map(({ label }) => label)).toEqual(['a', 'b'])
    expect(both).toEqual(sent.map(({ req }) => ({ t: 'ack', req, position: req * 10 })))
  })

  it("rejects with the server's own words", async () => {
    server.answer = (request, socket) => {
      if (request.t === 'hello') hospitable()(request, socket)
      else say(socket, { t: 'error', req: request.req, code: 'forbidden', zh: '不行', en: 'no' })
    }
    const client = join()
    await client.reaches('live')
    const refused = client.connection.request({ t: 'end_lesson' })
    await expect(refused).rejects.toMatchObject({ name: 'KelianError', code: 'forbidden', zh: '不行', en: 'no' })
  })

  it('gives up on an answer that does not come', async () => {
    server.answer = (request, socket) => { if (request.t === 'hello') hospitable()(request, socket) }
    const client = join({ request_ms: 50 })
    await client.reaches('live')
    await expect(client.connection.request({ t: 'mark', label: '' })).rejects.toMatchObject({ code: 'request_timeout' })
  })

  it('comes back by itself and resumes after the last position that it knows', async () => {
    server.answer = hospitable(5)
    const client = join()
    await client.reaches('live')
    client.session = 'media-1'
    say(server.last, { t: 'events', events: [], upto: 9 })
    await vi.waitFor(() => { expect(client.events).toHaveLength(1) })
    server.last.terminate()
    await client.reaches('reconnecting')
    await client.reaches('live')
    expect(server.of('hello')[1]).toMatchObject({ resume: { log: 'log-1', after: 9 }, session: 'media-1' })
    expect(client.welcomes[1]).not.toHaveProperty('state')
    expect(client.states).toEqual(['live', 'reconnecting', 'live'])
  })

  it('starts from the told state when the resume fails', async () => {
    server.answer = (request, socket) => { if (request.t === 'hello') say(socket, welcome(request.req, server.sockets.length * 100, {})) }
    const client = join()
    await client.reaches('live')
    for (const after of [100, 200]) {
      const before = server.sockets.length
      server.last.terminate()
      await vi.waitFor(() => { expect(client.welcomes).toHaveLength(before + 1) })
      expect(server.of('hello').at(-1)).toMatchObject({ resume: { after } })
    }
  })

  it('fails what was under way when the line breaks, and holds what is asked meanwhile', async () => {
    server.answer = (request, socket) => { if (request.t === 'hello') hospitable()(request, socket) }
    const client = join()
    await client.reaches('live')
    const lost = client.connection.request({ t: 'mark', label: 'lost' })
    await vi.waitFor(() => { expect(server.of('mark')).toHaveLength(1) })
    server.answer = hospitable()
    server.last.terminate()
    await expect(lost).rejects.toMatchObject({ code: 'connection_lost' })
    await expect(client.connection.request({ t: 'mark', label: 'held' })).resolves.toMatchObject({ t: 'ack' })
    expect(server.of('mark').map(({ label }) => label)).toEqual(['lost', 'held'])
  })

  it('asks a silent line, and leaves a dead one', async () => {
    server.answer = hospitable()
    const client = join({ ping_ms: 40, pong_ms: 40 })
    await client.reaches('live')
    await vi.waitFor(() => { expect(server.of('ping').length).toBeGreaterThan(1) })
    expect(server.sockets).toHaveLength(1)
    server.answer = (request, socket) => { if (request.t === 'hello') hospitable()(request, socket) }
    await vi.waitFor(() => { expect(server.sockets.length).toBeGreaterThan(1) })
    expect(client.states).toContain('reconnecting')
  })

  it('leaves a server that never answers hello', async () => {
    join({ hello_ms: 30 })
    await vi.waitFor(() => { expect(server.sockets.length).toBeGreaterThan(2) })
  })

  it('pauses longer after each failure, up to a bound', async () => {
    server.answer = (_, socket) => { socket.terminate() }
    const client = join({ backoff_most_ms: 20 })
    await vi.waitFor(() => { expect(client.retries.filter((pause) => pause !== null).length).toBeGreaterThan(4) })
    expect(client.retries.filter((pause) => pause !== null).slice(0, 5)).toEqual([7.5, 11.25, 15, 15, 15])
    expect(client.connection.state).toBe('connecting')
  })

  it('takes a refusal as final', async () => {
    server.answer = (request, socket) => {
      say(socket, { t: 'error', req: request.req, code: 'token_expired', zh: '过期', en: 'expired' })
      say(socket, { t: 'goodbye', code: 'token_expired', zh: '过期', en: 'expired', reconnect: false })
      socket.close()
    }
    const client = join()
    await client.reaches('refused')
    expect(client.refusal).toMatchObject({ code: 'token_expired' })
    await expect(client.connection.request({ t: 'mark', label: '' })).rejects.toMatchObject({ code: 'closed' })
    expect(server.sockets).toHaveLength(1)
  })

  it('tries a refusal that names a time again, not before it', async () => {
    server.answer = (request, socket) => {
      if (server.sockets.length > 1) hospitable()(request, socket)
      else say(socket, { t: 'error', req: request.req, code: 'lesson_full', zh: '', en: '', retry_after_ms: 60 })
    }
    const client = join()
    await client.reaches('live')
    expect(client.retries.filter((pause) => pause !== null)).toEqual([60])
  })

  it.each([
    [{ code: 'server_restarting', reconnect: true }, 'live', 2],
    [{ code: 'lesson_ended', reconnect: false }, 'ended', 1],
    [{ code: 'replaced', reconnect: false }, 'refused', 1],
  ] as const)('does as a goodbye says: %o', async (goodbye, state, connections) => {
    server.answer = hospitable()
    const client = join()
    await client.reaches('live')
    say(server.last, { t: 'goodbye', zh: '', en: '', ...goodbye })
    await vi.waitFor(() => {
      expect(client.states.length).toBeGreaterThan(1)
      expect(client.connection.state).toBe(state)
    })
    expect(server.sockets).toHaveLength(connections)
  })

  it('is not put off by messages that it cannot read', async () => {
    server.answer = hospitable()
    const client = join()
    await client.reaches('live')
    server.last.send('text')
    server.last.send(Buffer.from([0xc1, 0xff]))
    say(server.last, { t: 'counts', present: {}, hands: 0 })
    await vi.waitFor(() => { expect(client.presence).toEqual(['counts']) })
    expect(client.connection.state).toBe('live')
  })
})
