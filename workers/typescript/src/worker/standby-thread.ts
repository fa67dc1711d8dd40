/** The thread that keeps leases while the loop does not turn; see `standby`. */

import { workerData } from "node:worker_threads";

import { Client } from "../client/client.js";
import { LongrunError } from "../client/error.js";
import { keyOf } from "../handler/attempt.js";
import { type Report, writeReport } from "../wire/work.js";
import { exchange, writeRequest } from "./call.js";
import { REPORTS_MAX } from "./outbox.js";
import { type StandbyData, type Told, sharedNow } from "./standby.js";
import { LeaseTable, type Row } from "./table.js";

const { url, token, workerId, leaseSeconds, memory, port } = workerData as StandbyData;
const { transport } = new Client(url, { token });
const table = new LeaseTable(memory);
const lease = leaseSeconds * 1000;
/** Until when this thread has seen to a lease. */
let renewed = new Map<string, number>();
let isOut = false;

// Lost heartbeats need no other repetition.
setInterval(() => void look(), lease / 6);

/** Renews what the loop has not renewed in time. */
async function look(): Promise<void> {
  if (isOut) return;
  const due = table.due(sharedNow());
  renewed = new Map(due.map((row) => [key(row), renewed.get(key(row)) ?? 0]));
  const leases = due.filter((row) => (renewed.get(key(row)) ?? 0) <= sharedNow()).slice(0, REPORTS_MAX);
  if (leases.length === 0) return;
  isOut = true;
  await send(leases.map(({ id, leaseToken }) => ({ id, leaseToken, status: "Running" })));
  isOut = false;
}

/** Sends heartbeats, and leaves for the loop what came of them. */
async function send(reports: Report[]): Promise<void> {
  const sent = sharedNow();
  const body = writeRequest({ workerId, reports, texts: reports.map(writeReport) });
  const answer = await exchange(body, transport, Math.max(lease / 3, 1000));
  // The loop finds out by itself what the server has against this worker.
  if (answer instanceof LongrunError) return;
  const told: Told[] = [];
  reports.forEach(({ id, leaseToken }, at) => {
    const outcome = answer.outcomes[at];
    if (!outcome) return;
    told.push({ id, leaseToken, outcome, sent });
    // One that is gone is gone: the loop drops it when it hears of that.
    renewed.set(keyOf(id, leaseToken), outcome.error ? Number.POSITIVE_INFINITY : sent + lease / 3);
  });
  port.postMessage(told);
}

function key({ id, leaseToken }: Row): string {
  return keyOf(id, leaseToken);
}
