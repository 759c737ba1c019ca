/** Times as people read them. */

import { onScopeDispose, ref, type Ref } from 'vue'

/** 65_000 ms -> "1:05"; 3_665_000 ms -> "1:01:05". */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  const shown = parts[0] === 0 ? parts.slice(1) : parts
  return shown.map((part, i) => (i === 0 ? String(part) : String(part).padStart(2, '0'))).join(':')
}

/** The time of day of an instant (UTC ms), where the reader is. */
export function timeOfDay(ms: number): string {
  const date = new Date(ms)
  return [date.getHours(), date.getMinutes()].map((part) => String(part).padStart(2, '0')).join(':')
}

/** A clock that ticks each second while the component lives. */
export function useTick(now: () => number): Ref<number> {
  const time = ref(now())
  const timer = setInterval(() => (time.value = now()), 1000)
  onScopeDispose(() => clearInterval(timer))
  return time
}
