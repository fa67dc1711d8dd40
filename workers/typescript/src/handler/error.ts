/** How an attempt fails. */

import { reasons } from "../client/error.js";

/** Codes that only the server gives; a report with one of them would be refused. */
const RESERVED = ["canceled", "expired", "timeout", "leaseExpired", "invalidRequest"];
/** The code where a handler gives none of its own. */
const UNNAMED = "handlerError";

/**
 * Why an attempt came to nothing, and whether another may help: a {@link RetryableError}, a {@link
 * PermanentError} or a {@link ReleasedError}. Anything else that a handler throws counts as a retryable
 * `handlerError`.
 *
 * The code is for programs (`upstream`, `notReady`), the message for people. The codes `canceled`, `expired`,
 * `timeout`, `leaseExpired` and `invalidRequest` belong to the server; one of them becomes `handlerError`,
 * with the code in the message.
 */
export abstract class HandlerError extends Error {
  /** For programs. */
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(RESERVED.includes(code) ? `${code}: ${message}` : message, options);
    this.code = code === "" || RESERVED.includes(code) ? UNNAMED : code;
  }
}

/** Another attempt may help; the operation's retry policy says when it comes. */
export class RetryableError extends HandlerError {
  override readonly name = "RetryableError";
  /** Seconds before which no other attempt makes sense, a whole number. */
  readonly after: number | undefined;

  /** With `after`, no other attempt begins before so many seconds, rounded up, have passed. */
  constructor(code: string, message: string, options: { after?: number; cause?: unknown } = {}) {
    super(code, message, options.cause === undefined ? undefined : { cause: options.cause });
    const after = Math.ceil(options.after ?? Number.NaN);
    this.after = Number.isFinite(after) && after >= 0 ? after : undefined;
  }
}

/** No other attempt would help: the operation is `Failed`. */
export class PermanentError extends HandlerError {
  override readonly name = "PermanentError";
}

/**
 * Hands the operation back for another worker, with its latest checkpoint. The attempt is not counted. Meant
 * for a worker that shuts down, see `Context.draining`.
 */
export class ReleasedError extends HandlerError {
  override readonly name = "ReleasedError";

  constructor(message = "handed back") {
    super("released", message);
  }
}

/** Whatever a handler threw, as an error of an attempt. */
export function handlerError(thrown: unknown): HandlerError {
  if (thrown instanceof HandlerError) return thrown;
  const prefix =
    thrown instanceof Error && thrown.name !== "Error" && thrown.message ? `${thrown.name}: ` : "";
  return new RetryableError(UNNAMED, prefix + reasons(thrown), { cause: thrown });
}
