/** Full screen, where the browser has it (iPhones do not, for pages). */

import { onMounted, onUnmounted, ref, type Ref } from 'vue'

export function useFullscreen(): { active: Ref<boolean>; possible: boolean; toggle: () => void } {
  const active = ref(false)
  const update = (): void => void (active.value = document.fullscreenElement !== null)
  onMounted(() => document.addEventListener('fullscreenchange', update))
  onUnmounted(() => document.removeEventListener('fullscreenchange', update))

  const toggle = (): void => {
    const change = document.fullscreenElement
      ? document.exitFullscreen()
      : document.documentElement.requestFullscreen()
    change.catch(() => undefined) // Refused without a click: nothing changes, nothing to say.
  }
  return { active, possible: typeof document !== 'undefined' && document.fullscreenEnabled, toggle }
}
