/** What a worker and the server say to each other: reports up, claims down. */

import type { Operation, OperationError, Status } from "./operation.js";

/** A piece of JSON as text, written once and sent as it is. */
export type RawJson = string;

/** What a worker says of an operation it holds. `Running` is a heartbeat or news; `NotStarted` releases. */
export interface Report {
  id: string;
  /** The token of the lease under which this is said. */
  leaseToken: number;
  status: Status;
  percentComplete?: number;
  statusDetail?: string;
  resourceLocation?: string;
  error?: OperationError;
  /** Whether another attempt may help; absent means yes. */
  retryable?: boolean;
  /** Seconds before which no other attempt makes sense. */
  retryAfterSeconds?: number;
  result?: RawJson;
  checkpoint?: RawJson;
}

/** What a worker would take. */
export interface Claim {
  /** Fresh for each claim; the same again only when its answer was lost. */
  id: string;
  queues?: string[];
  operationTypes: string[];
  /** How many at most, 1–1000. */
  limit: number;
  /** How long a lease, 1–3600. */
  leaseSeconds: number;
  /** How long the call may wait for the first operation, 0–30. */
  waitSeconds: number;
}

/** What became of a report. */
export interface Outcome {
  id: string;
  /** It had been said before; the first time stands. */
  repeated?: boolean;
  /** Seconds the lease has from now on, possibly with a fraction. */
  leaseSeconds?: number;
  cancelRequested?: boolean;
  /** Why the report changed nothing. */
  error?: OperationError;
}

/** An operation under a lease of this worker. */
export interface ClaimedOperation extends Operation {
  lease: { token: number; seconds: number };
  /** What an earlier attempt left. */
  checkpoint?: unknown;
  /** The `traceparent` (W3C Trace Context) that it was submitted with. */
  traceparent?: string;
}

/** Something a worker should know of an operation it holds; sent once, possibly lost. */
export interface Notice {
  id: string;
  leaseToken: number;
  /** `cancel`, `lost`, or something that this version does not know. */
  kind: string;
}

/** What the server answers to a call of a worker; read leniently, all three may be absent. */
export interface ExchangeAnswer {
  outcomes: Outcome[];
  operations: ClaimedOperation[];
  notices: Notice[];
}

/** Writes a report, with its payloads exactly as they were written before. */
export function writeReport({ result, checkpoint, ...plain }: Report): RawJson {
  let text = JSON.stringify(plain);
  if (checkpoint !== undefined) text = `${text.slice(0, -1)},"checkpoint":${checkpoint}}`;
  if (result !== undefined) text = `${text.slice(0, -1)},"result":${result}}`;
  return text;
}
