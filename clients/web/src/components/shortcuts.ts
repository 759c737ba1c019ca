/** Keyboard shortcuts: single keys, ignored while one writes or holds a modifier. */

import { onMounted, onUnmounted } from 'vue'
import type { Key } from '@/i18n'

export interface Shortcut {
  /** As in KeyboardEvent.key, lower case; "?" for help. */
  key: string
  text: Key
  run: () => void
  /** Not offered now (the role or the moment does not allow it). */
  when?: () => boolean
}

const WRITING = 'input, textarea, select, [contenteditable="true"]'

export function useShortcuts(shortcuts: () => readonly Shortcut[]): void {
  const onKey = (event: KeyboardEvent): void => {
    const target = event.target
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing) return
    if (target instanceof Element && target.closest(WRITING)) {
      if (event.key === 'Escape' && target instanceof HTMLElement) target.blur()
      return
    }
    if (document.querySelector('dialog[open]')) return
    const found = shortcuts().find((each) => each.key === event.key.toLowerCase() && (each.when?.() ?? true))
    if (!found) return
    event.preventDefault()
    found.run()
  }
  onMounted(() => window.addEventListener('keydown', onKey))
  onUnmounted(() => window.removeEventListener('keydown', onKey))
}
