/** One attempt of one operation, as its handler and the runtime both see it. */

import type { ClaimedOperation, RawJson } from "../wire/work.js";
import { type HandlerError, PermanentError, ReleasedError, RetryableError } from "./error.js";

/**
 * Why a handler is told to stop.
 *
 * - `cancel`: somebody asked for the operation to be canceled;
 * - `leaseLost`: the lease ended, or may have: another worker may be at the operation;
 * - `timeout`: the attempt has taken as long as the operation's `timeoutSeconds` allows;
 * - `shutdown`: the worker shuts down, and its grace time is nearly over.
 */
export type StopReason = "cancel" | "leaseLost" | "timeout" | "shutdown";

/** Progress and checkpoint that the server has not been told yet. */
export interface Unsent {
  percentComplete?: number;
  statusDetail?: string;
  checkpoint?: RawJson;
}

/** An attempt that this worker holds. Times are of the monotonic clock, in milliseconds. */
export class Attempt {
  readonly id: string;
  readonly token: number;
  readonly key: string;
  /** When the lease ends, as far as is known. */
  leaseEnd: number;
  nextHeartbeat: number;
  /** When `timeoutSeconds` are over. */
  readonly timeoutAt: number | undefined;
  /** The handler was told that its time is over; it is given up then. */
  abortAt: number | undefined;
  /** Its news wait in the outbox. */
  isQueued = false;
  /** A heartbeat of it waits, or is on its way. */
  isBeating = false;
  /** The server said that the lease is gone: nothing more is to be reported. */
  isLost = false;
  reason: StopReason | undefined;
  /** The latest checkpoint this attempt made, sent or not. */
  checkpoint: RawJson | undefined;
  private unsent: Unsent = {};
  private controller: AbortController | undefined;

  constructor(
    readonly operation: ClaimedOperation,
    granted: number,
    private readonly touch: (self: Attempt) => void,
  ) {
    this.id = operation.id;
    this.token = operation.lease.token;
    this.key = keyOf(this.id, this.token);
    const lease = seconds(operation.lease.seconds);
    this.leaseEnd = granted + lease;
    this.nextHeartbeat = granted + lease / 3;
    const { timeoutSeconds } = operation;
    this.timeoutAt = timeoutSeconds === undefined ? undefined : granted + seconds(timeoutSeconds);
  }

  /** When the handler has to have stopped, as far as is known. */
  get end(): number {
    return Math.min(this.leaseEnd, this.timeoutAt ?? this.leaseEnd);
  }

  /** Fires when the handler is to stop. Made when it is first asked for, since most handlers never do. */
  get signal(): AbortSignal {
    if (!this.controller) {
      this.controller = new AbortController();
      if (this.reason) this.controller.abort(this.stopped());
    }
    return this.controller.signal;
  }

  /** Tells the handler to stop. The first reason stands. */
  stop(reason: StopReason): void {
    if (this.reason) return;
    this.reason = reason;
    this.controller?.abort(this.stopped());
  }

  /** The error of a handler that stops because it was told to. */
  stopped(): HandlerError {
    if (this.reason === "cancel")
      return new PermanentError("stopped", "stopped when it was told of the cancel");
    if (this.reason === "timeout") return new RetryableError("timedOut", "the attempt took too long");
    return new ReleasedError();
  }

  setProgress(percentComplete: number, statusDetail: string): void {
    this.unsent.percentComplete = percentComplete;
    this.unsent.statusDetail = statusDetail;
    this.touch(this);
  }

  setCheckpoint(checkpoint: RawJson): void {
    this.checkpoint = checkpoint;
    this.unsent.checkpoint = checkpoint;
    this.touch(this);
  }

  /** Takes what the server has not been told yet. */
  takeUnsent(): Unsent {
    const { unsent } = this;
    this.unsent = {};
    return unsent;
  }
}

/**
 * The id alone is not enough: an operation may come back to this worker while the handler of an attempt that
 * lost its lease still winds down.
 */
export function keyOf(id: string, token: number): string {
  return `${id}/${token}`;
}

/** Seconds as the wire has them, whatever they are, in milliseconds. */
export function seconds(value: number): number {
  return Number.isFinite(value) ? Math.min(Math.max(value, 0), 1e9) * 1000 : 0;
}
