/** An operation as it was when the server answered. */

import type { Operation } from "../wire/operation.js";
import { invalidAnswer } from "./error.js";
import { type Answer, json, retryAfter } from "./transport.js";

/** An operation, and what the answer said beside it. */
export interface Snapshot<Result = unknown> {
  /** The operation. */
  operation: Operation<Result>;
  /** Its version, for `getIfChanged` and `ifMatch`. */
  etag?: string;
  /** Seconds after which to ask again; absent once it has ended. */
  retryAfterSeconds?: number;
  /** Its absolute URL; in answers to a submit only. */
  location?: string;
  /** The submit repeated an earlier one; the operation is that one's. */
  replayed: boolean;
}

/** Reads it from an answer. */
export function snapshot<Result>(answer: Answer): Snapshot<Result> {
  const operation = json(answer) as Operation<Result>;
  if (typeof operation !== "object" || typeof operation.id !== "string")
    throw invalidAnswer("it is no operation");
  const etag = answer.headers.get("etag");
  const location = answer.headers.get("location");
  const retryAfterSeconds = retryAfter(answer.headers);
  return {
    operation,
    replayed: answer.headers.get("idempotency-replayed") === "true",
    ...(etag === null ? {} : { etag }),
    ...(location === null ? {} : { location }),
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  };
}
