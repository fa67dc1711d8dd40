/**
 * Watching, by server-sent events: a watch outlives its connections and goes on after the last event it was
 * told.
 */

import { type OperationEvent, type WatchEvent, isOperationEvent } from "../../wire/event.js";
import { type Operation, type Status, isTerminal } from "../../wire/operation.js";
import { Backoff } from "../backoff.js";
import { now, sleep } from "../clock.js";
import { LongrunError, invalidAnswer } from "../error.js";
import { withQuery } from "../list.js";
import type { Transport } from "../transport.js";
import type { Block } from "./lines.js";
import { type Source, connect } from "./source.js";

/** Which operations are watched: those that every list names; an absent or empty list names all. */
export interface WatchFilter {
  /** In one of these queues. */
  queues?: string[];
  /** Of one of these types. */
  operationTypes?: string[];
  /** Of one of these statuses, before or after the event. */
  statuses?: Status[];
  /** One of these. */
  ids?: string[];
}

/** How a watch is carried on. */
export interface WatchOptions {
  /** The cursor of an earlier watch: goes on after that event, instead of beginning with what is now. */
  after?: string;
  /** Ends the watch; the loop over it then throws the signal's reason. */
  signal?: AbortSignal;
}

/** Where the events of one operation are, or of all that a filter lets through. */
export function eventsPath(filter: WatchFilter): string {
  return withQuery("/v1.0/events", {
    queue: filter.queues?.join(","),
    operationType: filter.operationTypes?.join(","),
    status: filter.statuses?.join(","),
    ids: filter.ids?.join(","),
  });
}

/** What a watch needs to know of its client and its stream. */
export interface Watched {
  transport: Transport;
  path: string;
  /** Of one operation: ends with it. */
  ofOne: boolean;
  /** Milliseconds for which no connection may be of use. */
  patience: number;
}

/**
 * Events as they happen, in order, each once and without a gap.
 *
 * When the connection breaks or falls silent, the next one goes on after the last event. Where that event is
 * no longer kept, an event `reset` says so. The loop ends with the operation, never for a watch of many;
 * leaving it closes the connection, and another loop over the same watch goes on after the last event.
 *
 * Throws a {@link LongrunError} when no connection was of use for as long as the client's deadline, and for
 * every refusal that is for good.
 */
export class Watch<Result = unknown> implements AsyncIterable<WatchEvent<Result>> {
  private current: string | undefined;
  /** Since when no connection was of use. */
  private trouble: { since: number; backoff: Backoff } | undefined;
  /** Milliseconds that the server asked for before it ended the stream. */
  private pause: number | undefined;
  private isOver = false;

  constructor(
    private readonly watched: Watched,
    private readonly options: WatchOptions,
  ) {
    this.current = options.after;
  }

  /** Where the watch stands, for `after`; none before the server has said it. */
  get cursor(): string | undefined {
    return this.current;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WatchEvent<Result>, void, undefined> {
    let source: Source | undefined;
    try {
      while (!this.isOver) {
        try {
          source ??= await this.connect();
          if (!source) return;
          const event = this.take(await source.next());
          if (!event) continue;
          yield event;
        } catch (error) {
          source?.close();
          const wasHeard = source?.wasHeard ?? false;
          source = undefined;
          await sleep(this.lost(error, wasHeard), this.options.signal);
        }
      }
    } finally {
      source?.close();
    }
  }

  private connect(): Promise<Source | undefined> {
    const deadline = (this.trouble?.since ?? now()) + this.watched.patience;
    const { transport, path } = this.watched;
    return connect({ transport, path, cursor: this.current, deadline, signal: this.options.signal });
  }

  /** What an event on the wire says. */
  private take(block: Block): WatchEvent<Result> | undefined {
    this.trouble = undefined;
    if (block.id !== undefined) this.current = block.id === "" ? undefined : block.id;
    this.pause = block.retry ?? this.pause;
    if (block.data === undefined) return undefined;
    const cursor = this.current ?? "";
    if (block.event === "reset") return { event: "reset", cursor };
    if (!isOperationEvent(block.event)) return { event: "unknown", cursor };
    const event: OperationEvent<Result> = { event: block.event, cursor, operation: operation(block.data) };
    this.isOver = this.watched.ofOne && isTerminal(event.operation.status);
    return event;
  }

  /** How many milliseconds to wait before the next try; throws when there is none. */
  private lost(error: unknown, wasHeard: boolean): number {
    if (!(error instanceof LongrunError)) throw error;
    this.trouble ??= { since: now(), backoff: new Backoff() };
    if (wasHeard) this.trouble.since = now();
    const pause = error.retryAfterSeconds ?? (this.pause === undefined ? undefined : this.pause / 1000);
    this.pause = undefined;
    const delay = this.trouble.backoff.delay(pause);
    if (error.isTransient && now() + delay < this.trouble.since + this.watched.patience) return delay;
    this.trouble = undefined;
    throw error;
  }
}

function operation<Result>(data: string): Operation<Result> {
  try {
    return JSON.parse(data) as Operation<Result>;
  } catch (error) {
    throw invalidAnswer(`in an event: ${String(error)}`, { cause: error });
  }
}
