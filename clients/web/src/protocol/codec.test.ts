import { decode, encode } from '@msgpack/msgpack'
import { describe, expect, it } from 'vitest'

import { json, msgpack } from './codec'

describe('msgpack', () => {
  it('writes a request as the server reads it, without what is undefined', () => {
    const bytes = msgpack.encode({ t: 'publish', req: 3, session: 's', use: 'camera', on: true })
    expect(decode(bytes as Uint8Array)).toEqual({ t: 'publish', req: 3, session: 's', use: 'camera', on: true })
  })

  it('reads maps whose keys are numbers, and times beyond 32 bits', () => {
    const sources = new Map([[4_000_000_000, { participant: 'a', use: 'camera', live: true }]])
    const message = { t: 'slots', slots: { board: 4_000_000_000 }, sources: Object.fromEntries(sources), at: 1_790_000_000_000 }
    const reply = msgpack.decode(new Uint8Array(encode(message)).buffer)
    expect(reply).toEqual(message)
  })

  it.each([
    ['text', 'hello'],
    ['a list', new Uint8Array(encode([1])).buffer],
    ['no message', new Uint8Array(encode({ type: 'x' })).buffer],
    ['half a message', new Uint8Array(encode({ t: 'ack', req: 70_000 })).slice(0, 6).buffer],
    ['nothing', new ArrayBuffer(0)],
  ])('takes %s for no message', (_, data) => {
    expect(msgpack.decode(data)).toBeNull()
  })
})

describe('json', () => {
  it('reads and writes the same messages as text', () => {
    expect(JSON.parse(json.encode({ t: 'mark', req: 1, label: '例题' }) as string)).toEqual({ t: 'mark', req: 1, label: '例题' })
    expect(json.decode('{"t":"ack","req":1}')).toEqual({ t: 'ack', req: 1 })
    expect(json.decode('{"t":')).toBeNull()
  })
})
