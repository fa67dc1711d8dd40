/** Links: what shows one operation to whoever has it. */

/** URLs by which whoever has them reads and watches one operation, without a token and without its input. */
export interface Link {
  type: string;
  /** Answers how the operation stands, as a `GET` of it does. */
  statusUrl: string;
  /** A stream of its events, for an `EventSource`. */
  eventsUrl: string;
  /** When both end. */
  expirationDateTime: string;
}

/** What a link is to be. */
export interface LinkRequest {
  /** When it ends, at most 30 days ahead; in a day where it is absent. */
  expirationDateTime?: string;
  /** Whether every link to the operation that was made before ends. */
  revoke?: boolean;
}
