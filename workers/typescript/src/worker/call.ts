/** One call of a worker, repeated exactly as it is until the server has answered it. */

import { Backoff } from "../client/backoff.js";
import { now, sleep } from "../client/clock.js";
import { LongrunError, invalidAnswer } from "../client/error.js";
import { type Transport, json, success } from "../client/transport.js";
import type { Claim, ExchangeAnswer, RawJson, Report } from "../wire/work.js";
import type { Logger } from "./options.js";

/** What is said in a call, with the texts of its reports. */
export interface Request {
  workerId: string;
  reports: Report[];
  texts: RawJson[];
  claim?: Claim | undefined;
}

/** How a call is carried. */
export interface Carriage {
  transport: Transport;
  logger: Logger;
  /** How many milliseconds one try may take. */
  patience: number;
  /** Once it has fired, a lost call is not repeated any more. */
  giveUp?: AbortSignal;
}

/** How a call ended. */
export interface CallEnd {
  request: Request;
  /** When the request that was answered was sent; earlier ones may have been lost. */
  sent: number;
  /** A transient error only when the call was given up. */
  result: ExchangeAnswer | LongrunError;
}

/** A call that is outstanding. */
export class Outstanding {
  private readonly withdrawal = new AbortController();
  private isWithdrawn = false;

  /** Starts the call. `ended` is told once, unless the call is withdrawn before. */
  constructor(
    readonly request: Request,
    carriage: Carriage,
    ended: (end: CallEnd) => void,
  ) {
    const tell = (end: CallEnd): void => {
      if (!this.isWithdrawn) ended(end);
    };
    repeat(request, carriage, this.withdrawal.signal).then(tell, () => undefined);
  }

  /** How many reports of it tell the end of an attempt. */
  get ends(): number {
    return this.request.reports.filter((report) => report.status !== "Running").length;
  }

  /** Closes the connection: a claim that still waits takes nothing. */
  withdraw(): void {
    this.isWithdrawn = true;
    this.withdrawal.abort();
  }
}

async function repeat(request: Request, carriage: Carriage, withdrawal: AbortSignal): Promise<CallEnd> {
  const backoff = new Backoff();
  const body = writeRequest(request);
  for (;;) {
    const sent = now();
    const result = await exchange(body, carriage.transport, carriage.patience, withdrawal);
    if (!(result instanceof LongrunError) || !isLost(result)) return { request, sent, result };
    const delay = backoff.delay(result.retryAfterSeconds);
    const { message } = result;
    carriage.logger.warn("exchange lost, repeating it", { message, delay, reports: request.reports.length });
    if (await isGivenUp(delay, carriage.giveUp, withdrawal)) return { request, sent, result };
  }
}

/** Sends a call once, and takes so many milliseconds at most for it. */
export async function exchange(
  body: string,
  transport: Transport,
  patience: number,
  signal?: AbortSignal,
): Promise<ExchangeAnswer | LongrunError> {
  try {
    const call = { method: "POST", path: "/v1.0/work", body, deadline: now() + patience, signal };
    const answer = json(success(await transport.send(call))) as Partial<ExchangeAnswer> | null;
    if (typeof answer !== "object") throw invalidAnswer("it is no object");
    return {
      outcomes: answer?.outcomes ?? [],
      operations: answer?.operations ?? [],
      notices: answer?.notices ?? [],
    };
  } catch (error) {
    if (error instanceof LongrunError) return error;
    throw error;
  }
}

/**
 * Whether nothing certain is known, so that the request is to be repeated exactly as it is. An answer that is
 * no JSON comes from a proxy, or was cut: what the server did is unknown.
 */
export function isLost(error: LongrunError): boolean {
  return error.isTransient || error.code === "deadline" || error.code === "invalidAnswer";
}

async function isGivenUp(
  delay: number,
  giveUp: AbortSignal | undefined,
  withdrawal: AbortSignal,
): Promise<boolean> {
  if (!giveUp) {
    await sleep(delay, withdrawal);
    return false;
  }
  try {
    await sleep(delay, giveUp);
    return withdrawal.aborted;
  } catch {
    return true;
  }
}

/** Writes a call, with its reports as they were written before. */
export function writeRequest({ workerId, texts, claim }: Request): string {
  const wanted = claim ? `,"claim":${JSON.stringify(claim)}` : "";
  return `{"workerId":${JSON.stringify(workerId)},"reports":[${texts.join(",")}]${wanted}}`;
}
