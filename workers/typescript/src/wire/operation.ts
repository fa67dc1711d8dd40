/** The operation as the server shows it, and what stands beside it. */

/** Where an operation stands. The wire knows exactly these four. */
export type Status = "NotStarted" | "Running" | "Completed" | "Failed";

/** Whether the status never changes by itself any more. */
export function isTerminal(status: Status): boolean {
  return status === "Completed" || status === "Failed";
}

/**
 * One piece of long-running work, as the server shows it.
 *
 * Times are RFC 3339 in UTC, kept as the text that was sent. A field is absent where the server left it out.
 */
export interface Operation<Result = unknown> {
  /** Its identity, unique within the tenant. */
  id: string;
  /** Where it stands. */
  status: Status;
  /** When it was created, possibly as its client said. */
  createdDateTime?: string;
  /** When it last changed. */
  lastActionDateTime?: string;
  /** The queue it waits in. */
  queue?: string;
  /** Which handler carries it out. */
  operationType?: string;
  /** Carried out elsewhere: never queued, advanced by a {@link Patch}. */
  isExternal?: boolean;
  /** What its handler works on; not in lists and events. */
  input?: unknown;
  /** −100…100, higher first. */
  priority?: number;
  /** Earliest start. */
  startDateTime?: string;
  /** Still waiting by then: it fails as `expired`. */
  expirationDateTime?: string;
  /** Seconds one attempt may take. */
  timeoutSeconds?: number;
  /** How many attempts it has in all. */
  maxAttempts?: number;
  /** The backoff between attempts. */
  retry?: Retry;
  /** Texts by name, for filters. */
  labels?: Record<string, string>;
  /** 0…100. */
  percentComplete?: number;
  /** What it is doing, in a sentence. */
  statusDetail?: string;
  /** What came out, when `Completed`. */
  result?: Result;
  /** Where what came out is to be found. */
  resourceLocation?: string;
  /** Why it failed; while it waits for another attempt, why the last one did. */
  error?: OperationError;
  /** Attempts so far, the running one included. */
  attemptsCount?: number;
  /** When the latest attempt began. */
  startedDateTime?: string;
  /** When it ended. */
  completedDateTime?: string;
  /** Somebody asked for it to be canceled. */
  cancelRequested?: boolean;
  /** Why it does not run yet; only in the answer to a get of one operation. */
  waiting?: Waiting;
}

/** Why an operation does not run yet. */
export interface Waiting {
  /** `ready`, `noWorker`, `delayed`, `retryBackoff`, `queuePaused` or `queueLimit`. */
  reason: string;
  /** Until when, where that is known. */
  untilDateTime?: string;
  /** The same in a sentence. */
  message: string;
}

/** The backoff between attempts, in seconds; an absent field means the server's default. */
export interface Retry {
  /** Before the second attempt. */
  initialDelaySeconds?: number;
  /** By how much each delay is longer than the one before. */
  factor?: number;
  /** No delay is longer, jitter aside. */
  maxDelaySeconds?: number;
  /** The share of the delay that is added at most, at random. */
  jitter?: number;
}

/** What went wrong: in a failed operation, in the outcome of a report, in an answer that is an error. */
export interface OperationError {
  /** For programs. */
  code: string;
  /** For people. */
  message: string;
  /** The field it is about. */
  target?: string;
  /** Several errors behind this one. */
  details?: unknown;
  /** More, in whatever form its maker chose. */
  innerError?: unknown;
}

/** One attempt: those that ended badly, and the one that runs. */
export interface Attempt {
  /** Its fencing token; grows from attempt to attempt. */
  leaseToken: number;
  /** Who carried it out. */
  workerId?: string;
  /** When it began. */
  startedDateTime?: string;
  /** When it ended; absent while it runs. */
  endedDateTime?: string;
  /** How it ended. */
  outcome?: string;
  /** Why it ended badly. */
  error?: OperationError;
}
