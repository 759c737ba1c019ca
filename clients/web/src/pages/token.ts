/** What a token says about itself: to show the right page before the server has checked it. */

import type { Role } from '@/protocol/events'

export interface TokenHint {
  role: Role | null
  name: string
  lesson: string
}

const roles: readonly string[] = [
  'lecturer', 'tutor', 'classroom', 'student', 'observer', 'inspector', 'researcher', 'parent', 'technician', 'ops',
] satisfies Role[]
const senders: readonly Role[] = ['lecturer', 'tutor', 'classroom', 'student']

/** Only a hint: nothing is verified here, and a broken token says nothing. */
export function readToken(token: string): TokenHint {
  const nothing: TokenHint = { role: null, name: '', lesson: '' }
  try {
    const middle = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')
    const bytes = Uint8Array.from(atob(middle), (character) => character.charCodeAt(0))
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes))
    if (typeof claims !== 'object' || claims === null) return nothing
    const said = claims as Record<string, unknown>
    const text = (value: unknown): string => (typeof value === 'string' ? value : '')
    const role = text(said['role'])
    return {
      role: roles.includes(role) ? (role as Role) : null,
      name: text(said['name']),
      lesson: text(said['lesson']),
    }
  } catch {
    return nothing
  }
}

/** Unknown roles may send: the device check is then shown, and does no harm. */
export function maySend(role: Role | null): boolean {
  return role === null || senders.includes(role)
}

/** The token in what somebody pasted: a whole link, its end, or the token alone; "" if none. */
export function tokenIn(pasted: string): string {
  const text = pasted.trim()
  const inLink = /(?:#\/join\/|[?&]token=)([^\s&#]+)/.exec(text)?.[1]
  const candidate = inLink ? decodeURIComponent(inLink) : text
  return /^[\w-]+(\.[\w-]+){2}$/.test(candidate) ? candidate : ''
}
