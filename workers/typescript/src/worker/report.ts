/** What the end of an attempt is in a report. */

import type { Attempt } from "../handler/attempt.js";
import { type HandlerError, PermanentError, ReleasedError, RetryableError } from "../handler/error.js";
import type { AttemptEnd } from "../handler/index.js";
import { bytesOf, clean, cutBytes, cutCharacters, escapedBytes, write } from "../handler/json.js";
import { Success, type SuccessDetails, success } from "../handler/success.js";
import type { OperationError } from "../wire/operation.js";
import type { Report } from "../wire/work.js";

/** The protocol's bound on a result. */
const RESULT_BYTES_MAX = 256 * 1024;
/** The protocol's bound on an error is 16 KiB; this leaves room for its names and braces. */
const ERROR_BYTES_MAX = 16 * 1024 - 256;
const CODE_BYTES_MAX = 128;
/** The protocol's bound on a status detail. */
const DETAIL_CHARS_MAX = 1024;

/** The reports that tell how the attempt ended, in the order in which they are to be sent. */
export function ofEnd(attempt: Attempt, end: AttemptEnd): Report[] {
  const last = end.error ? stoppedOrFailed(attempt, end.error) : completed(attempt, end.output);
  // The next attempt shall start from the latest checkpoint, which only a `Running` report stores.
  const before = last.status === "Failed" && last.retryable === undefined ? unsentCheckpoint(attempt) : [];
  return [...before, last];
}

/** What is said of an operation whose handler was given up. */
export function ofAbort(attempt: Attempt): Report[] {
  // After a timeout not handed back: that would not count the attempt, and it would time out for ever.
  if (attempt.reason !== "timeout") return [released(attempt)];
  return ofEnd(attempt, {
    error: new RetryableError("timedOut", "the attempt took too long and was given up"),
  });
}

/** What is said of an operation that runs: its news, or nothing, which is a heartbeat. */
export function running(attempt: Attempt): Report {
  const { statusDetail, ...unsent } = attempt.takeUnsent();
  const detail = statusDetail === undefined ? {} : { statusDetail: cutDetail(statusDetail) };
  return { ...heartbeat(attempt), ...unsent, ...detail };
}

/** Says only that it runs. */
export function heartbeat(attempt: Attempt): Report {
  return { id: attempt.id, leaseToken: attempt.token, status: "Running" };
}

/** Hands the operation back, with the latest checkpoint for whoever takes it next. */
export function released(attempt: Attempt): Report {
  const { checkpoint } = attempt;
  return { ...heartbeat(attempt), status: "NotStarted", ...(checkpoint === undefined ? {} : { checkpoint }) };
}

/** What is said instead of an end that the server refuses to take: the truth, in a form it does take. */
export function ofRefused(refused: Report, reason: OperationError): Report {
  const error = new PermanentError(
    "reportRefused",
    `the report of the result was refused: ${reason.message}`,
  );
  return { id: refused.id, leaseToken: refused.leaseToken, ...failure(error) };
}

function completed(attempt: Attempt, output: unknown): Report {
  const ended = output instanceof Success ? (output as Success) : success(output);
  const { result, details } = ended;
  const json = result === undefined ? undefined : write(result);
  if (json?.error !== undefined)
    return failed(attempt, new PermanentError("invalidResult", `result: ${json.error}`));
  const bytes = json === undefined ? 0 : bytesOf(json.text);
  if (bytes > RESULT_BYTES_MAX) {
    const message = `the result has ${bytes} bytes of JSON, ${RESULT_BYTES_MAX} are allowed`;
    return failed(attempt, new PermanentError("outputTooLarge", message));
  }
  return {
    ...lastNews(attempt, details),
    status: "Completed",
    ...(json === undefined ? {} : { result: json.text }),
  };
}

/** The last news of an attempt's progress may not have gone out yet. */
function lastNews(attempt: Attempt, details: SuccessDetails): Report {
  const { percentComplete, statusDetail } = attempt.takeUnsent();
  const detail = details.statusDetail ?? statusDetail;
  return {
    ...heartbeat(attempt),
    ...(percentComplete === undefined ? {} : { percentComplete }),
    ...(detail === undefined ? {} : { statusDetail: cutDetail(detail) }),
    ...(details.resourceLocation === undefined ? {} : { resourceLocation: details.resourceLocation }),
  };
}

/** A retryable error of a handler that was stopped for the worker's sake tells nothing of the operation. */
function stoppedOrFailed(attempt: Attempt, error: HandlerError): Report {
  const isWorkersDoing = attempt.reason === "shutdown" || attempt.reason === "leaseLost";
  const tellsNothing = error instanceof RetryableError && isWorkersDoing;
  return error instanceof ReleasedError || tellsNothing ? released(attempt) : failed(attempt, error);
}

function failed(attempt: Attempt, error: HandlerError): Report {
  return { id: attempt.id, leaseToken: attempt.token, ...failure(error) };
}

function failure(thrown: HandlerError): Pick<Report, "status" | "error" | "retryable" | "retryAfterSeconds"> {
  const code = cutBytes(clean(thrown.code), CODE_BYTES_MAX);
  const message = cutBytes(clean(thrown.message), ERROR_BYTES_MAX - escapedBytes(code));
  const error = { code, message };
  if (!(thrown instanceof RetryableError)) return { status: "Failed", error, retryable: false };
  return {
    status: "Failed",
    error,
    ...(thrown.after === undefined ? {} : { retryAfterSeconds: thrown.after }),
  };
}

function unsentCheckpoint(attempt: Attempt): Report[] {
  const report = running(attempt);
  return report.checkpoint === undefined ? [] : [report];
}

function cutDetail(detail: string): string {
  return cutCharacters(clean(detail), DETAIL_CHARS_MAX);
}
