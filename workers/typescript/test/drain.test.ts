/** A worker that shuts down strands nothing. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { type Context, ReleasedError } from "longrun-sdk";

import { Fake } from "./support/fake.js";
import { Gate, fired } from "./support/wait.js";
import { start } from "./support/worker.js";

test("handlers finish within the grace time", async (t) => {
  const server = await Fake.start(t);
  const gate = new Gate<string>();
  const running = start(t, server.url, { steady: () => gate.opened }, { graceSeconds: 20 });
  const id = server.submit("steady");
  await server.exchanges(2);
  running.shutDown();
  await server.exchanges(3); // the recall
  gate.open("finished");
  const stats = await running.ended;
  assert.deepEqual([stats.completed, stats.released], [1, 0]);
  assert.equal((await server.report(id, "Completed")).result, "finished");
});

test("nothing is claimed once the shutdown began", async (t) => {
  const server = await Fake.start(t);
  const gate = new Gate();
  const running = start(t, server.url, { steady: () => gate.opened }, { graceSeconds: 20 });
  server.submit("steady");
  await server.exchanges(2);
  await server.idle();
  running.shutDown();
  await server.exchanges(3);
  gate.open(undefined);
  await running.ended;
  const late = server.log.slice(2).flatMap((seen) => (seen.claim ? [seen.claim] : []));
  assert.equal(late.length, 1, "the one that hung, recalled");
  assert.deepEqual([late[0]?.id, late[0]?.waitSeconds, late[0]?.limit], [server.log[1]?.claim?.id, 0, 1]);
});

test("the rest is handed back with its latest checkpoint when the grace time is over", async (t) => {
  const server = await Fake.start(t);
  const deaf = async (_: unknown, context: Context): Promise<never> => {
    context.checkpoint(1);
    await fired(context.draining);
    context.checkpoint(2);
    return new Promise(() => undefined);
  };
  const running = start(t, server.url, { deaf }, { graceSeconds: 1 });
  const id = server.submit("deaf");
  await server.report(id, "Running");
  const began = performance.now();
  const stats = await running.stop();
  assert.ok(performance.now() - began >= 990, "it had its grace time");
  assert.deepEqual([stats.released, stats.lost], [1, 0]);
  assert.equal((await server.report(id, "NotStarted")).checkpoint, 2);
});

test("handlers hear of the shutdown at once, and are told to stop before the grace time is over", async (t) => {
  const server = await Fake.start(t);
  const saw = new Gate<[unknown, number]>();
  const asking = async (_: unknown, context: Context): Promise<never> => {
    await fired(context.draining);
    const drained = performance.now();
    await fired(context.signal);
    saw.open([context.reason, performance.now() - drained]);
    throw context.stopped();
  };
  const running = start(t, server.url, { asking }, { graceSeconds: 3 });
  server.submit("asking");
  await server.exchanges(2);
  assert.equal((await running.stop()).released, 1);
  const [reason, headStart] = await saw.opened;
  assert.equal(reason, "shutdown");
  assert.ok(headStart >= 1900, String(headStart));
});

test("a handler may hand its operation back as soon as the worker drains", async (t) => {
  const server = await Fake.start(t);
  const quick = async (_: unknown, context: Context): Promise<never> => {
    await fired(context.draining);
    throw new ReleasedError();
  };
  const running = start(t, server.url, { quick }, { graceSeconds: 20 });
  const id = server.submit("quick");
  await server.exchanges(2);
  assert.equal((await running.stop()).released, 1);
  await server.report(id, "NotStarted");
});

test("what a lost claim had brought is handed back", async (t) => {
  const server = await Fake.start(t);
  // The claim is acted upon, but its answer is lost: the server is away when the shutdown begins.
  server.faults.push("answerLost");
  const id = server.submit("noop");
  const running = start(t, server.url, { noop: () => null }, { graceSeconds: 20 });
  await server.exchanges(1);
  server.isDown = true;
  running.shutDown();
  await server.exchanges(3);
  server.isDown = false;
  const stats = await running.ended;
  assert.equal((await server.report(id, "NotStarted")).leaseToken, 1);
  assert.deepEqual([stats.claimed, stats.released, stats.completed], [1, 1, 0]);
  const claims = new Set(server.log.flatMap((seen) => (seen.claim ? [seen.claim.id] : [])));
  assert.equal(claims.size, 1, "one claim, however often it was sent");
});

test("an idle worker ends at once, and its hanging claim is withdrawn", async (t) => {
  const server = await Fake.start(t);
  const running = start(t, server.url, { noop: () => null }, { graceSeconds: 20 });
  await server.idle();
  const stats = await running.stop();
  assert.equal(stats.claimed, 0);
  assert.equal(server.log.length, 2, "the claim and its recall");
});

test("reports that cannot be delivered are told", async (t) => {
  const server = await Fake.start(t);
  const gate = new Gate();
  const running = start(t, server.url, { gated: () => gate.opened }, { graceSeconds: 0 });
  server.submit("gated");
  await server.exchanges(2);
  server.isDown = true;
  running.shutDown();
  gate.open(undefined);
  await assert.rejects(running.ended, { code: "undelivered", status: 0, message: /^1 reports/ });
});

test("a worker runs once", async (t) => {
  const server = await Fake.start(t);
  const running = start(t, server.url, { noop: () => null });
  await assert.rejects(running.worker.run(), { code: "invalidRequest" });
});
