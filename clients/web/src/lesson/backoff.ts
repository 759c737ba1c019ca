/** How long to wait before the next try: doubling, capped, and spread so that a class does not
 * come back all at once. */

export interface BackoffTiming {
  first_ms: number
  most_ms: number
}

export class Backoff {
  private tries = 0

  constructor(
    private readonly timing: BackoffTiming,
    private readonly random: () => number = Math.random,
  ) {}

  /** The next pause in ms: between half and the whole of first * 2^n, at most `most_ms`. */
  next(): number {
    const whole = Math.min(this.timing.most_ms, this.timing.first_ms * 2 ** this.tries)
    this.tries += 1
    return whole * (0.5 + this.random() / 2)
  }

  reset(): void {
    this.tries = 0
  }
}
