/**
 * Heartbeats, and leases that end. Only the monotonic clock counts here, and only durations come from the
 * server, so a wrong wall clock does no harm.
 */

import type { Attempt, StopReason } from "../handler/attempt.js";
import { NEVER } from "./bell.js";
import { ofAbort } from "./report.js";
import type { Runtime } from "./runtime.js";

/** The server ends a lease where the attempt's timeout ends it; rounding apart, that is the timeout. */
const TIMEOUT_TOLERANCE = 1000;
/** How many milliseconds a handler has to return once it was told to stop. */
export const STOP_WITHIN = 1000;

/**
 * Queues the heartbeats that are due, stops handlers whose time is over, gives those up that were stopped and
 * went on. Looks at all of them, but only when the earliest is due.
 */
export function lookAtLeases(runtime: Runtime, now: number): void {
  if (now < runtime.wake) return;
  // What falls due soon is done with what is due: heartbeats gather into batches by themselves.
  const soon = now + (runtime.settings.leaseSeconds * 1000) / 30;
  runtime.wake = now + NEVER;
  for (const attempt of [...runtime.held.values()]) {
    if (attempt.abortAt === undefined && attempt.end <= now) {
      attempt.stop(endReason(attempt, now));
      attempt.abortAt = now + STOP_WITHIN;
    }
    if (attempt.abortAt !== undefined && attempt.abortAt <= now) {
      abort(runtime, attempt);
      continue;
    }
    wakeAt(runtime, attempt.abortAt ?? attempt.end);
    if (attempt.isBeating || attempt.abortAt !== undefined) continue;
    if (attempt.nextHeartbeat <= soon) runtime.outbox.heartbeat(attempt);
    else wakeAt(runtime, attempt.nextHeartbeat);
  }
}

/**
 * The lease lasts so many milliseconds from the moment at which the report was sent: the server counts from a
 * later one.
 */
export function renew(runtime: Runtime, attempt: Attempt, sent: number, lease: number): void {
  const asked = runtime.settings.leaseSeconds * 1000;
  attempt.leaseEnd = sent + lease;
  // A lease that is no longer extended shrinks; the thirds of it must not become a flood.
  attempt.nextHeartbeat = sent + Math.max(lease / 3, asked / 12);
  runtime.standby?.hold(attempt);
}

/** The server says that the lease is gone: the handler stops, and nothing more is said of it. */
export function lose(runtime: Runtime, attempt: Attempt | undefined, now: number, why: string): void {
  if (!attempt || attempt.isLost) return;
  runtime.settings.logger.warn("lease lost", { id: attempt.id, leaseToken: attempt.token, why });
  attempt.isLost = true;
  runtime.standby?.drop(attempt);
  attempt.stop("leaseLost");
  attempt.abortAt ??= now + STOP_WITHIN;
  wakeAt(runtime, attempt.abortAt);
  runtime.stats.lost += 1;
}

/**
 * Gives a handler up that does not end itself, and says so unless the lease is gone anyway. It may run on,
 * since nothing can end it from outside, but whatever it returns counts no more.
 */
export function abort(runtime: Runtime, attempt: Attempt): void {
  if (!runtime.letGo(attempt)) return;
  const { id, token, reason } = attempt;
  runtime.settings.logger.warn("handler given up: it was told to stop and went on", {
    id,
    leaseToken: token,
    reason,
  });
  if (!attempt.isLost) runtime.outbox.push(...ofAbort(attempt));
}

/** The leases are looked at then, or sooner. */
export function wakeAt(runtime: Runtime, at: number): void {
  runtime.wake = Math.min(runtime.wake, at);
}

function endReason(attempt: Attempt, now: number): StopReason {
  const { timeoutAt } = attempt;
  return timeoutAt !== undefined && timeoutAt <= now + TIMEOUT_TOLERANCE ? "timeout" : "leaseLost";
}
