/** What a handler sees of its operation. */

import { now } from "../client/clock.js";
import type { Operation } from "../wire/operation.js";
import type { Attempt, StopReason } from "./attempt.js";
import { type HandlerError, PermanentError } from "./error.js";
import { bytesOf, write } from "./json.js";

const CHECKPOINT_BYTES_MAX = 64 * 1024;

/** One attempt of one operation, as its handler sees it. */
export class Context {
  constructor(
    private readonly held: Attempt,
    /**
     * Fires as soon as the worker begins to shut down, well before `signal` does. A handler that can stop
     * anywhere leaves a checkpoint and throws a `ReleasedError`; any other need not look at it.
     */
    readonly draining: AbortSignal,
  ) {}

  /** The operation as it was claimed. */
  get operation(): Operation {
    return this.held.operation;
  }

  /** The operation's id. */
  get id(): string {
    return this.held.id;
  }

  /** Which attempt this is, from 1. */
  get attempt(): number {
    return this.held.operation.attemptsCount ?? 1;
  }

  /**
   * The fencing token of this attempt: it grows from attempt to attempt, so a system that remembers the
   * highest one it saw can refuse an attempt that has lost its lease.
   */
  get leaseToken(): number {
    return this.held.token;
  }

  /** What an earlier attempt left with `checkpoint`; undefined where none did. */
  get previousCheckpoint(): unknown {
    return this.held.operation.checkpoint;
  }

  /** The `traceparent` (W3C Trace Context) that the operation was submitted with: the span of its caller. */
  get traceparent(): string | undefined {
    return this.held.operation.traceparent;
  }

  /**
   * Tells pollers and watchers how far the work is, in whole percent (cut to 0…100, fractions dropped) and in
   * a sentence of at most 1,024 characters (cut too). Costs next to nothing: the runtime sends the latest
   * with its next exchange.
   */
  progress(percent: number, detail = ""): void {
    this.held.setProgress(Math.floor(Math.min(Math.max(percent, 0), 100)) || 0, detail);
  }

  /**
   * Leaves a value for the next attempt, as it is at this moment and in place of what was left before. The
   * latest is sent with the next exchange. Throws a permanent `checkpointTooLarge` beyond 64 KiB of JSON,
   * `invalidCheckpoint` for a value without JSON form.
   */
  checkpoint(value: unknown): void {
    const json = write(value);
    if (json.text === undefined) throw new PermanentError("invalidCheckpoint", `checkpoint: ${json.error}`);
    const bytes = bytesOf(json.text);
    if (bytes > CHECKPOINT_BYTES_MAX) {
      const message = `the checkpoint has ${bytes} bytes, ${CHECKPOINT_BYTES_MAX} are allowed`;
      throw new PermanentError("checkpointTooLarge", message);
    }
    this.held.setCheckpoint(json.text);
  }

  /**
   * Fires when the handler is to stop: `reason` says why, and the reason of the signal is the error that
   * `stopped()` gives. A handler that goes on is given up where its lease or the worker's grace time ends:
   * whatever it returns then counts no more.
   */
  get signal(): AbortSignal {
    return this.held.signal;
  }

  /** Why the handler is to stop; undefined while it is not. */
  get reason(): StopReason | undefined {
    return this.held.reason;
  }

  /**
   * The error for a handler that stops because it was told to, to be thrown: the operation is handed back for
   * another worker, or, after a cancel or a timeout, ends as those do.
   */
  stopped(): HandlerError {
    return this.held.stopped();
  }

  /** Seconds that the lease lasts if no heartbeat extends it any more. */
  remaining(): number {
    return Math.max(0, this.held.leaseEnd - now()) / 1000;
  }
}
