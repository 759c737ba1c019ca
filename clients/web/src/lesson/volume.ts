/** How loud this browser plays lessons: 0 to 1, remembered from lesson to lesson. */

import { ref } from 'vue'

const STORED = 'kelian.volume'

export const volume = ref(stored())

export function rememberVolume(next: number): void {
  volume.value = Math.min(1, Math.max(0, next))
  try {
    localStorage.setItem(STORED, String(volume.value))
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
  }
}

function stored(): number {
  try {
    const kept = Number(localStorage.getItem(STORED) ?? 1)
    return kept >= 0 && kept <= 1 ? kept : 1
  } catch {
    return 1
  }
}
