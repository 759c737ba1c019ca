/** At which height each slot is shown, told to the server when it has been quiet for a moment. */

const QUIET_MS = 300

export class Layers {
  private readonly heights = new Map<string, number>()
  private told: Record<string, number> = {}
  private timer: ReturnType<typeof setTimeout> | null = null

  constructor(private readonly tell: (heights: Record<string, number>) => void) {}

  /** In CSS pixels; 0: not shown. */
  shown(slot: string, height: number): void {
    const pixels = Math.min(4320, Math.max(0, Math.round(height * density())))
    if (this.heights.get(slot) === pixels) return
    this.heights.set(slot, pixels)
    this.soon()
  }

  /** A new session knows nothing yet. */
  forget(): void {
    this.told = {}
    if (this.heights.size > 0) this.soon()
  }

  close(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
  }

  private soon(): void {
    this.timer ??= setTimeout(() => {
      this.timer = null
      const changed = [...this.heights].filter(([slot, pixels]) => this.told[slot] !== pixels)
      if (changed.length === 0) return
      this.told = { ...this.told, ...Object.fromEntries(changed) }
      this.tell(Object.fromEntries(changed))
    }, QUIET_MS)
  }
}

/** More than two device pixels per CSS pixel no eye asks of a moving picture. */
function density(): number {
  return Math.min(2, window.devicePixelRatio)
}
