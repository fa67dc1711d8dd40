/**
 * A server that keeps to the protocol as far as a worker sees it, writes down every exchange, and can be told
 * to misbehave.
 */

import { randomUUID } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

import { finallyDo, until } from "./wait.js";

/** A report as it was sent. */
export interface Report {
  id: string;
  leaseToken: number;
  status: string;
  percentComplete?: number;
  statusDetail?: string;
  result?: unknown;
  resourceLocation?: string;
  checkpoint?: unknown;
  error?: { code: string; message: string };
  retryable?: boolean;
  retryAfterSeconds?: number;
}

interface Claim {
  id: string;
  queues?: string[];
  operationTypes: string[];
  limit: number;
  leaseSeconds: number;
  waitSeconds: number;
}

/** An exchange as it reached the server. */
export interface Seen {
  at: number;
  text: string;
  reports: Report[];
  claim: Claim | undefined;
  /** The connection it came on. */
  port: number | undefined;
}

/**
 * What goes wrong with one exchange: a lost answer, no answer for ever, forgotten outcomes, an error,
 * nothing.
 */
export type Fault =
  | "answerLost"
  | "notHeard"
  | "silent"
  | "noOutcomes"
  | "fine"
  | { slow: number }
  | { status: number; code: string; retryAfter?: number };

interface Answer {
  outcomes: object[];
  operations: object[];
  notices: object[];
}

export class Fake extends EventEmitter {
  readonly log: Seen[] = [];
  /** The next exchanges that have reports, a claim or either are treated so, in their order. */
  readonly faults: Fault[] = [];
  /** Nothing is heard while the server is down. */
  isDown = false;
  private readonly ready: Record<string, unknown>[] = [];
  private readonly outcomes = new Map<string, object>();
  private readonly claims = new Map<string, object[]>();
  private notices: object[] = [];
  private hanging: string | undefined;
  private tokens = 0;
  private silenced: ServerResponse[] = [];

  private constructor(private readonly server: Server) {
    super();
    this.setMaxListeners(0);
    server.on("request", (request: IncomingMessage, response: ServerResponse) => {
      this.serve(request, response).catch((error: unknown) => {
        console.error(error);
        response.destroy();
      });
    });
  }

  static async start(test: TestContext): Promise<Fake> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const fake = new Fake(server);
    finallyDo(test, () => {
      server.closeAllConnections();
      server.close();
    });
    return fake;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  submit(operationType: string | undefined, input: unknown = null, more: object = {}): string {
    const id = randomUUID();
    this.ready.push({ id, status: "Running", operationType, input, attemptsCount: 1, ...more });
    this.emit("change");
    return id;
  }

  /** Every report of this operation and status is answered so from now on. */
  answer(id: string, status: string, outcome: object): void {
    this.outcomes.set(`${id} ${status}`, { id, ...outcome });
  }

  notify(id: string, leaseToken: number, kind: string): void {
    this.notices.push({ id, leaseToken, kind });
    this.emit("change");
  }

  /** Every report that reached the server about this operation. */
  reports(id: string): Report[] {
    return this.log.flatMap((seen) => seen.reports).filter((report) => report.id === id);
  }

  until<T>(what: string, look: () => T | undefined): Promise<T> {
    return until(this, what, look);
  }

  /** Waits for a report of this status. */
  report(id: string, status: string): Promise<Report> {
    const look = (): Report | undefined => this.reports(id).find((report) => report.status === status);
    return this.until(`${status} of ${id}`, look);
  }

  /** Waits until a claim without reports hangs here. */
  async idle(): Promise<void> {
    await this.until("a hanging claim", () => this.hanging);
  }

  /** Waits until so many exchanges came. */
  async exchanges(count: number): Promise<void> {
    await this.until(`${count} exchanges`, () => (this.log.length >= count ? true : undefined));
  }

  /** Closes the connections of the exchanges that were left without an answer. */
  hangUp(): void {
    for (const response of this.silenced.splice(0)) response.destroy();
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const piece of request.setEncoding("utf8")) text += piece as string;
    const said = JSON.parse(text) as { reports: Report[]; claim?: Claim };
    const { remotePort: port } = request.socket;
    const seen = { at: performance.now(), text, reports: said.reports, claim: said.claim, port };
    const fault = this.isDown ? "notHeard" : (this.faults.shift() ?? "fine");
    this.log.push(seen);
    this.emit("change");
    if (fault === "notHeard") return void response.destroy();
    if (fault === "silent") return void this.silenced.push(response);
    if (typeof fault === "object" && "status" in fault) {
      if (fault.retryAfter !== undefined) response.setHeader("retry-after", fault.retryAfter);
      const error = { code: fault.code, message: "as told" };
      return void response.writeHead(fault.status).end(JSON.stringify({ error }));
    }
    const answer = await this.act(seen, response);
    if (fault === "answerLost") return void response.destroy();
    if (fault === "noOutcomes") answer.outcomes = [];
    if (typeof fault === "object") await new Promise((resolve) => setTimeout(resolve, fault.slow));
    response.setHeader("content-type", "application/json").end(JSON.stringify(answer));
  }

  private async act({ reports, claim }: Seen, response: ServerResponse): Promise<Answer> {
    const answer: Answer = {
      outcomes: reports.map((report) => this.outcome(report)),
      operations: [],
      notices: [],
    };
    if (!claim) return answer;
    const wait = reports.length > 0 ? 0 : claim.waitSeconds * 1000;
    this.hanging = wait > 0 ? claim.id : undefined;
    this.emit("change");
    response.once("close", () => this.emit("change"));
    const end = performance.now() + wait;
    for (;;) {
      answer.operations = this.claim(claim);
      answer.notices = this.notices.splice(0);
      const isEmpty = answer.operations.length + answer.notices.length === 0;
      const left = end - performance.now();
      const superseded = wait > 0 && this.hanging !== claim.id;
      if (!isEmpty || superseded || left <= 0 || response.destroyed) break;
      const signal = AbortSignal.timeout(Math.ceil(left));
      await once(this, "change", { signal }).catch(() => undefined);
    }
    if (this.hanging === claim.id) this.hanging = undefined;
    return answer;
  }

  private outcome(report: Report): object {
    const usual = { id: report.id, ...(report.status === "Running" ? { leaseSeconds: 30 } : {}) };
    return this.outcomes.get(`${report.id} ${report.status}`) ?? usual;
  }

  private claim(claim: Claim): object[] {
    const before = this.claims.get(claim.id);
    if (before) return before;
    const claimed = this.ready.splice(0, claim.limit).map((operation) => {
      this.tokens += 1;
      return { ...operation, lease: { token: this.tokens, seconds: claim.leaseSeconds } };
    });
    if (claimed.length > 0) this.claims.set(claim.id, claimed);
    return claimed;
  }
}
