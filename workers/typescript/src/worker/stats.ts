/** What became of the operations of a worker. */

/** Counts since the worker began. An end counts once the server has confirmed it. */
export interface Stats {
  /** Operations taken under a lease. */
  claimed: number;
  /** Ended well. */
  completed: number;
  /** Attempts that failed, to be tried again or not. */
  failed: number;
  /** Handed back. */
  released: number;
  /** Whose lease ended without this worker's doing, or whose report the server refused. */
  lost: number;
}
