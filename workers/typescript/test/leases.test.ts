/** Leases are kept by heartbeats, and a handler without a lease does not go on. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { type Context, RetryableError } from "longrun-sdk";

import { Fake, type Report, type Seen } from "./support/fake.js";
import { Gate, fired } from "./support/wait.js";
import { start } from "./support/worker.js";

/** What a handler saw: why it was to stop, and how many seconds of the lease were left then. */
interface Saw {
  reason: Context["reason"];
  remaining: number;
  at: number;
}

/** A handler that waits until it is told to stop, tells why, and ends as `end` says. */
function patient(end: (context: Context) => unknown = () => null): [Handler, Promise<Saw>] {
  const gate = new Gate<Saw>();
  const handler: Handler = async (_, context) => {
    await fired(context.signal);
    gate.open({ reason: context.reason, remaining: context.remaining(), at: performance.now() });
    return end(context);
  };
  return [handler, gate.opened];
}

type Handler = (input: unknown, context: Context) => Promise<unknown>;

const deaf = (): Promise<never> => new Promise(() => undefined);
const leaseLost = { error: { code: "leaseLost", message: "another worker has it" } };
const throwStopped = (context: Context): never => {
  throw context.stopped();
};

function beats(server: Fake): Seen[] {
  return server.log.filter((seen) => seen.reports.some(isBare));
}

function isBare(report: Report): boolean {
  return Object.keys(report).length === 3 && report.status === "Running";
}

test("heartbeats go out by thirds of the lease, in one call, on a connection of their own", async (t) => {
  const server = await Fake.start(t);
  const [handler] = patient();
  const ids = [server.submit("patient"), server.submit("patient")];
  for (const id of ids) server.answer(id, "Running", { leaseSeconds: 1 });
  start(t, server.url, { patient: handler }, { leaseSeconds: 1 });
  const three = await server.until("three", () => (beats(server).length >= 3 ? beats(server) : undefined));
  const hanging = server.log.find(
    (seen) => seen.claim && seen.reports.length === 0 && seen !== server.log[0],
  );
  for (const seen of three) {
    assert.equal(seen.reports.length, 2, "one call for both");
    assert.equal(seen.claim, undefined);
    assert.notEqual(seen.port, hanging?.port);
  }
  const [first, second] = three;
  assert.ok(first && second && second.at - first.at > 200, "not sooner than by thirds");
});

test("a report that is not answered does not hold the heartbeats up", async (t) => {
  const server = await Fake.start(t);
  const [handler] = patient();
  const id = server.submit("patient");
  server.answer(id, "Running", { leaseSeconds: 1 });
  const running = start(t, server.url, { patient: handler, noop: () => null }, { leaseSeconds: 1 });
  await server.exchanges(2);
  server.faults.push("silent");
  const unanswered = server.submit("noop");
  await server.report(unanswered, "Completed");
  const before = beats(server).length;
  await server.until("more heartbeats", () => (beats(server).length >= before + 4 ? true : undefined));
  assert.equal(running.worker.stats.lost, 0);
  server.hangUp();
});

test("a heartbeat that is not answered is given up and sent again in time", async (t) => {
  const server = await Fake.start(t);
  const [handler] = patient();
  const id = server.submit("patient");
  server.answer(id, "Running", { leaseSeconds: 3 });
  const running = start(t, server.url, { patient: handler }, { leaseSeconds: 3 });
  await server.exchanges(2);
  server.faults.push("silent");
  await server.until("four heartbeats", () => (beats(server).length >= 4 ? true : undefined));
  assert.equal(running.worker.stats.lost, 0);
});

test("a lost lease stops the handler and drops its result", async (t) => {
  const server = await Fake.start(t);
  const [handler, saw] = patient();
  const id = server.submit("patient");
  server.answer(id, "Running", leaseLost);
  const running = start(t, server.url, { patient: handler }, { leaseSeconds: 1 });
  assert.equal((await saw).reason, "leaseLost");
  const stats = await running.stop();
  assert.deepEqual([stats.lost, stats.completed], [1, 0]);
  assert.ok(server.reports(id).every((report) => report.status === "Running"));
});

test("a report that comes too late counts as lost", async (t) => {
  const server = await Fake.start(t);
  const running = start(t, server.url, { noop: () => null });
  await server.idle();
  const id = server.submit("noop");
  server.answer(id, "Completed", leaseLost);
  await server.report(id, "Completed");
  assert.equal((await running.stop()).lost, 1);
  assert.equal(server.reports(id).length, 1);
});

test("a notice of a lost lease stops the handler", async (t) => {
  const server = await Fake.start(t);
  const [handler, saw] = patient();
  const running = start(t, server.url, { patient: handler });
  const id = server.submit("patient");
  await server.exchanges(2);
  server.notify(id, 1, "lost");
  assert.equal((await saw).reason, "leaseLost");
  assert.equal((await running.stop()).lost, 1);
});

test("a cancel reaches the handler by notice", async (t) => {
  const server = await Fake.start(t);
  const [handler, saw] = patient(throwStopped);
  start(t, server.url, { patient: handler });
  const id = server.submit("patient");
  await server.exchanges(2);
  server.notify(id, 99, "cancel"); // of another lease
  server.notify(id, 1, "cancel");
  assert.equal((await saw).reason, "cancel");
  const report = await server.report(id, "Failed");
  assert.deepEqual([report.error?.code, report.retryable], ["stopped", false]);
});

test("a cancel reaches the handler by the outcome of its heartbeat", async (t) => {
  const server = await Fake.start(t);
  const [handler, saw] = patient(() => "too late");
  const id = server.submit("patient");
  server.answer(id, "Running", { leaseSeconds: 2.5, cancelRequested: true });
  start(t, server.url, { patient: handler }, { leaseSeconds: 3 });
  const { reason, remaining } = await saw;
  assert.equal(reason, "cancel");
  assert.ok(remaining > 1 && remaining <= 2.5, String(remaining));
  assert.equal((await server.report(id, "Completed")).result, "too late");
});

test("what was given the signal ends as the operation does", async (t) => {
  const server = await Fake.start(t);
  const gone = new DOMException("The operation was aborted", "AbortError");
  const reason: Handler = async (_, { signal }) => {
    await fired(signal);
    signal.throwIfAborted();
  };
  const own: Handler = async (_, { signal }) => {
    await fired(signal);
    throw gone;
  };
  start(t, server.url, { reason, own });
  for (const [operationType, token] of [
    ["reason", 1],
    ["own", 2],
  ] as const) {
    const id = server.submit(operationType);
    await server.until("its start", () => (server.log.at(-1)?.claim?.limit === 3 ? true : undefined));
    server.notify(id, token, "cancel");
    assert.equal((await server.report(id, "Failed")).error?.code, "stopped", operationType);
  }
});

test("without an answer the handler stops when its lease ends", async (t) => {
  const server = await Fake.start(t);
  const [handler, saw] = patient(() => {
    throw new RetryableError("interrupted", "no matter");
  });
  const id = server.submit("patient");
  const running = start(t, server.url, { patient: handler }, { leaseSeconds: 1 });
  await server.exchanges(2);
  server.isDown = true;
  const claimed = server.log[0]?.at ?? 0;
  const { reason, remaining, at } = await saw;
  assert.deepEqual([reason, remaining], ["leaseLost", 0]);
  assert.ok(at - claimed >= 990, "not before its lease ends");
  server.isDown = false;
  await server.report(id, "NotStarted");
  assert.equal((await running.stop()).released, 1);
});

test("a handler that outlives its lease is given up, and handed back with its checkpoint", async (t) => {
  const server = await Fake.start(t);
  const handler: Handler = (_, context) => {
    context.checkpoint({ page: 5 });
    return deaf();
  };
  const id = server.submit("deaf");
  server.answer(id, "Running", { leaseSeconds: 0.2, cancelRequested: true });
  const options = { leaseSeconds: 3, concurrency: 1 };
  const running = start(t, server.url, { deaf: handler, noop: () => null }, options);
  assert.deepEqual((await server.report(id, "NotStarted")).checkpoint, { page: 5 });
  await server.report(server.submit("noop"), "Completed"); // its slot is free again
  assert.equal((await running.stop()).released, 1);
});

test("an attempt that takes too long is told so, and fails if it goes on", async (t) => {
  const server = await Fake.start(t);
  const [handler, saw] = patient(throwStopped);
  start(t, server.url, { patient: handler, deaf });
  const obedient = server.submit("patient", null, { timeoutSeconds: 1 });
  assert.equal((await saw).reason, "timeout");
  const told = await server.report(obedient, "Failed");
  assert.deepEqual([told.error?.code, told.retryable], ["timedOut", undefined]);
  const late = await server.report(server.submit("deaf", null, { timeoutSeconds: 0.1 }), "Failed");
  assert.deepEqual([late.error?.code, late.retryable], ["timedOut", undefined]);
});

test("a lease counts from when its heartbeat was sent", async (t) => {
  const server = await Fake.start(t);
  const [handler, saw] = patient();
  start(t, server.url, { patient: handler }, { leaseSeconds: 3 });
  await server.idle();
  const id = server.submit("patient");
  await server.exchanges(2);
  server.answer(id, "Running", { leaseSeconds: 3, cancelRequested: true });
  server.faults.push({ slow: 500 });
  assert.ok((await saw).remaining <= 2.5);
});

test("progress goes on when the server refuses some of it", async (t) => {
  const server = await Fake.start(t);
  const gate = new Gate();
  const handler: Handler = async (_, context) => {
    context.progress(10, "begun");
    await gate.opened;
    return "done";
  };
  const id = server.submit("careful");
  server.answer(id, "Running", { error: { code: "invalidRequest", message: "statusDetail: no" } });
  const running = start(t, server.url, { careful: handler });
  await server.report(id, "Running");
  gate.open(undefined);
  assert.equal((await server.report(id, "Completed")).result, "done");
  assert.equal((await running.stop()).lost, 0);
});
