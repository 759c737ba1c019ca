/**
 * How long to wait before the next try: growing, capped, and spread so that a class does not come
 * back all at once.
 */

export interface BackoffTiming {
  first_ms: number
  most_ms: number
  /** By which each pause is longer than the one before; 2 unless told. */
  growth?: number
}

export class Backoff {
  private tries = 0

  constructor(
    private readonly timing: BackoffTiming,
    private readonly random: () => number = Math.random,
  ) {}

  /** The next pause in ms: between half and the whole of first * growth^n, at most `most_ms`. */
  next(): number {
    const { first_ms, most_ms, growth = 2 } = this.timing
    const whole = Math.min(most_ms, first_ms * growth ** this.tries)
    this.tries += 1
    return whole * (0.5 + this.random() / 2)
  }

  reset(): void {
    this.tries = 0
  }
}
