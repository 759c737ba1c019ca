import { describe, expect, it } from 'vitest'

import { KelianError } from '@/protocol/errors'

import { Notices } from './notices'

function error(code: string): KelianError {
  return KelianError.from({ code, zh: code, en: code })
}

describe('notices', () => {
  it('are said once each, the newest last, and not too many', () => {
    const notices = new Notices()
    for (const code of ['a', 'b', 'a', 'c', 'd', 'e', 'f']) notices.add(error(code), 7)
    expect(notices.list.value.map((one) => one.code)).toEqual(['a', 'c', 'd', 'e', 'f'])
    expect(new Set(notices.list.value.map((one) => one.id)).size).toBe(5)
  })

  it('go when they are dismissed', () => {
    const notices = new Notices()
    notices.add(error('a'), 7)
    notices.dismiss(notices.list.value[0]?.id ?? -1)
    expect(notices.list.value).toEqual([])
  })
})
