/** The settings of a worker, and their bounds. */

import { hostname } from "node:os";
import { pid } from "node:process";

import { invalidRequest } from "../client/error.js";
import { fresh } from "../client/random.js";
import type { Fetch } from "../client/transport.js";

const TYPES_MAX = 64;
const QUEUES_MAX = 16;
const HOST_CHARS_MAX = 80;

/** Where a worker tells what went wrong and was seen to; `console` is one. */
export interface Logger {
  info(message: string, fields: Record<string, unknown>): void;
  warn(message: string, fields: Record<string, unknown>): void;
  error(message: string, fields: Record<string, unknown>): void;
}

/** Settings of a `Worker`. */
export interface WorkerOptions {
  /** The bearer token; a server on loopback may need none. */
  token?: string | undefined;
  /** The queue it serves; `default` unless set. */
  queue?: string;
  /** The queues it serves in place of one, 1–16. */
  queues?: string[];
  /** How many handlers run at a time, 16 unless set. */
  concurrency?: number;
  /**
   * How many whole seconds a lease lasts without a heartbeat, 1–3600, 30 unless set: after a crash of the
   * worker that is how long its operations rest. Heartbeats go out at a third of it.
   */
  leaseSeconds?: number;
  /** How many whole seconds an idle claim hangs at the server, 0–30, 20 unless set. */
  waitSeconds?: number;
  /** How many seconds handlers may go on after the shutdown began, 10 unless set. */
  graceSeconds?: number;
  /**
   * How the worker calls itself, 1–128 printable ASCII characters. It must differ from start to start; unless
   * set, it is made of host, process and chance.
   */
  workerId?: string;
  /** Where warnings and errors go, standard error unless set. */
  logger?: Logger;
  /** In place of the global `fetch`. */
  fetch?: Fetch;
}

/** Settings, checked. */
export interface Settings {
  workerId: string;
  queues: string[] | undefined;
  concurrency: number;
  leaseSeconds: number;
  waitSeconds: number;
  /** In milliseconds. */
  grace: number;
  logger: Logger;
}

/** Fills in and checks; throws an `invalidRequest` for a setting outside of what the protocol allows. */
export function settings(options: WorkerOptions): Settings {
  const { queue, queues = queue === undefined ? undefined : [queue] } = options;
  const made: Settings = {
    workerId: options.workerId ?? freshWorkerId(),
    queues,
    concurrency: options.concurrency ?? 16,
    leaseSeconds: options.leaseSeconds ?? 30,
    waitSeconds: options.waitSeconds ?? 20,
    grace: (options.graceSeconds ?? 10) * 1000,
    logger: options.logger ?? STANDARD_ERROR,
  };
  const rules: [boolean, string][] = [
    [queue === undefined || options.queues === undefined, "a worker has a queue or queues, not both"],
    [/^[\x20-\x7e]{1,128}$/.test(made.workerId), "a worker id has 1 to 128 printable ASCII characters"],
    [queues === undefined || isWithin(queues.length, 1, QUEUES_MAX), "a worker serves 1 to 16 queues"],
    [
      isWithin(made.concurrency, 1, Number.MAX_SAFE_INTEGER),
      "a worker's concurrency is a whole number from 1 on",
    ],
    [isWithin(made.leaseSeconds, 1, 3600), "a lease has 1 to 3600 whole seconds"],
    [isWithin(made.waitSeconds, 0, 30), "a claim waits 0 to 30 whole seconds"],
    [made.grace >= 0, "a grace time is at least 0 seconds"],
  ];
  check(rules);
  return made;
}

/** Checks what a worker has handlers for when it begins. */
export function checkTypes(types: string[]): void {
  check([[isWithin(types.length, 1, TYPES_MAX), "a worker has handlers for 1 to 64 operation types"]]);
}

function check(rules: [boolean, string][]): void {
  const broken = rules.find(([holds]) => !holds);
  if (broken) throw invalidRequest(broken[1]);
}

function isWithin(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

/** A worker id that no other process start has: a reused one would be handed the leases of the dead. */
function freshWorkerId(): string {
  const host =
    hostname()
      .replace(/[^\x21-\x7e]/g, "")
      .slice(0, HOST_CHARS_MAX) || "worker";
  return `${host}:${pid}:${fresh().slice(0, 8)}`;
}

const STANDARD_ERROR: Logger = {
  info: () => undefined,
  warn: (message, fields) => {
    console.warn(`longrun: ${message}`, JSON.stringify(fields));
  },
  error: (message, fields) => {
    console.error(`longrun: ${message}`, JSON.stringify(fields));
  },
};
