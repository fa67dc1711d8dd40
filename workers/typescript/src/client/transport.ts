/** One HTTP call over `fetch`: an absolute deadline, and errors that say what is known. */

import { Deadline } from "./clock.js";
import { LongrunError, invalidAnswer, invalidRequest, unreachable } from "./error.js";

/** Stands in for the global `fetch`, for example to go through a proxy. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** One call, to be sent by {@link Transport.send}. */
export interface Call {
  method: string;
  /** Below the server's URL, with its leading slash. */
  path: string;
  headers?: Record<string, string>;
  /** JSON. */
  body?: string;
  /** When it is over, on the monotonic clock. */
  deadline: number;
  /** Withdraws the call. */
  signal?: AbortSignal | undefined;
}

/** What came back, whatever its status. */
export interface Answer {
  status: number;
  headers: Headers;
  text: string;
}

/** An answer whose body is still to be read. */
export interface Opened {
  response: Response;
  deadline: Deadline;
}

/** Where the server is, and what may be said to it. */
export class Transport {
  private readonly base: string;
  private readonly authorization: string | undefined;

  constructor(
    url: string,
    token: string | undefined,
    private readonly fetch: Fetch,
  ) {
    this.base = base(url);
    this.authorization = token === undefined ? undefined : bearer(token);
  }

  /** Sends the call once and reads the whole answer. */
  async send(call: Call): Promise<Answer> {
    const { response, deadline } = await this.open(call);
    try {
      return { status: response.status, headers: response.headers, text: await response.text() };
    } catch (error) {
      throw lost(error, call, deadline);
    } finally {
      deadline.close();
    }
  }

  /** Sends the call once and reads the head of the answer; whoever takes it closes the deadline. */
  async open(call: Call): Promise<Opened> {
    const deadline = new Deadline(call.deadline, call.signal);
    const headers: Record<string, string> = { accept: "application/json", ...call.headers };
    if (this.authorization !== undefined) headers["authorization"] = this.authorization;
    if (call.body !== undefined) headers["content-type"] = "application/json";
    // A redirected POST would lose its body.
    const init: RequestInit = { method: call.method, headers, redirect: "error", signal: deadline.signal };
    if (call.body !== undefined) init.body = call.body;
    try {
      return { response: await this.fetch(this.base + call.path, init), deadline };
    } catch (error) {
      deadline.close();
      throw lost(error, call, deadline);
    }
  }
}

/** The answer itself when it is one of success, else the server's refusal is thrown. */
export function success(answer: Answer): Answer {
  if (answer.status >= 200 && answer.status < 300) return answer;
  throw refusal(answer);
}

/** What the server refuses with. */
export function refusal(answer: Answer): LongrunError {
  // A proxy between us and the server answers in its own words: those are no reason to fail otherwise.
  const { code, message, target } = errorOf(answer.text);
  const retryAfterSeconds = retryAfter(answer.headers);
  const requestId = answer.headers.get("request-id");
  const details = {
    status: answer.status,
    ...(target === undefined ? {} : { target }),
    ...(requestId === null ? {} : { requestId }),
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  };
  return new LongrunError(code ?? "unknown", message ?? `the server answered with ${answer.status}`, details);
}

/** The answer's JSON. */
export function json(answer: Answer): unknown {
  try {
    return JSON.parse(answer.text);
  } catch (error) {
    throw invalidAnswer(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** `Retry-After` in its form of whole seconds; the server of the protocol sends no other. */
export function retryAfter(headers: Headers): number | undefined {
  const text = headers.get("retry-after")?.trim() ?? "";
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

/** Writes a value as the body of a request. */
export function body(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    throw invalidRequest(`the body has no JSON form: ${String(error)}`, error);
  }
}

function errorOf(text: string): { code?: string; message?: string; target?: string } {
  try {
    const { error } = JSON.parse(text) as { error?: Record<string, unknown> };
    const texts = Object.entries(error ?? {}).filter(
      ([, value]) => typeof value === "string" && value !== "",
    );
    return Object.fromEntries(texts);
  } catch {
    return {};
  }
}

/** What became of a call without an answer: withdrawn, too late, or not carried. */
function lost(error: unknown, call: Call, deadline: Deadline): unknown {
  if (deadline.isOver) return new LongrunError("deadline", "the time for the call is over", { cause: error });
  if (call.signal?.aborted) return call.signal.reason;
  return unreachable(error);
}

function base(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch (error) {
    throw invalidRequest(`the server's URL '${url}' cannot be used: it is no absolute URL`, error);
  }
  if (parsed.protocol !== "http:" && parsed.protocol !== "https:") {
    throw invalidRequest(`the server's URL '${url}' cannot be used: it must begin with http:// or https://`);
  }
  if (parsed.search !== "" || parsed.hash !== "") {
    throw invalidRequest(`the server's URL '${url}' cannot be used: it must not have a query`);
  }
  return url.replace(/\/+$/, "");
}

function bearer(token: string): string {
  // The token itself stays out of the message: it is a secret.
  if (!/^[\x21-\x7e]+$/.test(token.trim()))
    throw invalidRequest("the token holds characters that no token has");
  return `Bearer ${token.trim()}`;
}
