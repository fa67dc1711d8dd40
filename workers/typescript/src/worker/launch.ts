/** Which call goes out when. */

import { fresh } from "../client/random.js";
import { type Claim, writeReport } from "../wire/work.js";
import { type Carriage, Outstanding, type Request } from "./call.js";
import { heartbeat, running } from "./report.js";
import type { Calls, Runtime } from "./runtime.js";

/** The protocol's bound on a claim. */
const CLAIM_MAX = 1000;
/** What the network may take on top of the time that the server was asked to wait. */
const MARGIN = 15_000;
/** No try of a heartbeat is given up sooner, however short the lease. */
const BEAT_PATIENCE_MIN = 1000;

/** Starts every call that can be started. */
export function launch(runtime: Runtime, now: number): void {
  const { calls, settings, drain } = runtime;
  if (drain?.mute) return;
  if (!calls.beating) launchBeating(runtime);
  if (!calls.reporting) launchReporting(runtime, now);
  // Beside reports a claim only goes along with them: what they free is part of its limit.
  if (calls.claiming || calls.reporting) return;
  const claim = freshClaim(runtime, settings.waitSeconds);
  if (!claim) return;
  const patience = settings.waitSeconds * 1000 + MARGIN;
  start(
    runtime,
    "claiming",
    { reports: [], texts: [], claim },
    { patience, giveUp: runtime.draining.signal },
  );
}

function launchReporting(runtime: Runtime, now: number): void {
  const { calls, drain, outbox } = runtime;
  const recall = drain?.recall;
  if (outbox.due(now) > now && !recall) return;
  if (drain) drain.recall = undefined;
  const batch = outbox.batch(now, (attempt) => {
    // The news of an operation that is lost, or over, interest nobody.
    return attempt.isLost || runtime.held.get(attempt.key) !== attempt ? undefined : running(attempt);
  });
  const claim = recall ?? (calls.claiming || runtime.suspectClaim ? undefined : freshClaim(runtime, 0));
  // Never given up: what is in it may have been acted upon.
  if (batch.reports.length > 0 || claim)
    start(runtime, "reporting", { ...batch, claim }, { patience: MARGIN });
}

/** Heartbeats never wait for another call, nor long for an answer: a third of the lease is all they have. */
function launchBeating(runtime: Runtime): void {
  const live = runtime.outbox.heartbeats().filter((attempt) => runtime.held.get(attempt.key) === attempt);
  const reports = live.filter((attempt) => !attempt.isLost).map(heartbeat);
  if (reports.length === 0) return;
  const patience = Math.max((runtime.settings.leaseSeconds * 1000) / 3, BEAT_PATIENCE_MIN);
  start(
    runtime,
    "beating",
    { reports, texts: reports.map(writeReport) },
    { patience: Math.min(patience, MARGIN) },
  );
}

/** A claim for the free slots, if there are any and the worker still claims. */
function freshClaim(
  { settings, operationTypes, held, drain }: Runtime,
  waitSeconds: number,
): Claim | undefined {
  const limit = Math.min(settings.concurrency - held.size, CLAIM_MAX);
  if (limit <= 0 || drain) return undefined;
  const { queues, leaseSeconds } = settings;
  return { id: fresh(), ...(queues ? { queues } : {}), operationTypes, limit, leaseSeconds, waitSeconds };
}

function start(
  runtime: Runtime,
  name: keyof Calls,
  said: Omit<Request, "workerId">,
  carriage: Omit<Carriage, "transport" | "logger">,
): void {
  const { transport, settings } = runtime;
  const request = {
    workerId: settings.workerId,
    reports: said.reports,
    texts: said.texts,
    claim: said.claim,
  };
  const whole = { ...carriage, transport, logger: settings.logger };
  runtime.calls[name] = new Outstanding(request, whole, (end) => {
    runtime.callEnded(name, end);
  });
}
