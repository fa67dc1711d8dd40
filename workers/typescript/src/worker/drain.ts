/** The end of a worker: no more claims, handlers finish or hand back, every report is delivered. */

import { LongrunError } from "../client/error.js";
import type { Claim } from "../wire/work.js";
import { NEVER } from "./bell.js";
import { STOP_WITHIN, abort } from "./lease.js";
import type { Runtime } from "./runtime.js";

/** How long handlers have when the server wants nothing of the worker any more. */
const SHORT_GRACE = 1000;
/** How long the last reports may take after the grace time, while the server does not answer. */
const DELIVERY = 5000;

/** A shutdown under way. */
export interface Drain {
  /**
   * When the handlers are told to stop, so that they have the time to, but not most of a short grace time.
   */
  stopAt: number;
  /** When those that went on are given up. */
  abortAt: number;
  deliverUntil: number;
  /**
   * A claim that hung when the shutdown began. It is withdrawn, which is not enough, since its answer may
   * have been on its way: the same claim is sent once more, without a wait, and brings whatever was leased
   * under it, to be handed back.
   */
  recall: Claim | undefined;
  /** The server takes nothing of this worker: no call makes sense. */
  mute: boolean;
  /** Why the worker ends, if not since it was asked to. */
  error: LongrunError | undefined;
}

/** Claims no more; what is held may go on for the grace time. */
export function beginDrain(runtime: Runtime, now: number, grace: number): void {
  runtime.settings.logger.info("worker shuts down", { held: runtime.held.size, grace });
  const { claiming } = runtime.calls;
  const claim = claiming?.request.claim;
  claiming?.withdraw();
  runtime.calls.claiming = undefined;
  runtime.drain = {
    stopAt: now + grace - Math.min(STOP_WITHIN, (grace * 2) / 3),
    abortAt: now + grace,
    deliverUntil: now + grace + DELIVERY,
    recall: claim && { ...claim, limit: 1, waitSeconds: 0 },
    mute: false,
    error: undefined,
  };
  runtime.draining.abort();
}

/** Ends the worker, since the server does not want it. Handlers are told at once. */
export function fail(runtime: Runtime, error: LongrunError, now: number): void {
  runtime.settings.logger.error("worker ends", { code: error.code, message: error.message });
  if (!runtime.drain) beginDrain(runtime, now, SHORT_GRACE);
  const { drain } = runtime;
  if (!drain) return;
  drain.stopAt = now;
  drain.mute ||= isDenied(error);
  drain.recall = undefined;
  drain.error ??= error;
}

/** Whether the server takes no request of this worker: it has no token, or not the right one. */
export function isDenied(error: LongrunError): boolean {
  return error.status === 401 || error.status === 403;
}

/** Takes the steps of the shutdown whose time has come. */
export function advanceDrain(runtime: Runtime, now: number): void {
  const { drain, held } = runtime;
  if (!drain || now < drain.stopAt) return;
  for (const attempt of [...held.values()]) {
    if (now >= drain.abortAt) abort(runtime, attempt);
    else attempt.stop("shutdown");
  }
}

/** When the next of them is. */
export function nextStep({ stopAt, abortAt, deliverUntil }: Drain, now: number): number {
  return [stopAt, abortAt, deliverUntil].find((step) => now < step) ?? now + NEVER;
}

/** Whether nothing is left to do, or no time to do it in. */
export function isOver({ drain, held, outbox, calls }: Runtime, now: number): boolean {
  if (!drain) return false;
  const isTold = outbox.isEmpty && !calls.reporting && !drain.recall;
  return (held.size === 0 && (drain.mute || isTold)) || now >= drain.deliverUntil;
}

/** Throws why the worker ended, if not since it was asked to and with everything told. */
export function farewell({ drain, outbox, calls }: Runtime): void {
  if (drain?.error) throw drain.error;
  const reports = outbox.ends + (calls.reporting?.ends ?? 0);
  if (reports > 0) {
    throw new LongrunError(
      "undelivered",
      `${reports} reports could not be delivered before the worker ended`,
    );
  }
}
