import { describe, expect, it } from 'vitest'

import { mediaAddresses, portsOf } from './candidates'

const ANSWER = [
  'v=0',
  'a=ice-lite',
  'a=candidate:1 1 udp 2130706431 192.0.2.7 8082 typ host',
  'a=candidate:2 1 UDP 2130706175 2001:db8::7 8082 typ host',
  'a=candidate:3 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active',
  '',
].join('\r\n')

const LOOPBACK = 'a=candidate:4 1 udp 2130706431 127.0.0.1 8082 typ host\r\n'

describe('the addresses of an answer', () => {
  it('are those that take UDP', () => {
    expect(mediaAddresses(ANSWER)).toEqual(['192.0.2.7:8082', '[2001:db8::7]:8082'])
    expect(mediaAddresses(LOOPBACK + ANSWER + ANSWER)).toEqual(mediaAddresses(ANSWER))
    expect(mediaAddresses(LOOPBACK)).toEqual(['127.0.0.1:8082'])
    expect(mediaAddresses('v=0\r\n')).toEqual([])
  })

  it('name each port once', () => {
    expect(portsOf(mediaAddresses(ANSWER))).toEqual(['8082'])
  })
})
