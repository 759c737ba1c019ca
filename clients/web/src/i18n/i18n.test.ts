import { describe, expect, it } from 'vitest'
import { en } from './en'
import { type Key, zh } from './zh'

const placeholders = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1] ?? '').sort()

describe('the two languages', () => {
  it('have the same keys', () => {
    expect(Object.keys(en).sort()).toEqual(Object.keys(zh).sort())
  })

  it.each(Object.keys(zh) as Key[])('say %s with the same values', (key) => {
    expect(zh[key].trim()).not.toBe('')
    expect(en[key].trim()).not.toBe('')
    expect(placeholders(en[key])).toEqual(placeholders(zh[key]))
  })

  it('hold no Chinese in English and no untranslated Chinese', () => {
    const han = /[\u4e00-\u9fff]/
    const swapped: Key[] = ['common.language', 'common.language.label']
    const wrong = (Object.keys(en) as Key[]).filter((key) => !swapped.includes(key) && han.test(en[key]))
    expect(wrong).toEqual([])
  })
})
