/**
 * Notices a camera that gives no pictures though it claims to be on: another program has it, or its
 * driver hangs. Pure.
 */

/** So long without a frame is no slow camera any more. */
const FROZEN_MS = 4_000
/** Opening it again is tried this seldom. */
const AGAIN_MS = 15_000

export class FrozenWatch {
  private track = ''
  private frames = -1
  private movedAt = 0
  private saidAt: number | null = null

  /** True when the camera should be opened again. `frames`: undefined where the browser does not tell. */
  look(track: string, frames: number | undefined, now: number): boolean {
    if (frames === undefined || track !== this.track || frames !== this.frames) {
      this.movedAt = now
      if (track === this.track && frames !== undefined) this.saidAt = null
      this.track = track
      this.frames = frames ?? -1
      return false
    }
    if (now - this.movedAt < FROZEN_MS || (this.saidAt !== null && now - this.saidAt < AGAIN_MS)) return false
    this.saidAt = now
    return true
  }

  /** It was opened again and still gives nothing. */
  hopeless(now: number): boolean {
    return this.saidAt !== null && now - this.movedAt >= FROZEN_MS
  }

  /** Nothing is expected of it just now. */
  rest(now: number): void {
    this.movedAt = now
  }
}
