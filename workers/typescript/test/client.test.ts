/** The client against the real server. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";

import { Client, Filter, LongrunError, type Operation } from "longrun-sdk/client";

import { LiveServer } from "./support/server.js";

let server: LiveServer;
let client: Client;
const nobody = "00000000-0000-4000-8000-000000000000";

before(async () => {
  server = await LiveServer.start("--workers", "2");
  client = new Client(server.url);
});

after(() => server.stop());

test("what is submitted is read back", async () => {
  const submitted = await client.submit({
    operationType: "thumbnail",
    queue: "media",
    input: { picture: "a.jpg" },
    labels: { customer: "c-1" },
    priority: 3,
    startDateTime: new Date(Date.now() + 3_600_000),
  });
  const { operation } = submitted;
  assert.deepEqual([operation.status, operation.queue, submitted.replayed], ["NotStarted", "media", false]);
  assert.match(submitted.location ?? "", new RegExp(`/v1.0/operations/${operation.id}$`));
  const read = await client.get(operation.id);
  assert.deepEqual(read.operation.input, { picture: "a.jpg" });
  assert.deepEqual([read.operation.labels, read.operation.priority], [{ customer: "c-1" }, 3]);
  assert.equal(read.operation.waiting?.reason, "delayed");
  assert.ok((read.retryAfterSeconds ?? 0) >= 1);
  assert.equal(await client.getIfChanged(operation.id, read.etag ?? ""), undefined);
  const canceled = await client.cancel(operation.id);
  assert.equal(canceled.operation.error?.code, "canceled");
  assert.equal((await client.getIfChanged(operation.id, read.etag ?? ""))?.operation.status, "Failed");
});

test("the same key makes one operation, and another body under it is a mistake", async () => {
  const idempotencyKey = randomUUID();
  const first = await client.submit({ idempotencyKey, operationType: "none" });
  const second = await client.submit({ idempotencyKey, operationType: "none" });
  assert.deepEqual([second.operation.id, second.replayed], [first.operation.id, true]);
  await assert.rejects(client.submit({ idempotencyKey, operationType: "other" }), {
    name: "LongrunError",
    status: 422,
    code: "idempotencyKeyReused",
  });
});

test("an error tells all that the server said", async () => {
  const wrong = client.submit({ priority: 1000 });
  await assert.rejects(wrong, (error: LongrunError) => {
    assert.ok(error instanceof LongrunError && error instanceof Error);
    assert.deepEqual([error.status, error.code, error.target], [400, "invalidRequest", "priority"]);
    assert.match(error.message, /priority/);
    assert.ok(error.requestId);
    assert.equal(error.isTransient, false);
    return true;
  });
  await assert.rejects(client.get(nobody), { status: 404, code: "itemNotFound" });
  await assert.rejects(client.submit({ idempotencyKey: "" }), { status: 0, code: "invalidRequest" });
  await assert.rejects(client.submit({ input: 1n }), { status: 0, code: "invalidRequest" });
});

test("waiting ends with the operation, or when the time is over", async () => {
  const { operation } = await client.submit({ operationType: "sleep", input: { seconds: 1.2, steps: 2 } });
  const ended = await client.wait(operation.id, { timeoutSeconds: 30 });
  assert.deepEqual([ended.operation.status, ended.retryAfterSeconds], ["Completed", undefined]);
  const { operation: stuck } = await client.submit({ operationType: "nobodys" });
  await assert.rejects(client.wait(stuck.id, { timeoutSeconds: 1 }), { status: 0, code: "deadline" });
  const inOne = await client.submit({ operationType: "noop" }, { waitSeconds: 30 });
  assert.equal(inOne.operation.status, "Completed");
});

test("a signal ends a call with its own reason", async () => {
  const { operation } = await client.submit({ operationType: "nobodys" });
  const controller = new AbortController();
  const waiting = client.wait(operation.id, { signal: controller.signal });
  const reason = new Error("changed my mind");
  controller.abort(reason);
  await assert.rejects(waiting, (error) => error === reason);
  await assert.rejects(client.get(operation.id, { signal: controller.signal }), (error) => error === reason);
});

test("many calls share a signal", async () => {
  const warnings: Error[] = [];
  const hear = (warning: Error): void => void warnings.push(warning);
  process.on("warning", hear);
  const controller = new AbortController();
  const { signal } = controller;
  const { operation } = await client.submit({ operationType: "nobodys" });
  await Promise.all(Array.from({ length: 30 }, () => client.get(operation.id, { signal })));
  const reasons = Array.from({ length: 30 }, () =>
    client.wait(operation.id, { signal }).catch((reason: unknown) => reason),
  );
  controller.abort(new Error("enough"));
  for (const reason of await Promise.all(reasons)) assert.equal(reason, signal.reason);
  process.removeListener("warning", hear);
  assert.deepEqual(warnings, []);
});

test("a list goes through all pages, and a count counts them", async () => {
  const queue = `list-${randomUUID()}`;
  const ids: string[] = [];
  for (let page = 0; page < 7; page += 1) {
    const labels = { of: page % 2 ? "O'Hara" : "x" };
    ids.push((await client.submit({ operationType: "nobodys", queue, labels })).operation.id);
  }
  const filter = Filter.queue(queue);
  const listed: string[] = [];
  for await (const operation of client.list({ filter, oldestFirst: true, pageSize: 3 }))
    listed.push(operation.id);
  assert.deepEqual(listed, ids);
  const pages = [];
  for await (const page of client.list({ filter, pageSize: 5, count: true, select: ["status"] }).pages()) {
    pages.push([page.value.length, page.count]);
  }
  assert.deepEqual(pages, [
    [5, 7],
    [2, 7],
  ]);
  assert.equal(await client.count(filter.and(Filter.label("of", "O'Hara"))), 3);
  assert.equal(await client.count(`queue eq '${queue}' and status eq 'Completed'`), 0);
  assert.equal(
    await client.count(filter.and(Filter.status("Failed").or(Filter.operationType("nobodys")))),
    7,
  );
  await assert.rejects(client.count("status eq Failed"), { code: "invalidFilter", target: "$filter" });
  const depths = (await client.queues()).find(({ name }) => name === queue);
  assert.deepEqual([depths?.ready, depths?.running, depths?.paused], [7, 0, false]);
});

test("an external operation is advanced by patches", async () => {
  const { operation, etag } = await client.submit({ status: "Running", operationType: "migration" });
  assert.equal(operation.isExternal, true);
  const ifMatch = etag ?? "";
  const half = await client.patch(operation.id, { percentComplete: 50, statusDetail: "half" }, { ifMatch });
  assert.equal(half.operation.percentComplete, 50);
  await assert.rejects(client.patch(operation.id, { percentComplete: 60 }, { ifMatch }), {
    status: 412,
    code: "preconditionFailed",
  });
  const done = await client.patch(operation.id, { status: "Completed", result: { rows: 12 } });
  assert.deepEqual(done.operation.result, { rows: 12 });
  await client.delete(operation.id);
  await assert.rejects(client.get(operation.id), { status: 404 });
});

test("a failed operation gets its attempts back, and shows those it had", async () => {
  const submit = { operationType: "sleep", input: { seconds: -1 } };
  const { operation } = await client.submit(submit, { waitSeconds: 30 });
  assert.equal(operation.error?.code, "invalidInput");
  const attempts = await client.attempts(operation.id);
  assert.deepEqual(
    attempts.map(({ leaseToken, outcome, error }) => [leaseToken, outcome, error?.code]),
    [[1, "failed", "invalidInput"]],
  );
  const again = await client.retry(operation.id);
  assert.equal(again.operation.attemptsCount, 0);
  await client.wait(operation.id, { timeoutSeconds: 30 });
});

test("queues are paused and limited, and tell who works for them", async () => {
  const queue = `limits-${randomUUID()}`;
  const limited = await client.setQueue(queue, { paused: true, maxRunning: 3, maxWaiting: 1 });
  assert.deepEqual([limited.paused, limited.maxRunning, limited.maxWaiting], [true, 3, 1]);
  const { operation } = await client.submit({ queue, operationType: "nobodys" });
  assert.equal((await client.get(operation.id)).operation.waiting?.reason, "queuePaused");
  const impatient = new Client(server.url, { deadlineSeconds: 0.5 });
  await assert.rejects(impatient.submit({ queue }), { status: 429, code: "queueFull", isTransient: true });
  const { ready, running, paused } = await client.demand(queue);
  assert.deepEqual([ready, running, paused], [1, 0, true]);
  const free = await client.setQueue(queue, { paused: false, maxRunning: null, maxWaiting: null });
  assert.ok(!free.paused && !("maxRunning" in free) && !("maxWaiting" in free));
  await assert.rejects(client.setQueue(queue, { maxRunning: -1 }), { code: "invalidRequest" });
  const [own] = await client.workers();
  assert.deepEqual([own?.running, own?.operations], [0, []], "the server's own tasks");
});

test("a link shows its operation until it is revoked", async () => {
  const { operation } = await client.submit({
    queue: `links-${randomUUID()}`,
    operationType: "nobodys",
    input: 7,
  });
  const link = await client.createLink(operation.id);
  assert.ok(link.eventsUrl.startsWith(link.statusUrl));
  const shown = (await (await fetch(link.statusUrl)).json()) as Operation;
  assert.deepEqual([shown.id, "input" in shown], [operation.id, false]);
  const expirationDateTime = new Date(Date.now() + 3600_000).toISOString();
  const fresh = await client.createLink(operation.id, { expirationDateTime, revoke: true });
  assert.ok(fresh.expirationDateTime < link.expirationDateTime);
  const statuses = await Promise.all(
    [link, fresh].map(async ({ statusUrl }) => (await fetch(statusUrl)).status),
  );
  assert.deepEqual(statuses, [404, 200]);
});

test("a watch tells of one operation to its end", async () => {
  const { operation } = await client.submit({ operationType: "sleep", input: { seconds: 0.6, steps: 3 } });
  const events: string[] = [];
  let last: Operation | undefined;
  const watch = client.watch(operation.id);
  for await (const event of watch) {
    events.push(event.event);
    if (event.event !== "reset" && event.event !== "unknown") last = event.operation;
  }
  assert.equal(events[0], "snapshot");
  assert.equal(events.at(-1), "completed");
  assert.ok(events.includes("progress"), String(events));
  assert.equal(last?.status, "Completed");
  const past = [];
  for await (const event of client.watch(operation.id, { after: watch.cursor ?? "" })) past.push(event);
  assert.deepEqual(past, [], "past its end there is nothing");
});

test("a watch of many tells of what its filter lets through, and goes on after its cursor", async () => {
  const queue = `watch-${randomUUID()}`;
  const began = await client.submit({ operationType: "nobodys", queue });
  const watch = client.watch(began.operation.id);
  for await (const event of watch) if (event.event === "snapshot") break;
  await client.submit({ operationType: "nobodys", queue: "another" });
  await client.submit({ operationType: "nobodys", queue, labels: { of: "x" } });
  await client.cancel(began.operation.id);
  const events = [];
  const signal = AbortSignal.timeout(30_000);
  const many = client.watchAll({ queues: [queue] }, { after: watch.cursor ?? "", signal });
  for await (const event of many) {
    events.push(event.event);
    if (events.length === 2) break;
  }
  assert.deepEqual(events, ["created", "failed"]);
  const failed = client.watchAll({ queues: [queue], statuses: ["Failed"] }, { after: watch.cursor ?? "" });
  for await (const event of failed) {
    assert.equal(event.event, "failed");
    break;
  }
});

test("a watch that is refused says why", async () => {
  await assert.rejects(client.watch(nobody)[Symbol.asyncIterator]().next(), { status: 404 });
  await assert.rejects(client.watchAll({}, { after: "nonsense" })[Symbol.asyncIterator]().next(), {
    status: 400,
    code: "invalidCursor",
  });
});

test("a server says whether it is ready", async () => {
  await client.health();
  const absent = new Client("http://127.0.0.1:9", { deadlineSeconds: 0.3 });
  await assert.rejects(absent.health(), { status: 0, code: "unreachable" });
  await assert.rejects(absent.get(nobody), { status: 0, code: "unreachable" });
});
