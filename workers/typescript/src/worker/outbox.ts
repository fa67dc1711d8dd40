/** What is to be reported: ends of attempts in their order, operations with news, and heartbeats. */

import type { Attempt } from "../handler/attempt.js";
import { bytesOf } from "../handler/json.js";
import { type RawJson, type Report, writeReport } from "../wire/work.js";

/** The protocol's bound on the reports of one call. */
export const REPORTS_MAX = 1000;
/** The protocol's bound on the body is 8 MiB; this leaves room for the rest of it. */
const BATCH_BYTES_MAX = 7 * 1024 * 1024;
/** A handler that reports progress in a tight loop shall not keep an exchange always on its way. */
const PROGRESS_INTERVAL = 100;

/** One call's worth of reports, and the text of each. */
export interface Batch {
  reports: Report[];
  texts: RawJson[];
}

/** What waits to be told. */
export class Outbox {
  private ended: Report[] = [];
  /** Each is there at most once; what is said of it is read when the batch is made. */
  private news: Attempt[] = [];
  private beats: Attempt[] = [];
  private newsFrom = Number.NEGATIVE_INFINITY;

  /** How many ends of attempts wait to be told. */
  get ends(): number {
    return this.ended.length;
  }

  get isEmpty(): boolean {
    return this.ended.length === 0 && this.news.length === 0;
  }

  push(...reports: Report[]): void {
    this.ended.push(...reports);
  }

  /** Puts reports that were not delivered back, before everything else. */
  putBack(reports: Report[]): void {
    this.ended.unshift(...reports);
  }

  /** The attempt has something to say, and is not there for it yet. */
  touch(attempt: Attempt): void {
    attempt.isQueued = true;
    this.news.push(attempt);
  }

  heartbeat(attempt: Attempt): void {
    attempt.isBeating = true;
    this.beats.push(attempt);
  }

  /** When there is something to send, heartbeats aside; never while there is not. */
  due(now: number): number {
    if (this.ended.length > 0) return now;
    return this.news.length > 0 ? Math.max(this.newsFrom, now) : Number.POSITIVE_INFINITY;
  }

  /**
   * Takes one call's worth of ends and news. `running` makes the report of an operation that is still held.
   */
  batch(now: number, running: (attempt: Attempt) => Report | undefined): Batch {
    const batch = new Filling();
    const ends = count(this.ended, (report) => batch.add(report));
    this.ended.splice(0, ends);
    const told = count(this.news, (attempt) => {
      if (batch.isFull) return false;
      attempt.isQueued = false;
      const report = running(attempt);
      if (report) batch.force(report);
      return true;
    });
    this.news.splice(0, told);
    this.newsFrom = now + PROGRESS_INTERVAL;
    return batch;
  }

  /** Takes one call's worth of attempts that are to be kept alive. */
  heartbeats(): Attempt[] {
    return this.beats.splice(0, REPORTS_MAX);
  }
}

/** A batch as it is made. */
class Filling implements Batch {
  readonly reports: Report[] = [];
  readonly texts: RawJson[] = [];
  private bytes = 0;

  get isFull(): boolean {
    return this.reports.length >= REPORTS_MAX || this.bytes > BATCH_BYTES_MAX;
  }

  /** Adds a report if there is room for it; there always is for the first. */
  add(report: Report): boolean {
    if (this.isFull) return false;
    const text = writeReport(report);
    const bytes = bytesOf(text);
    if (this.reports.length > 0 && this.bytes + bytes > BATCH_BYTES_MAX) return false;
    this.put(report, text, bytes);
    return true;
  }

  /** Adds a report that is small enough in any case. */
  force(report: Report): void {
    const text = writeReport(report);
    this.put(report, text, bytesOf(text));
  }

  private put(report: Report, text: RawJson, bytes: number): void {
    this.reports.push(report);
    this.texts.push(text);
    this.bytes += bytes + 1;
  }
}

/** How many of the first ones are taken. */
function count<T>(list: T[], take: (item: T) => boolean): number {
  const stop = list.findIndex((item) => !take(item));
  return stop < 0 ? list.length : stop;
}
