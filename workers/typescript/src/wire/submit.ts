/** What a client sends: a new operation, and a change of an external one. */

import type { OperationError, Retry, Status } from "./operation.js";

/** A new operation. Every field is optional; absent ones are filled in by the server. */
export interface Submit {
  /**
   * The `Idempotency-Key`, at most 255 bytes, not part of the body. The client makes one up where it is
   * absent.
   */
  idempotencyKey?: string;
  /** The `traceparent` of W3C Trace Context, not part of the body. What instruments `fetch` sets it, too. */
  traceparent?: string;
  /** An identity of the client's choice: a UUID. */
  id?: string;
  /** Other than `NotStarted`: the operation is external. */
  status?: Status;
  /** When it was created; RFC 3339. */
  createdDateTime?: string | Date;
  /** When it last changed; RFC 3339. */
  lastActionDateTime?: string | Date;
  /** The queue it waits in; `default` unless set. */
  queue?: string;
  /** Which handler carries it out; `noop` unless set. */
  operationType?: string;
  /** Carried out elsewhere: never queued. */
  isExternal?: boolean;
  /** What its handler works on: anything with a JSON form, at most 256 KiB. */
  input?: unknown;
  /** −100…100, higher first. */
  priority?: number;
  /** Earliest start; RFC 3339. */
  startDateTime?: string | Date;
  /** Still waiting by then: it fails as `expired`; RFC 3339. */
  expirationDateTime?: string | Date;
  /** Seconds one attempt may take. */
  timeoutSeconds?: number;
  /** How many attempts in all, 1…1000; 3 unless set. */
  maxAttempts?: number;
  /** The backoff between attempts. */
  retry?: Retry;
  /** At most 16, of at most 256 characters. */
  labels?: Record<string, string>;
  /** 0…100; external operations only, as the four below. */
  percentComplete?: number;
  /** What it is doing, in a sentence. */
  statusDetail?: string;
  /** What came out. */
  result?: unknown;
  /** Where what came out is to be found. */
  resourceLocation?: string;
  /** Why it failed. */
  error?: OperationError;
}

/** A change of an external operation; absent fields stay as they are. */
export interface Patch {
  /** The same status or a later one. */
  status?: Status;
  /** 0…100. */
  percentComplete?: number;
  /** What it is doing, in a sentence. */
  statusDetail?: string;
  /** What came out. */
  result?: unknown;
  /** Where what came out is to be found. */
  resourceLocation?: string;
  /** Why it failed; `Failed` needs it. */
  error?: OperationError;
}
