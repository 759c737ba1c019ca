/** What to call people and what colour their placeholder has. */

import { t } from '@/i18n'
import type { Participant } from '@/lesson/types'

export function nameOf(person: Participant | null): string {
  if (!person) return ''
  return person.name || t(`role.${person.role}`)
}

/** The letter or character on a placeholder: surnames come first in Chinese. */
export function initialOf(person: Participant | null): string {
  // "王老师" is 王: every teacher is 老师.
  const name = nameOf(person).trim().replace(/^([\u4e00-\u9fff]+?)(老师|同学)$/, '$1')
  const isHan = /^[\u4e00-\u9fff]/.test(name)
  // Of "第三小学 四年级二班" the first character says little, of 王小明 the last two say most.
  return isHan && name.length <= 3 ? name.slice(-2) : ([...name][0] ?? '·').toUpperCase()
}

const hues = [168, 205, 28, 340, 262, 96, 12, 228]

/** A steady hue for a person, so that one finds them again. */
export function hueOf(person: Participant | null): number {
  const id = person?.id ?? ''
  let sum = 0
  for (const character of id) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) >>> 0
  return hues[sum % hues.length] ?? 168
}

/** Options of a quiz are A, B, C … */
export function letterOf(index: number): string {
  return String.fromCharCode(65 + index)
}
