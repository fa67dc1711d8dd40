/** Waiting for the end of an operation, by long polls. */

import { isTerminal } from "../wire/operation.js";
import { now, sleep } from "./clock.js";
import { LongrunError } from "./error.js";
import type { Snapshot } from "./snapshot.js";

/** The server cuts longer waits to this. */
const WAIT_SECONDS_MAX = 60;
/** Asked for where nothing else bounds the wait: shorter than what proxies grant to a silent connection. */
const WAIT_SECONDS = 30;
/** An answer so many milliseconds sooner than asked for means that the server does not wait now. */
const EARLY = 1000;
const POLL_SECONDS = 1;

/** How long to wait. */
export interface WaitOptions {
  /** For ever unless set. */
  timeoutSeconds?: number;
  /** Ends the wait; the operation goes on. */
  signal?: AbortSignal;
}

/** Asks for the operation with this many seconds for the server to wait, and for the answer until then. */
type Poll<Result> = (seconds: number, until: number) => Promise<Snapshot<Result>>;

/** Polls until the operation has ended. */
export async function waitForEnd<Result>(
  poll: Poll<Result>,
  options: WaitOptions,
): Promise<Snapshot<Result>> {
  const deadline = now() + (options.timeoutSeconds ?? Number.POSITIVE_INFINITY) * 1000;
  for (;;) {
    const asked = now();
    const seconds = Math.floor(Math.max(0, Math.min((deadline - asked) / 1000, WAIT_SECONDS)));
    const current = await poll(seconds, deadline + EARLY);
    if (isTerminal(current.operation.status)) return current;
    if (seconds === 0 || now() - asked + EARLY < seconds * 1000) {
      const pause = (current.retryAfterSeconds ?? POLL_SECONDS) * 1000;
      await sleep(Math.min(pause, Math.max(0, deadline - now())), options.signal);
    }
    if (now() >= deadline) {
      throw new LongrunError(
        "deadline",
        `the operation has not ended within ${String(options.timeoutSeconds)} s`,
      );
    }
  }
}

/** `Prefer: wait=N`, cut to what the server grants. */
export function preferWait(seconds: number): string {
  return `wait=${Math.floor(Math.min(seconds, WAIT_SECONDS_MAX))}`;
}
