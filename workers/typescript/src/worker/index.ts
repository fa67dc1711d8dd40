/**
 * The runtime that carries operations out.
 *
 * One loop owns everything: it takes in which calls and handlers have ended, looks at the leases, starts what
 * calls can be started, and waits for the next thing to happen. At most three calls are outstanding, each on
 * a connection of its own:
 *
 * - *reporting* carries what is to be reported, everything that is ready in one call, with a claim for the
 *   free slots: a busy worker pays one round trip for a batch;
 * - *claiming* hangs at the server while slots are free and there is nothing to report;
 * - *beating* carries heartbeats, so that neither a claim that waits nor a large upload holds them up.
 *
 * A call that is lost is repeated exactly as it was until it is answered: the server may have acted on it.
 *
 * The rooms: `options` are the settings and their bounds; `runtime` is the loop and `bell` how it wakes;
 * `launch` says which call goes out when, `call` is one until it is answered; `outbox` has what is to be
 * reported, `report` is the end of an attempt in a report; `answer` is what an answer changes; `lease` are
 * heartbeats, and leases that end; `standby` and its thread keep those while a handler keeps this thread
 * busy; `drain` is the shutdown, `signals` what asks for it.
 */

import { Client } from "../client/client.js";
import { invalidRequest } from "../client/error.js";
import type { Transport } from "../client/transport.js";
import { type AnyHandler, type Handler, type HandlerOptions, anyHandler } from "../handler/index.js";
import { loadTracing } from "../handler/trace.js";
import { type Settings, type WorkerOptions, checkTypes, settings } from "./options.js";
import { Runtime } from "./runtime.js";
import { untilSignal } from "./signals.js";
import { Standby } from "./standby.js";
import type { Stats } from "./stats.js";

/** How a worker runs. */
export interface RunOptions {
  /** Begins the shutdown when it fires, in place of SIGTERM and SIGINT. */
  signal?: AbortSignal;
}

/**
 * Handlers for some operation types, and the server that has the operations.
 *
 * ```ts
 * const worker = new Worker("http://127.0.0.1:8470", { queue: "media", concurrency: 8 });
 * worker.handler("greet", (name: string) => ({ greeting: `Hello, ${name}` }));
 * await worker.run();
 * ```
 */
export class Worker {
  private readonly transport: Transport;
  private readonly settings: Settings;
  private readonly handlers = new Map<string, AnyHandler>();
  private readonly counts: Stats = { claimed: 0, completed: 0, failed: 0, released: 0, lost: 0 };
  private hasRun = false;

  /** A worker for the server at a URL. Throws an `invalidRequest` for what the protocol does not allow. */
  constructor(
    private readonly url: string,
    private readonly options: WorkerOptions = {},
  ) {
    const { token, fetch } = options;
    this.transport = new Client(url, { token, ...(fetch ? { fetch } : {}) }).transport;
    this.settings = settings(options);
  }

  /**
   * Adds the handler of an operation type, in place of an earlier one of the same type. The worker claims
   * operations of exactly the types that have a handler.
   */
  handler<Input = unknown, Output = unknown>(
    operationType: string,
    handler: Handler<Input, Output>,
    options: HandlerOptions<Input> = {},
  ): this {
    this.handlers.set(operationType, anyHandler(handler, options));
    return this;
  }

  /** How this worker calls itself. */
  get id(): string {
    return this.settings.workerId;
  }

  /** The types that have a handler, sorted. */
  get operationTypes(): string[] {
    return [...this.handlers.keys()].sort();
  }

  /** What became of the operations so far. */
  get stats(): Stats {
    return { ...this.counts };
  }

  /**
   * Claims and carries out operations until SIGTERM or SIGINT comes, or `signal` fires, then lets the
   * handlers finish within the grace time, hands the rest back and delivers every report.
   *
   * Throws a `LongrunError`: with a status when the server does not want the worker (401 and 403, or a claim
   * that it refuses for good, for example for the name of a queue), and `undelivered` when the last reports
   * did not get through. An unreachable server is no error: the worker goes on trying.
   */
  async run({ signal }: RunOptions = {}): Promise<Stats> {
    checkTypes(this.operationTypes);
    if (this.hasRun) throw invalidRequest("a worker runs once: make another one");
    this.hasRun = true;
    await loadTracing();
    const runtime = new Runtime(this.transport, this.handlers, this.settings, this.counts, this.standby());
    await (signal ? runtime.run(signal) : untilSignal((shutdown) => runtime.run(shutdown)));
    return this.stats;
  }

  /** A `fetch` of the program's own cannot be given to another thread. */
  private standby(): Standby | undefined {
    const { token, fetch } = this.options;
    return fetch ? undefined : new Standby({ url: this.url, token }, this.settings);
  }
}
