/** What an answer changes. */

import { LongrunError } from "../client/error.js";
import { Attempt, keyOf, seconds } from "../handler/attempt.js";
import { Context } from "../handler/context.js";
import { type AttemptEnd, carryOut } from "../handler/index.js";
import type { OperationError } from "../wire/operation.js";
import type { ClaimedOperation, ExchangeAnswer, Notice, Outcome, Report } from "../wire/work.js";
import { type CallEnd, type Request, isLost } from "./call.js";
import { fail, isDenied } from "./drain.js";
import { lose, renew, wakeAt } from "./lease.js";
import { ofRefused } from "./report.js";
import type { Calls, Runtime } from "./runtime.js";
import type { Told } from "./standby.js";

/** What an operation is of whose type nothing is said. */
const DEFAULT_TYPE = "noop";
/** Never sent: stands for an outcome that the server owes. */
const NO_OUTCOME = "noOutcome";
/** This worker no longer has the operation. */
const ENDS_THE_ATTEMPT = ["leaseLost", "ended", "itemNotFound", NO_OUTCOME];

/** Takes in how a call ended. */
export function answered(
  runtime: Runtime,
  name: keyof Calls,
  { request, sent, result }: CallEnd,
  now: number,
): void {
  for (const { id, leaseToken } of name === "beating" ? request.reports : []) {
    const attempt = runtime.held.get(keyOf(id, leaseToken));
    if (attempt) attempt.isBeating = false;
  }
  if (!(result instanceof LongrunError)) heed(runtime, request, sent, result, now);
  else if (isDenied(result)) fail(runtime, result, now);
  // Only a call that was given up ends as lost, and the drain knows what to do about it.
  else if (!isLost(result)) refused(runtime, request, result, now);
}

function heed(runtime: Runtime, request: Request, sent: number, answer: ExchangeAnswer, now: number): void {
  if (request.claim) runtime.suspectClaim = false;
  request.reports.forEach((report, at) => {
    // What the server did with it is unknown, and a worker that knows nothing has no lease.
    const outcome = answer.outcomes[at] ?? noOutcome(report);
    if (report.status === "Running") runningOutcome(runtime, report, outcome, sent, now);
    else endOutcome(runtime, report, outcome.error);
  });
  for (const notice of answer.notices) heedNotice(runtime, notice, now);
  const granted = grantedAt(request, sent, now);
  const starts = answer.operations.flatMap((claimed) => takeUp(runtime, claimed, granted, now));
  // The first may keep this thread busy for long: by then all of them are in the standby's table.
  for (const start of starts) start();
}

/** Takes in what the standby has heard while the loop did not turn. */
export function renewedElsewhere(runtime: Runtime, told: Told, now: number): void {
  const { id, leaseToken, outcome, sent } = told;
  runningOutcome(runtime, { id, leaseToken, status: "Running" }, outcome, sent, now);
}

function runningOutcome(runtime: Runtime, report: Report, outcome: Outcome, sent: number, now: number): void {
  const attempt = runtime.held.get(keyOf(report.id, report.leaseToken));
  if (!attempt) return;
  const { error, leaseSeconds = runtime.settings.leaseSeconds } = outcome;
  if (error && ENDS_THE_ATTEMPT.includes(error.code)) {
    lose(runtime, attempt, now, error.message);
    return;
  }
  if (error) {
    // The next one is a bare heartbeat, which nothing should be wrong with.
    attempt.nextHeartbeat = sent + (runtime.settings.leaseSeconds * 1000) / 12;
    runtime.settings.logger.error("progress refused", {
      id: report.id,
      code: error.code,
      message: error.message,
    });
  } else {
    renew(runtime, attempt, sent, seconds(leaseSeconds));
  }
  wakeAt(runtime, Math.min(attempt.nextHeartbeat, attempt.end));
  if (outcome.cancelRequested) attempt.stop("cancel");
}

function endOutcome(runtime: Runtime, report: Report, error: OperationError | undefined): void {
  const { stats, settings, outbox } = runtime;
  if (!error) {
    const count = {
      Completed: "completed",
      Failed: "failed",
      NotStarted: "released",
      Running: "lost",
    } as const;
    stats[count[report.status]] += 1;
    return;
  }
  const { code, message } = error;
  settings.logger.warn("report refused", { id: report.id, status: report.status, code, message });
  if (report.status === "Completed" && code === "invalidRequest") outbox.push(ofRefused(report, error));
  else stats.lost += 1;
}

function heedNotice(runtime: Runtime, notice: Notice, now: number): void {
  const attempt = runtime.held.get(keyOf(notice.id, notice.leaseToken));
  if (notice.kind === "cancel") attempt?.stop("cancel");
  if (notice.kind === "lost") lose(runtime, attempt, now, "the server gave notice");
}

/** Holds what was claimed, and gives what starts it; hands it back where that cannot be. */
function takeUp(runtime: Runtime, claimed: ClaimedOperation, granted: number, now: number): (() => void)[] {
  const { held, handlers, outbox, stats, settings, standby } = runtime;
  const attempt = new Attempt(claimed, granted, runtime.touch);
  if (held.has(attempt.key)) return []; // a claim that was repeated has brought it before
  stats.claimed += 1;
  const operationType = claimed.operationType ?? DEFAULT_TYPE;
  const handler = handlers.get(operationType);
  if (!handler)
    settings.logger.error("claimed an operation without a handler", { id: attempt.id, operationType });
  if (!handler || runtime.drain || now >= attempt.leaseEnd) {
    outbox.push({ id: attempt.id, leaseToken: attempt.token, status: "NotStarted" });
    return [];
  }
  held.set(attempt.key, attempt);
  standby?.hold(attempt);
  // A repeated claim may bring what was canceled meanwhile.
  if (claimed.cancelRequested) attempt.stop("cancel");
  wakeAt(runtime, Math.min(attempt.nextHeartbeat, attempt.end));
  const context = new Context(attempt, runtime.draining.signal);
  const finish = (end: AttemptEnd): void => {
    runtime.finish(attempt, end);
  };
  return [() => void carryOut(handler, attempt, context).then(finish)];
}

/** The server takes this request never. */
function refused(runtime: Runtime, request: Request, error: LongrunError, now: number): void {
  const { reports, claim } = request;
  const { code, message } = error;
  runtime.settings.logger.error("exchange refused", { code, message, reports: reports.length });
  if (reports.length === 0) {
    // A recall that is refused leaves nothing to be done.
    if (!runtime.drain) fail(runtime, error, now);
    return;
  }
  if (claim && !runtime.suspectClaim) {
    // The reports without the claim may pass; whether the claim alone does is seen after them.
    runtime.suspectClaim = true;
    runtime.outbox.putBack(reports);
    return;
  }
  for (const report of reports) {
    if (report.status !== "Running") runtime.stats.lost += 1;
    else lose(runtime, runtime.held.get(keyOf(report.id, report.leaseToken)), now, message);
  }
}

function noOutcome(report: Report): Outcome {
  return { id: report.id, error: { code: NO_OUTCOME, message: "the server gave no outcome for the report" } };
}

/**
 * From when on the leases of a claim count. One that did not hang was granted after it was sent; counting
 * from then errs on the safe side. One that hung may have been granted just now, but no later than its wait
 * allows: a process that was frozen for a minute must not take its leases for fresh.
 */
export function grantedAt(
  { reports, claim }: Pick<Request, "reports" | "claim">,
  sent: number,
  now: number,
): number {
  return reports.length === 0 ? Math.min(now, sent + (claim?.waitSeconds ?? 0) * 1000) : sent;
}
