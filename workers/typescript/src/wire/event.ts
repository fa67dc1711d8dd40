/** What a watcher is told. */

import type { Operation } from "./operation.js";

/** What can happen to an operation, by its names on the wire. */
const OPERATION_EVENTS = [
  /** Nothing yet: how the operation stands where its stream begins. */
  "snapshot",
  /** Submitted. */
  "created",
  /** Taken up by a worker, or patched to `Running`. */
  "started",
  /** Further on. */
  "progress",
  /** Back in its queue for another attempt. */
  "retrying",
  /** Given back by its worker. */
  "released",
  /** Its end was asked for. */
  "canceling",
  /** Ended well. */
  "completed",
  /** Ended otherwise. */
  "failed",
  /** Patched with the status it had. */
  "updated",
  /** Removed. */
  "deleted",
] as const;

/** What happened to an operation. */
export type OperationEventKind = (typeof OPERATION_EVENTS)[number];

/** Something happened to an operation. */
export interface OperationEvent<Result = unknown> {
  /** What. */
  event: OperationEventKind;
  /** Its place in the order of events, opaque; a watch can go on after it. */
  cursor: string;
  /**
   * The operation as it was after that, without `input`; with `result` in `snapshot` and `completed` only.
   */
  operation: Operation<Result>;
}

/** Events were missed: those asked for are no longer kept. What follows has no further gap. */
export interface ResetEvent {
  event: "reset";
  /** Where the stream goes on. */
  cursor: string;
}

/** Something that this version does not know. */
export interface UnknownEvent {
  event: "unknown";
  /** Its place in the order of events. */
  cursor: string;
}

/** One event of a stream. */
export type WatchEvent<Result = unknown> = OperationEvent<Result> | ResetEvent | UnknownEvent;

/** Whether this version knows an event of an operation by that name. */
export function isOperationEvent(name: string): name is OperationEventKind {
  return (OPERATION_EVENTS as readonly string[]).includes(name);
}
