/** A call that is safe to repeat. */

import { Backoff } from "./backoff.js";
import { now, sleep } from "./clock.js";
import { LongrunError } from "./error.js";
import { type Answer, type Call, type Transport, refusal } from "./transport.js";

/** What is said, without when it has to be answered. */
export type Repeatable = Omit<Call, "deadline" | "signal">;

/**
 * Sends the same call until it succeeds, is refused for good, or the deadline is over. A 304 counts as
 * success: only a call with `If-None-Match` is answered so.
 */
export async function repeated(transport: Transport, call: Call): Promise<Answer> {
  const backoff = new Backoff();
  for (;;) {
    const outcome = await attempt(transport, call);
    if (!(outcome instanceof LongrunError)) return outcome;
    const delay = backoff.delay(outcome.retryAfterSeconds);
    // The last error says more than "the time is over" would.
    if (!outcome.isTransient || now() + delay >= call.deadline) throw outcome;
    await sleep(delay, call.signal);
  }
}

async function attempt(transport: Transport, call: Call): Promise<Answer | LongrunError> {
  try {
    const answer = await transport.send(call);
    return answer.status === 304 || (answer.status >= 200 && answer.status < 300) ? answer : refusal(answer);
  } catch (error) {
    if (error instanceof LongrunError) return error;
    throw error;
  }
}
