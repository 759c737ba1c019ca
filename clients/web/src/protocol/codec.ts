/** Messages to bytes and back. Binary msgpack by default; JSON to read along in developer tools. */

import { decode, encode } from '@msgpack/msgpack'

import type { Reply } from './replies'
import type { Request } from './requests'

export interface Codec {
  /** The WebSocket subprotocol that names this encoding. */
  subprotocol: string
  encode(request: Request): Uint8Array<ArrayBuffer> | string
  /** Null when the data is no message of ours. */
  decode(data: ArrayBuffer | string): Reply | null
}

export const msgpack: Codec = {
  subprotocol: 'kelian.v1.msgpack',
  encode: (request) => encode(request, { ignoreUndefined: true }),
  decode(data) {
    if (typeof data === 'string') return null
    return asReply(attempt(() => decode(new Uint8Array(data))))
  },
}

export const json: Codec = {
  subprotocol: 'kelian.v1.json',
  encode: (request) => JSON.stringify(request),
  decode(data) {
    if (typeof data !== 'string') return null
    return asReply(attempt(() => JSON.parse(data) as unknown))
  },
}

function attempt(read: () => unknown): unknown {
  try {
    return read()
  } catch {
    return null
  }
}

function asReply(value: unknown): Reply | null {
  const isMessage = typeof value === 'object' && value !== null && 't' in value && typeof value.t === 'string'
  return isMessage ? (value as Reply) : null
}
