/**
 * Submit operations and follow them, in Node and in browsers: nothing here knows more than `fetch`.
 *
 * The rooms: `client` has the verbs, `transport` one call, `repeat` one that is sent again; `wait` polls,
 * `watch` follows events over connections that break, `list` and `filter` find; `error` is what goes wrong;
 * `clock`, `abort`, `backoff` and `random` are time and chance.
 */

export { type CallOptions, Client, type ClientOptions } from "./client.js";
export { type ErrorDetails, LongrunError } from "./error.js";
export { Filter } from "./filter.js";
export type { List, ListQuery, Page } from "./list.js";
export type { Snapshot } from "./snapshot.js";
export type { Fetch } from "./transport.js";
export type { WaitOptions } from "./wait.js";
export type { Watch, WatchFilter, WatchOptions } from "./watch/index.js";
export type {
  OperationEvent,
  OperationEventKind,
  ResetEvent,
  UnknownEvent,
  WatchEvent,
} from "../wire/event.js";
export {
  type Attempt,
  type Operation,
  type OperationError,
  type Retry,
  type Status,
  type Waiting,
  isTerminal,
} from "../wire/operation.js";
export type { Link, LinkRequest } from "../wire/link.js";
export type { Demand, HeldOperation, Queue, QueueChange, WorkerInfo } from "../wire/queue.js";
export type { Patch, Submit } from "../wire/submit.js";
