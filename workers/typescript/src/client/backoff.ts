/** How long to wait before the next try: exponential, jittered, and never sooner than the server asks. */

const FIRST = 50;
const LONGEST = 2000;
/** A server that asks for more is not believed: a worker that rests for hours looks dead. */
const RETRY_AFTER_MAX = 60_000;

/** The delays of one call that is repeated until it succeeds, in milliseconds. */
export class Backoff {
  private next = FIRST;

  /**
   * The delay before the next try. Jitter is added on top of what the server asked for, and spreads our own
   * delays between half and the whole, so that a thousand workers do not come back as one.
   */
  delay(retryAfterSeconds?: number): number {
    const own = this.next * (0.5 + Math.random() / 2);
    this.next = Math.min(this.next * 2, LONGEST);
    return retryAfterSeconds === undefined
      ? own
      : Math.min(retryAfterSeconds * 1000, RETRY_AFTER_MAX) + own / 2;
  }
}
