/**
 * Longrun from the outside: a `Client` submits operations and follows them, a `Worker` claims them, runs the
 * handler of their type and reports.
 *
 * - `wire`: the JSON of the protocol as types;
 * - `client`: submit, get, wait, watch, list, cancel and the rest; also for browsers, as
 *   `longrun-sdk/client`;
 * - `handler`: what a worker author writes;
 * - `worker`: the runtime: claims, leases, heartbeats, repetition, shutdown.
 */

export * from "./client/index.js";
export type { StopReason } from "./handler/attempt.js";
export { Context } from "./handler/context.js";
export { HandlerError, PermanentError, ReleasedError, RetryableError } from "./handler/error.js";
export type { Handler, HandlerOptions } from "./handler/index.js";
export { Success, type SuccessDetails, success } from "./handler/success.js";
export { type RunOptions, Worker } from "./worker/index.js";
export type { Logger, WorkerOptions } from "./worker/options.js";
export type { Stats } from "./worker/stats.js";
