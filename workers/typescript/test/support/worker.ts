/** A worker that runs beside its test. */

import type { TestContext } from "node:test";

import { type Handler, type Stats, Worker, type WorkerOptions } from "longrun-sdk";

import { finallyDo, soon } from "./wait.js";

export interface Running {
  worker: Worker;
  /** What it told its logger. */
  lines: string[];
  /** Begins the shutdown. */
  shutDown(): void;
  /** The end of a worker that ends by itself or was shut down. */
  ended: Promise<Stats>;
  /** Shuts the worker down and waits for its end. */
  stop(): Promise<Stats>;
}

export type Handlers = Record<string, Handler<never, unknown>>;

/** Starts a worker for a server, four handlers at a time unless said otherwise. */
export function start(
  test: TestContext,
  url: string,
  handlers: Handlers,
  options: WorkerOptions = {},
): Running {
  const lines: string[] = [];
  const log = (message: string, fields: object): void => {
    lines.push(`${message} ${JSON.stringify(fields)}`);
  };
  const worker = new Worker(url, {
    concurrency: 4,
    logger: { info: log, warn: log, error: log },
    graceSeconds: 1,
    ...options,
  });
  for (const [operationType, handler] of Object.entries(handlers)) {
    worker.handler(operationType, handler as Handler<unknown, unknown>);
  }
  const shutdown = new AbortController();
  const ended = soon("the end of the worker", worker.run({ signal: shutdown.signal }));
  ended.catch(() => undefined);
  const shutDown = (): void => {
    shutdown.abort();
  };
  const stop = (): Promise<Stats> => {
    shutDown();
    return ended;
  };
  finallyDo(test, () => stop().catch(() => undefined));
  return { worker, lines, shutDown, ended, stop };
}
