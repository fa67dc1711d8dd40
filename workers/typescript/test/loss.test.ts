/** Exchanges that are lost or refused. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client } from "longrun-sdk";

import { Fake, type Seen } from "./support/fake.js";
import { start } from "./support/worker.js";

const noop = { noop: () => null };

function reporting(server: Fake): Seen[] {
  return server.log.filter((seen) => seen.reports.length > 0);
}

test("a lost claim is repeated as it was, and its operations start once", async (t) => {
  const server = await Fake.start(t);
  server.faults.push("answerLost", "notHeard");
  const ids = [server.submit("noop"), server.submit("noop")];
  const running = start(t, server.url, noop);
  for (const id of ids) await server.report(id, "Completed");
  assert.equal(server.log[0]?.text, server.log[1]?.text);
  assert.equal(server.log[0]?.text, server.log[2]?.text);
  const stats = await running.stop();
  assert.deepEqual([stats.claimed, stats.completed], [2, 2]);
});

test("lost reports are repeated as they were, with the claim they carried", async (t) => {
  const server = await Fake.start(t);
  server.faults.push("fine", "answerLost", "answerLost");
  for (let count = 0; count < 8; count += 1) server.submit("noop");
  const running = start(t, server.url, noop);
  await server.exchanges(6);
  const [first, second, third, fourth] = reporting(server);
  assert.equal(first?.reports.length, 4);
  assert.ok(first.claim);
  assert.equal(first.text, second?.text);
  assert.equal(first.text, third?.text);
  assert.notEqual(fourth?.claim?.id, first.claim.id);
  const stats = await running.stop();
  assert.deepEqual([stats.claimed, stats.completed, stats.lost], [8, 8, 0]);
});

test("a repetition waits as long as the server asks", async (t) => {
  const server = await Fake.start(t);
  server.faults.push({ status: 503, code: "overloaded", retryAfter: 1 });
  start(t, server.url, noop);
  await server.exchanges(2);
  const [first, second] = server.log;
  assert.ok(first && second && second.at - first.at >= 1000);
});

test("a worker without the right to work ends", async (t) => {
  const server = await Fake.start(t);
  server.faults.push({ status: 401, code: "unauthenticated" });
  const { ended } = start(t, server.url, noop);
  await assert.rejects(ended, { name: "LongrunError", status: 401, code: "unauthenticated" });
});

test("a worker that is denied while it works stops its handlers", async (t) => {
  const server = await Fake.start(t);
  const reasons: unknown[] = [];
  const patient = (_: unknown, { signal }: { signal: AbortSignal }): Promise<void> =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => {
        reasons.push(signal.reason);
        reject(signal.reason as Error);
      });
    });
  const { ended } = start(t, server.url, { patient, noop: () => null });
  server.submit("patient");
  await server.exchanges(2);
  server.faults.push({ status: 403, code: "accessDenied" });
  server.submit("noop");
  await assert.rejects(ended, { status: 403, code: "accessDenied" });
  assert.equal(reasons.length, 1);
});

test("a claim that is refused for good ends the worker", async (t) => {
  const server = await Fake.start(t);
  server.faults.push({ status: 400, code: "invalidRequest" });
  await assert.rejects(start(t, server.url, noop).ended, { status: 400, code: "invalidRequest" });
});

test("reports that are refused together with a claim are sent without it", async (t) => {
  const server = await Fake.start(t);
  server.faults.push("fine", { status: 400, code: "invalidRequest" });
  const id = server.submit("noop");
  const running = start(t, server.url, noop);
  await server.until("the reports again", () => (server.reports(id).length === 2 ? true : undefined));
  const [first, second] = reporting(server);
  assert.ok(first?.claim && !second?.claim);
  const stats = await running.stop();
  assert.deepEqual([stats.completed, stats.lost], [1, 0]);
});

test("reports that are refused for good are given up", async (t) => {
  const server = await Fake.start(t);
  const refusal = { status: 413, code: "payloadTooLarge" };
  server.faults.push("fine", refusal, refusal);
  const first = server.submit("noop");
  const running = start(t, server.url, noop);
  await server.until("given up", () => (server.reports(first).length === 2 ? true : undefined));
  await server.report(server.submit("noop"), "Completed");
  const stats = await running.stop();
  assert.deepEqual([stats.completed, stats.lost], [1, 1]);
});

test("a report without an outcome does not count as delivered", async (t) => {
  const server = await Fake.start(t);
  server.faults.push("fine", "noOutcomes");
  const running = start(t, server.url, noop);
  await server.report(server.submit("noop"), "Completed");
  const stats = await running.stop();
  assert.deepEqual([stats.completed, stats.lost], [0, 1]);
});

test("an unreachable server never ends the worker", async (t) => {
  const server = await Fake.start(t);
  server.isDown = true;
  const running = start(t, server.url, noop);
  await server.exchanges(4);
  server.isDown = false;
  await server.report(server.submit("noop"), "Completed");
  assert.equal((await running.stop()).completed, 1);
});

test("a call that is not safe to repeat is sent once", async (t) => {
  const server = await Fake.start(t);
  server.isDown = true;
  const client = new Client(server.url, {
    fetch: (url, init) => fetch(url.replace(/\/v1.*/, "/v1.0/work"), init),
  });
  await assert.rejects(client.advanceClock(1), { status: 0, code: "unreachable", isTransient: true });
  assert.equal(server.log.length, 1);
});
