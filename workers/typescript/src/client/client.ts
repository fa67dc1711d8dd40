/**
 * The client of submitters, pollers and watchers.
 *
 * Every call has an absolute deadline. A submit always carries an idempotency key, so it is repeated under
 * that key when its answer is lost or the server asks to come back later; reads are repeated likewise. Calls
 * that are not safe to repeat are sent once. Each call throws a {@link LongrunError}, or the reason of its
 * signal once that has fired.
 */

import type { Link, LinkRequest } from "../wire/link.js";
import type { Attempt, Operation } from "../wire/operation.js";
import type { Demand, Queue, QueueChange, WorkerInfo } from "../wire/queue.js";
import type { Patch, Submit } from "../wire/submit.js";
import { now } from "./clock.js";
import { invalidAnswer, invalidRequest } from "./error.js";
import type { Filter } from "./filter.js";
import { List, type ListQuery, countPath } from "./list.js";
import { fresh } from "./random.js";
import { type Repeatable, repeated } from "./repeat.js";
import { type Snapshot, snapshot } from "./snapshot.js";
import { type Answer, type Fetch, Transport, body, json, success } from "./transport.js";
import { type WaitOptions, preferWait, waitForEnd } from "./wait.js";
import { Watch, type WatchFilter, type WatchOptions, eventsPath } from "./watch/index.js";

const DEADLINE_SECONDS = 30;
const KEY_BYTES_MAX = 255;

/** Settings of a {@link Client}. */
export interface ClientOptions {
  /** The bearer token; a server on loopback may need none. */
  token?: string | undefined;
  /**
   * How many seconds one call may take in all, its repetitions included; 30 unless set. Time that the server
   * was asked to wait comes on top.
   */
  deadlineSeconds?: number;
  /** In place of the global `fetch`. */
  fetch?: Fetch;
}

/** What every call takes. */
export interface CallOptions {
  /** Withdraws the call. */
  signal?: AbortSignal;
}

/** A client of one server, such as `http://127.0.0.1:8470`. */
export class Client {
  private readonly deadline: number;
  /** For what else speaks to this server. */
  readonly transport: Transport;

  constructor(url: string, options: ClientOptions = {}) {
    // Called by its name, since browsers refuse a `fetch` that is called as somebody's method.
    const fetch: Fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.transport = new Transport(url, options.token, fetch);
    this.deadline = (options.deadlineSeconds ?? DEADLINE_SECONDS) * 1000;
  }

  /**
   * Hands an operation in. Once this resolves, the operation is durable. With `waitSeconds` (at most 60) the
   * server answers only when the operation has ended, or after that time; the status tells which.
   */
  async submit<Result = unknown>(
    submit: Submit,
    options: CallOptions & { waitSeconds?: number } = {},
  ): Promise<Snapshot<Result>> {
    const { idempotencyKey = fresh(), traceparent, ...operation } = submit;
    const bytes = new TextEncoder().encode(idempotencyKey).length;
    if (bytes === 0 || bytes > KEY_BYTES_MAX || !/^[\x20-\x7e]*$/.test(idempotencyKey)) {
      throw invalidRequest(`an idempotency key has 1 to ${KEY_BYTES_MAX} printable ASCII characters`);
    }
    const waitSeconds = options.waitSeconds ?? 0;
    const headers: Record<string, string> = { "idempotency-key": idempotencyKey };
    if (traceparent !== undefined) headers["traceparent"] = traceparent;
    if (waitSeconds > 0) headers["prefer"] = preferWait(waitSeconds);
    const call = { method: "POST", path: "/v1.0/operations", headers, body: body(operation) };
    return snapshot(await this.repeated(call, options, waitSeconds * 1000));
  }

  /** The operation as it is now. */
  async get<Result = unknown>(id: string, options: CallOptions = {}): Promise<Snapshot<Result>> {
    return snapshot(await this.read(operationPath(id), options));
  }

  /** The operation if it is no longer the one of this `ETag`, else nothing. */
  async getIfChanged<Result = unknown>(
    id: string,
    etag: string,
    options: CallOptions = {},
  ): Promise<Snapshot<Result> | undefined> {
    const answer = await this.read(operationPath(id), options, { "if-none-match": etag });
    return answer.status === 304 ? undefined : snapshot(answer);
  }

  /**
   * Waits until the operation is `Completed` or `Failed`, for ever or as long as `timeoutSeconds` says; then
   * a `deadline` is thrown, and the operation goes on.
   */
  wait<Result = unknown>(id: string, options: WaitOptions = {}): Promise<Snapshot<Result>> {
    const poll = async (seconds: number, until: number): Promise<Snapshot<Result>> => {
      const call = { method: "GET", path: operationPath(id), headers: { prefer: preferWait(seconds) } };
      const deadline = Math.min(until, now() + this.deadline + seconds * 1000);
      return snapshot(await repeated(this.transport, { ...call, deadline, signal: options.signal }));
    };
    return waitForEnd(poll, options);
  }

  /** Watches one operation, from how it stands now to its end. */
  watch<Result = unknown>(id: string, options: WatchOptions = {}): Watch<Result> {
    const watched = { path: operationPath(id, "/events"), ofOne: true };
    return new Watch({ ...watched, transport: this.transport, patience: this.deadline }, options);
  }

  /** Watches all operations that the filter lets through, from now on and without an end. */
  watchAll<Result = unknown>(filter: WatchFilter = {}, options: WatchOptions = {}): Watch<Result> {
    const watched = { path: eventsPath(filter), ofOne: false };
    return new Watch({ ...watched, transport: this.transport, patience: this.deadline }, options);
  }

  /** The operations that a query asks for, to loop over; `pages()` of it gives them page by page. */
  list(query: ListQuery = {}, options: CallOptions = {}): List {
    return new List(query, async (path) => json(await this.read(path, options)));
  }

  /** How many operations there are, of those that the filter lets through or of all. */
  async count(filter?: Filter | string, options: CallOptions = {}): Promise<number> {
    const count = json(await this.read(countPath(filter), options));
    if (typeof count !== "number") throw invalidAnswer("a count that is no number");
    return count;
  }

  /** The attempts that ended badly, and the one that runs. */
  async attempts(id: string, options: CallOptions = {}): Promise<Attempt[]> {
    return values(await this.read(operationPath(id, "/attempts"), options));
  }

  /** Asks for the operation to be canceled. One that runs goes on until its worker has heard of it. */
  async cancel(id: string, options: CallOptions = {}): Promise<Snapshot> {
    return snapshot(await this.once({ method: "POST", path: operationPath(id, "/cancel") }, options));
  }

  /** Gives a failed operation its attempts back. */
  async retry(id: string, options: CallOptions = {}): Promise<Snapshot> {
    return snapshot(await this.once({ method: "POST", path: operationPath(id, "/retry") }, options));
  }

  /** Advances an external operation, with `ifMatch` only if it is still the one of that `ETag`. */
  async patch(id: string, patch: Patch, options: CallOptions & { ifMatch?: string } = {}): Promise<Snapshot> {
    const headers: Record<string, string> =
      options.ifMatch === undefined ? {} : { "if-match": options.ifMatch };
    const call = { method: "PATCH", path: operationPath(id), headers, body: body(patch) };
    return snapshot(await this.once(call, options));
  }

  /** Deletes an operation that has ended. */
  async delete(id: string, options: CallOptions = {}): Promise<void> {
    await this.once({ method: "DELETE", path: operationPath(id) }, options);
  }

  /**
   * Makes a link, by which whoever has it, as a page in a browser, follows the operation without a token.
   * Repeated as a read is: of a link whose answer was lost nobody knows.
   */
  async createLink(id: string, request: LinkRequest = {}, options: CallOptions = {}): Promise<Link> {
    const call = { method: "POST", path: operationPath(id, "/createLink"), body: body(request) };
    const { link } = json(await this.repeated(call, options, 0)) as { link?: Link };
    if (link === undefined) throw invalidAnswer("it has no link");
    return link;
  }

  /** The queues that hold anything or are paused or limited, by name. */
  async queues(options: CallOptions = {}): Promise<Queue[]> {
    return values(await this.read("/v1.0/queues", options));
  }

  /** How much a queue wants workers. One that never was wants none. */
  async demand(queue: string, options: CallOptions = {}): Promise<Demand> {
    return json(await this.read(queuePath(queue, "/demand"), options)) as Demand;
  }

  /**
   * Pauses, resumes or limits a queue; how it stands then. Repeated as a read is: a change says what is to
   * be, not by how much.
   */
  async setQueue(queue: string, change: QueueChange, options: CallOptions = {}): Promise<Queue> {
    const call = { method: "PATCH", path: queuePath(queue), body: body(change) };
    return json(await this.repeated(call, options, 0)) as Queue;
  }

  /** The workers that asked for work in the last hour or hold operations; first those that asked last. */
  async workers(options: CallOptions = {}): Promise<WorkerInfo[]> {
    return values(await this.read("/v1.0/workers", options));
  }

  /** Resolves while the server is ready to serve; throws its reason while it is not. */
  async health(options: CallOptions = {}): Promise<void> {
    await this.once({ method: "GET", path: "/readyz" }, options);
  }

  /**
   * Moves the clock of a server started with `longrun dev --test-clock` ahead, and carries out all that falls
   * due on the way before it resolves with the server's new time. For tests.
   */
  async advanceClock(seconds: number, options: CallOptions = {}): Promise<string> {
    const call = { method: "POST", path: "/v1.0/test/advance", body: body({ seconds }) };
    const { currentDateTime } = json(await this.once(call, options)) as { currentDateTime?: unknown };
    if (typeof currentDateTime !== "string") throw invalidAnswer("it has no currentDateTime");
    return currentDateTime;
  }

  /** A read: repeated within the client's deadline. */
  private read(path: string, options: CallOptions, headers: Record<string, string> = {}): Promise<Answer> {
    return this.repeated({ method: "GET", path, headers }, options, 0);
  }

  private repeated(call: Repeatable, options: CallOptions, wait: number): Promise<Answer> {
    return repeated(this.transport, {
      ...call,
      signal: options.signal,
      deadline: now() + this.deadline + wait,
    });
  }

  /** A call that is not safe to repeat. */
  private async once(call: Repeatable, options: CallOptions): Promise<Answer> {
    const deadline = now() + this.deadline;
    return success(await this.transport.send({ ...call, deadline, signal: options.signal }));
  }
}

function operationPath(id: Operation["id"], verb = ""): string {
  return `/v1.0/operations/${encodeURIComponent(id)}${verb}`;
}

function queuePath(queue: string, verb = ""): string {
  return `/v1.0/queues/${encodeURIComponent(queue)}${verb}`;
}

function values<T>(answer: Answer): T[] {
  const { value } = json(answer) as { value?: T[] };
  if (!Array.isArray(value)) throw invalidAnswer("a list without a value");
  return value;
}
