/** The loop, and what it owns. */

import { setMaxListeners } from "node:events";

import { now } from "../client/clock.js";
import type { Transport } from "../client/transport.js";
import type { Attempt } from "../handler/attempt.js";
import type { AnyHandler, AttemptEnd } from "../handler/index.js";
import { answered, renewedElsewhere } from "./answer.js";
import { Bell, NEVER, settled } from "./bell.js";
import type { CallEnd, Outstanding } from "./call.js";
import { type Drain, advanceDrain, beginDrain, farewell, isOver, nextStep } from "./drain.js";
import { launch } from "./launch.js";
import { lookAtLeases } from "./lease.js";
import type { Settings } from "./options.js";
import { Outbox } from "./outbox.js";
import { ofEnd } from "./report.js";
import type { Standby } from "./standby.js";
import type { Stats } from "./stats.js";

/** The calls that may be outstanding, each on a connection of its own. */
export interface Calls {
  /** Carries reports, and a claim where `claiming` has none. */
  reporting?: Outstanding | undefined;
  /** Carries a claim only, and hangs. */
  claiming?: Outstanding | undefined;
  /** Carries heartbeats only: small, and behind nothing else. */
  beating?: Outstanding | undefined;
}

/** What a worker has while it runs. Times are of the monotonic clock, in milliseconds. */
export class Runtime {
  readonly held = new Map<string, Attempt>();
  readonly outbox = new Outbox();
  readonly calls: Calls = {};
  readonly operationTypes: string[];
  /** Fires as soon as the worker begins to shut down. */
  readonly draining = new AbortController();
  /** The last call with reports and a claim was refused: which of them was it? */
  suspectClaim = false;
  /** When a lease is to be looked at next. */
  wake = now() + NEVER;
  drain: Drain | undefined;
  private readonly bell = new Bell();
  private finished: [Attempt, AttemptEnd][] = [];
  private callEnds: [keyof Calls, CallEnd][] = [];

  constructor(
    readonly transport: Transport,
    readonly handlers: Map<string, AnyHandler>,
    readonly settings: Settings,
    readonly stats: Stats,
    readonly standby: Standby | undefined,
  ) {
    this.operationTypes = [...handlers.keys()].sort();
    setMaxListeners(0, this.draining.signal);
  }

  /** Turns until the worker is over. `shutdown` begins the end. */
  async run(shutdown: AbortSignal): Promise<void> {
    const ring = (): void => {
      this.bell.ring();
    };
    shutdown.addEventListener("abort", ring);
    try {
      for (;;) {
        // Short handlers that an answer has started end before the next call is made.
        if (this.readCalls()) await settled();
        this.readFinished();
        const at = now();
        for (const told of this.standby?.take() ?? []) renewedElsewhere(this, told, at);
        if (shutdown.aborted && !this.drain) beginDrain(this, at, this.settings.grace);
        lookAtLeases(this, at);
        advanceDrain(this, at);
        launch(this, at);
        if (isOver(this, at)) {
          farewell(this);
          return;
        }
        await this.bell.heard(this.nextWake(at) - at);
      }
    } finally {
      shutdown.removeEventListener("abort", ring);
      for (const call of Object.values(this.calls) as (Outstanding | undefined)[]) call?.withdraw();
      await this.standby?.close();
    }
  }

  /** An attempt is over; whether it was not before. */
  letGo(attempt: Attempt): boolean {
    this.standby?.drop(attempt);
    return this.held.delete(attempt.key);
  }

  /** A handler has ended. */
  finish(attempt: Attempt, end: AttemptEnd): void {
    this.finished.push([attempt, end]);
    this.bell.ring();
  }

  /** A call was answered, refused or given up. */
  callEnded(name: keyof Calls, end: CallEnd): void {
    this.callEnds.push([name, end]);
    this.bell.ring();
  }

  /** An attempt has news. */
  touch = (attempt: Attempt): void => {
    if (attempt.isQueued || this.held.get(attempt.key) !== attempt) return;
    this.outbox.touch(attempt);
    this.bell.ring();
  };

  /** Takes in what calls have brought, if they have brought anything. */
  private readCalls(): boolean {
    const ends = this.callEnds.splice(0);
    for (const [name, end] of ends) {
      this.calls[name] = undefined;
      answered(this, name, end, now());
    }
    return ends.length > 0;
  }

  private readFinished(): void {
    for (const [attempt, end] of this.finished.splice(0)) {
      // One that was given up just as it finished is reported already.
      if (!this.letGo(attempt)) continue;
      if (!attempt.isLost) this.outbox.push(...ofEnd(attempt, end));
    }
  }

  private nextWake(at: number): number {
    const due = this.calls.reporting ? Number.POSITIVE_INFINITY : this.outbox.due(at);
    return Math.min(this.wake, due, this.drain ? nextStep(this.drain, at) : Number.POSITIVE_INFINITY);
  }
}
