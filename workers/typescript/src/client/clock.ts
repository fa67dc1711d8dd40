/** Time as it passes here: the monotonic clock, and waits that can be ended. */

import { onAbort } from "./abort.js";

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
    const forget = signal && onAbort(signal, abort);
    const timer = after(milliseconds, () => {
      forget?.();
      resolve();
    });
    function abort(): void {
      clearTimeout(timer);
      reject(signal?.reason);
    }
  });
}

/** A signal that fires with `outer` or at `deadline` (of the monotonic clock), until it is closed. */
export class Deadline {
  private readonly controller = new AbortController();
  private readonly timer: ReturnType<typeof setTimeout>;
  private readonly forget: (() => void) | undefined;
  /** Whether the time was over before anything else. */
  isOver = false;

  constructor(
    deadline: number,
    private readonly outer?: AbortSignal,
  ) {
    outer?.throwIfAborted();
    this.forget = outer && onAbort(outer, this.abort);
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
    this.forget?.();
  }
}
