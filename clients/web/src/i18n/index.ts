/** The two languages: `t('key', {n: 3})`, `language`, `setLanguage`. Chinese unless chosen otherwise. */

import { readonly, ref } from 'vue'
import { en } from './en'
import { type Key, zh } from './zh'

export type { Key }
export type Language = 'zh' | 'en'
export type Values = Record<string, string | number>

const STORED = 'kelian.language'
const texts: Record<Language, Record<Key, string>> = { zh, en }

function stored(): Language {
  try {
    return localStorage.getItem(STORED) === 'en' ? 'en' : 'zh'
  } catch {
    return 'zh' // Storage may be forbidden; the choice then lasts as long as the page.
  }
}

const current = ref<Language>(stored())
export const language = readonly(current)

/** The text of `key` in the present language, `{name}` replaced by `values.name`. */
export function t(key: Key, values: Values = {}): string {
  return texts[current.value][key].replace(/\{(\w+)\}/g, (whole, name: string) =>
    String(values[name] ?? whole),
  )
}

/** Of a sentence that the server wrote in both languages. */
export function said(sentence: { zh: string; en: string }): string {
  return sentence[current.value]
}

export function setLanguage(next: Language): void {
  current.value = next
  applyToDocument()
  try {
    localStorage.setItem(STORED, next)
  } catch {
    // As above.
  }
}

/** Screen readers and font choice follow the document's language. */
export function applyToDocument(): void {
  document.documentElement.lang = current.value === 'zh' ? 'zh-CN' : 'en'
  document.title = current.value === 'zh' ? '课联 Kelian' : 'Kelian 课联'
}
