/** How an attempt ends well. */

/** What goes with a result. */
export interface SuccessDetails {
  /** The sentence that tells people how it ended, at most 1,024 characters. */
  statusDetail?: string;
  /** The absolute URL of what was made. */
  resourceLocation?: string;
}

/** What came out of an operation, with more to say than its result. Made by {@link success}. */
export class Success<Result = unknown> {
  constructor(
    readonly result: Result,
    readonly details: SuccessDetails,
  ) {}
}

/**
 * A result with a sentence about it, or with the URL of what was made. A handler that has no more than a
 * result returns just that.
 *
 * A result has at most 256 KiB of JSON: a larger one fails the operation as `outputTooLarge`, a value without
 * JSON form as `invalidResult`, both for good. `undefined` is none.
 */
export function success<Result>(result: Result, details: SuccessDetails = {}): Success<Result> {
  return new Success(result, details);
}
