/**
 * Heartbeats for the time in which a handler keeps the only thread of the program busy.
 *
 * The loop sends heartbeats by itself, as long as it turns. A thread of its own, `standby-thread`, sees in a
 * table which leases there are; one that was not renewed by the half of its time is renewed from there, on a
 * connection of that thread's, until the loop turns again and hears what came of it.
 */

import { MessageChannel, type MessagePort, Worker, receiveMessageOnPort } from "node:worker_threads";

import { now } from "../client/clock.js";
import type { Attempt } from "../handler/attempt.js";
import type { Outcome } from "../wire/work.js";
import type { Settings } from "./options.js";
import { LeaseTable } from "./table.js";

/** More than that a worker may hold, but no thread looks after the rest. */
const ROWS_MAX = 10_000;

/** What the thread has to know to speak for the worker. */
export interface StandbyData {
  url: string;
  token: string | undefined;
  workerId: string;
  leaseSeconds: number;
  memory: SharedArrayBuffer;
  port: MessagePort;
}

/** What became of a heartbeat that the thread sent. */
export interface Told {
  id: string;
  leaseToken: number;
  outcome: Outcome;
  /** When it was sent, on the clock of {@link sharedNow}. */
  sent: number;
}

/** Milliseconds of the monotonic clock as all threads of the process read it. */
export function sharedNow(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

/** The thread, as the loop sees it. */
export class Standby {
  private readonly thread: Worker;
  private readonly port: MessagePort;
  private readonly table: LeaseTable;
  private readonly rows = new Map<Attempt, number>();
  private readonly free: number[];
  /** By how many milliseconds the shared clock is ahead of that of this thread. */
  private readonly ahead = sharedNow() - now();

  constructor(server: { url: string; token: string | undefined }, settings: Settings) {
    const { workerId, leaseSeconds, logger } = settings;
    const rows = Math.min(settings.concurrency, ROWS_MAX);
    this.table = LeaseTable.of(rows);
    this.free = Array.from({ length: rows }, (_, row) => row);
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    const data: StandbyData = { ...server, workerId, leaseSeconds, memory: this.table.memory, port: port2 };
    this.thread = new Worker(new URL("./standby-thread.js", import.meta.url), {
      workerData: data,
      transferList: [port2],
      execArgv: [],
    });
    // Only a bundle that left its file out has none, and does without.
    this.thread.on("error", ({ message }) => {
      logger.warn("a handler that keeps the event loop busy may lose its lease: no thread", { message });
    });
    this.thread.unref();
  }

  /** The lease of an attempt is new, or was renewed. */
  hold(attempt: Attempt): void {
    const due = this.ahead + (now() + attempt.leaseEnd) / 2;
    const row = this.rows.get(attempt);
    if (row !== undefined) {
      this.table.setDue(row, due);
      return;
    }
    const taken = this.free.pop();
    if (taken === undefined) return;
    this.rows.set(attempt, taken);
    this.table.put(taken, { id: attempt.id, leaseToken: attempt.token, due });
  }

  /** An attempt has ended. */
  drop(attempt: Attempt): void {
    const row = this.rows.get(attempt);
    if (row === undefined) return;
    this.rows.delete(attempt);
    this.table.setDue(row, Number.POSITIVE_INFINITY);
    this.free.push(row);
  }

  /** What the thread has heard meanwhile; each `sent` is on the clock of this thread. */
  take(): Told[] {
    const told: Told[] = [];
    for (;;) {
      const next = receiveMessageOnPort(this.port) as { message: Told[] } | undefined;
      if (!next) return told;
      told.push(...next.message.map((one) => ({ ...one, sent: one.sent - this.ahead })));
    }
  }

  /** Ends the thread. */
  async close(): Promise<void> {
    this.port.close();
    await this.thread.terminate();
  }
}
