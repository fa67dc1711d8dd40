/** Queues, what is set for them, and who takes from them. */

/** How a queue stands, and what is set for it. */
export interface Queue extends Demand {
  /** Its name. */
  name: string;
  /** Operations that ended well and are still kept. */
  completed: number;
  /** Operations that ended otherwise and are still kept. */
  failed: number;
  /** How many may run at a time; absent without a limit. */
  maxRunning?: number;
  /** How many may wait before new ones are refused; absent without a limit. */
  maxWaiting?: number;
}

/** What an autoscaler asks of a queue. */
export interface Demand {
  /** Operations that may be claimed, as far as the queue's own pause and limit let them. */
  ready: number;
  /** Those that may not start yet. */
  delayed: number;
  /** Those under a lease. */
  running: number;
  /** Seconds since when the oldest ready one waits; 0 when there is none. */
  oldestReadySeconds: number;
  /** Nothing is claimed from it. */
  paused: boolean;
}

/** A change of what is set for a queue. What is absent stays as it is; `null` clears a limit. */
export interface QueueChange {
  /** Whether claims pass it by. What runs goes on, and new operations are taken in. */
  paused?: boolean;
  /** How many may run at a time. */
  maxRunning?: number | null;
  /** How many may wait before new ones are refused as `queueFull`. */
  maxWaiting?: number | null;
}

/** A worker process, as the server knows it. */
export interface WorkerInfo {
  /** Its name. */
  workerId: string;
  /** When it last asked for work; absent: too long ago. */
  lastAskedDateTime?: string;
  /** From where, which may be a proxy; absent: the server itself. */
  address?: string;
  /** Of which queues; absent: of every one. */
  queues?: string[];
  /** Of which types; absent: of every one. */
  operationTypes?: string[];
  /** How many operations it holds. */
  running: number;
  /** The first of those. */
  operations: HeldOperation[];
}

/** An operation that a worker holds. */
export interface HeldOperation {
  /** Its id. */
  id: string;
  /** Its queue. */
  queue: string;
  /** Its type. */
  operationType: string;
  /** The token of the attempt. */
  leaseToken: number;
  /** Seconds that are left of its lease. */
  leaseSeconds: number;
}
