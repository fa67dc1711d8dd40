/** Time as it passes here: the monotonic clock, and waits that can be ended. */

/** The longest time that a timer takes; a longer one would fire at once. */
const TIMER_MAX = 2 ** 31 - 1;

/** Milliseconds of the monotonic clock; only differences mean something. */
export function now(): number {
  return performance.now();
}

/** Calls back after so many milliseconds, or after 24 days if that is sooner. */
export function after(milliseconds: number, callback: () => void): ReturnType<typeof setTimeout> {
  return setTimeout(callback, Math.min(Math.max(milliseconds, 0), TIMER_MAX));
}

/** Waits; rejects with the signal's reason as soon as that fires. */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = after(milliseconds, () => {
      signal?.removeEventListener("abort", abort);
      resolve();
    });
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** A signal that fires with `outer` or at `deadline` (of the monotonic clock), until it is closed. */
export class Deadline {
  private readonly controller = new AbortController();
  private readonly timer: ReturnType<typeof setTimeout>;
  /** Whether the time was over before anything else. */
  isOver = false;

  constructor(
    deadline: number,
    private readonly outer?: AbortSignal,
  ) {
    outer?.throwIfAborted();
    outer?.addEventListener("abort", this.abort, { once: true });
    this.timer = after(deadline - now(), () => {
      this.isOver = true;
      this.controller.abort();
    });
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** From now on only `outer` counts, as for the body of a stream. */
  lift(): void {
    clearTimeout(this.timer);
  }

  /** Ends what still listens to the signal. */
  abort = (): void => {
    this.controller.abort(this.outer?.reason);
  };

  /** Forgets everything; the signal fires no more. */
  close(): void {
    clearTimeout(this.timer);
    this.outer?.removeEventListener("abort", this.abort);
  }
}
