/** What can go wrong between a program and the server. */

/** What is known of an error beside its code and message. */
export interface ErrorDetails {
  /** The HTTP status; 0 where no answer came. */
  status?: number;
  /** The field it is about. */
  target?: string;
  /** The server's name for the request, for its logs. */
  requestId?: string;
  /** Seconds the server asks to wait before another try. */
  retryAfterSeconds?: number;
  /** What is behind it. */
  cause?: unknown;
}

/**
 * Why a call came to nothing, or a worker ended.
 *
 * With a `status` the server answered, and `code` is its own (`itemNotFound`, `conflict`, …; `unknown` from a
 * proxy). With a status of 0 it did not, and `code` is one of
 *
 * - `unreachable`: no answer came, or only a part of one; whether the server acted on the request is unknown;
 * - `deadline`: the time for the call was over, and the same is unknown;
 * - `invalidAnswer`: the answer is not of the protocol;
 * - `invalidRequest`: the request cannot be made, and nothing was sent;
 * - `undelivered`: a worker ended while the server could not be reached.
 */
export class LongrunError extends Error {
  override readonly name = "LongrunError";
  /** For programs. */
  readonly code: string;
  /** The HTTP status; 0 where no answer came. */
  readonly status: number;
  /** The field it is about. */
  readonly target: string | undefined;
  /** The server's name for the request, for its logs. */
  readonly requestId: string | undefined;
  /** Seconds the server asks to wait before another try. */
  readonly retryAfterSeconds: number | undefined;

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.status = details.status ?? 0;
    this.target = details.target;
    this.requestId = details.requestId;
    this.retryAfterSeconds = details.retryAfterSeconds;
  }

  /**
   * Whether the same request may succeed later: nothing was heard, or the server was not able to. A 5xx to a
   * write means *unknown*, so only a request that is safe to repeat may be repeated.
   */
  get isTransient(): boolean {
    if (this.status === 0) return this.code === "unreachable";
    return this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** A request that has no form on the wire. */
export function invalidRequest(message: string, cause?: unknown): LongrunError {
  return new LongrunError("invalidRequest", message, { cause });
}

/** An answer that is not of the protocol. */
export function invalidAnswer(message: string, details: ErrorDetails = {}): LongrunError {
  return new LongrunError("invalidAnswer", `the server's answer is not of the protocol: ${message}`, details);
}

/** The outermost error of `fetch` says little; what went wrong stands at the end of the chain. */
export function unreachable(error: unknown): LongrunError {
  return new LongrunError("unreachable", `the server cannot be reached: ${reasons(error)}`, { cause: error });
}

/** The messages of an error and of all its causes. */
export function reasons(error: unknown): string {
  const messages: string[] = [];
  let inner = error;
  while (inner instanceof Error && messages.length < 8) {
    const { code } = inner as { code?: unknown };
    messages.push(inner.message || (typeof code === "string" ? code : inner.name));
    inner = inner.cause;
  }
  return messages.length > 0 ? messages.join(": ") : String(error);
}
