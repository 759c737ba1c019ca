import { describe, expect, it } from 'vitest'
import { maySend, readToken, tokenIn } from './token'

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const token = `${encode({ alg: 'HS256' })}.${encode({ role: 'student', name: '王小明', lesson: 'math-7' })}.c2ln`

describe('a token', () => {
  it('says role, name and lesson', () => {
    expect(readToken(token)).toEqual({ role: 'student', name: '王小明', lesson: 'math-7' })
  })

  it.each(['', 'x', 'a.b.c', `${encode({})}.${encode(7)}.x`, `${encode({})}.${encode({ role: 'king' })}.x`])(
    'that is broken (%j) says nothing',
    (broken) => expect(readToken(broken).role).toBeNull(),
  )

  it('is found in what people paste', () => {
    expect(tokenIn(`  https://school.example/#/join/${token} `)).toBe(token)
    expect(tokenIn(`https://school.example/join?token=${token}&x=1`)).toBe(token)
    expect(tokenIn(token)).toBe(token)
    expect(tokenIn('https://school.example/')).toBe('')
    expect(tokenIn('hello')).toBe('')
  })

  it('decides whether a camera is needed', () => {
    expect(maySend('observer')).toBe(false)
    expect(maySend('student')).toBe(true)
    expect(maySend(null)).toBe(true)
  })
})
