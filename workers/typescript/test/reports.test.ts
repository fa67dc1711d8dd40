/** What becomes of an attempt is told, in as few exchanges as can be. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { type Context, PermanentError, RetryableError, Worker, success } from "longrun-sdk";

import { Fake } from "./support/fake.js";
import { Gate } from "./support/wait.js";
import { start } from "./support/worker.js";

test("a burst of short operations is reported in one exchange", async (t) => {
  const server = await Fake.start(t);
  for (let count = 0; count < 300; count += 1) server.submit("noop");
  const running = start(t, server.url, { noop: () => null }, { concurrency: 300, queue: "media" });
  const burst = await server.until("the burst", () => server.log.find((seen) => seen.reports.length === 300));
  assert.deepEqual([burst.claim?.limit, burst.claim?.waitSeconds], [300, 0], "it claims along");
  assert.deepEqual([burst.claim?.queues, burst.claim?.operationTypes], [["media"], ["noop"]]);
  const stats = await running.stop();
  assert.deepEqual([stats.claimed, stats.completed, stats.lost], [300, 300, 0]);
});

test("a claim is no larger than the protocol allows", async (t) => {
  const server = await Fake.start(t);
  start(t, server.url, { noop: () => null }, { concurrency: 5000 });
  await server.idle();
  assert.equal(server.log[0]?.claim?.limit, 1000);
});

test("what is free is claimed while the rest is at work", async (t) => {
  const server = await Fake.start(t);
  const gate = new Gate();
  start(t, server.url, { gated: () => gate.opened }, { concurrency: 3 });
  await server.idle();
  server.submit("gated");
  await server.exchanges(2);
  assert.deepEqual(
    server.log.map((seen) => seen.claim?.limit),
    [3, 2],
  );
  gate.open(undefined);
});

test("a report goes out at once beside a hanging claim", async (t) => {
  const server = await Fake.start(t);
  const gate = new Gate<string>();
  const running = start(t, server.url, { gated: () => gate.opened });
  const id = server.submit("gated");
  await server.exchanges(2);
  await server.idle();
  gate.open("now");
  assert.equal((await server.report(id, "Completed")).result, "now");
  const seen = server.log.find(({ reports }) => reports.length > 0);
  assert.equal(seen?.claim, undefined, "the slots are spoken for by the claim that hangs");
  assert.notEqual(seen?.port, server.log[1]?.port, "on another connection");
  await running.stop();
});

test("the result and what goes with it are reported", async (t) => {
  const server = await Fake.start(t);
  const render = (pages: number): unknown =>
    success({ pages }, { statusDetail: "rendered", resourceLocation: "http://x/1" });
  start(t, server.url, { render, nothing: () => undefined });
  const report = await server.report(server.submit("render", 12), "Completed");
  assert.deepEqual(report.result, { pages: 12 });
  assert.deepEqual([report.statusDetail, report.resourceLocation], ["rendered", "http://x/1"]);
  assert.ok(!("result" in (await server.report(server.submit("nothing"), "Completed"))));
});

test("an input that does not pass fails for good", async (t) => {
  const server = await Fake.start(t);
  const pages = (input: unknown): number => {
    if (typeof input !== "number") throw new TypeError("not a number");
    return input;
  };
  const worker = new Worker(server.url).handler("render", (count) => count + 1, { parse: pages });
  const shutdown = new AbortController();
  const ended = worker.run({ signal: shutdown.signal });
  assert.equal((await server.report(server.submit("render", 2), "Completed")).result, 3);
  const wrong = await server.report(server.submit("render", "two"), "Failed");
  assert.deepEqual(wrong.error, { code: "invalidInput", message: "input: not a number" });
  assert.equal(wrong.retryable, false);
  shutdown.abort();
  assert.deepEqual(await ended, { claimed: 2, completed: 1, failed: 1, released: 0, lost: 0 });
});

test("an error says whether and when another attempt may help", async (t) => {
  const server = await Fake.start(t);
  const errors: Record<string, unknown> = {
    later: new RetryableError("upstream", "busy", { after: 29.5 }),
    never: new PermanentError("gone", "no such thing"),
    plain: new Error("disk on fire", { cause: new Error("no water") }),
    typed: new TypeError("x is undefined"),
    text: "just a text",
    servers: new RetryableError("canceled", "by me"),
  };
  const fail = (name: string): never => {
    throw errors[name];
  };
  start(t, server.url, { fail });
  const told = async (name: string): Promise<unknown[]> => {
    const { error, retryable, retryAfterSeconds } = await server.report(
      server.submit("fail", name),
      "Failed",
    );
    return [error?.code, error?.message, retryable, retryAfterSeconds];
  };
  assert.deepEqual(await told("later"), ["upstream", "busy", undefined, 30]);
  assert.deepEqual(await told("never"), ["gone", "no such thing", false, undefined]);
  assert.deepEqual(await told("plain"), ["handlerError", "disk on fire: no water", undefined, undefined]);
  assert.deepEqual(await told("typed"), ["handlerError", "TypeError: x is undefined", undefined, undefined]);
  assert.deepEqual(await told("text"), ["handlerError", "just a text", undefined, undefined]);
  assert.deepEqual(await told("servers"), ["handlerError", "canceled: by me", undefined, undefined]);
});

test("a result that no report can carry fails for good", async (t) => {
  const server = await Fake.start(t);
  const circle: { self?: unknown } = {};
  circle.self = circle;
  const results: Record<string, unknown> = { big: "x".repeat(256 * 1024), circle, code: () => 1, number: 1n };
  start(t, server.url, { make: (name: string) => results[name] });
  for (const [name, code] of Object.entries({
    big: "outputTooLarge",
    circle: "invalidResult",
    code: "invalidResult",
    number: "invalidResult",
  })) {
    const report = await server.report(server.submit("make", name), "Failed");
    assert.deepEqual([report.error?.code, report.retryable, report.result], [code, false, undefined], name);
  }
});

test("texts hold nothing that the protocol refuses", async (t) => {
  const server = await Fake.start(t);
  const fail = (_: unknown, context: Context): never => {
    context.progress(12.9, "ä".repeat(2000));
    context.checkpoint("\ud800");
    throw new RetryableError("c\0de".repeat(100), `a\0b\ud800${"\u0001".repeat(20_000)}`);
  };
  start(t, server.url, { fail });
  const id = server.submit("fail");
  const { error } = await server.report(id, "Failed");
  assert.ok(error?.message.startsWith("a\ufffdb\ufffd"), error?.message.slice(0, 10));
  assert.ok(JSON.stringify(error).length <= 16 * 1024);
  const { percentComplete, statusDetail } = await server.report(id, "Running");
  assert.deepEqual([percentComplete, statusDetail?.length], [12, 1024]);
});

test("a result that the server refuses becomes a failure that says so", async (t) => {
  const server = await Fake.start(t);
  const running = start(t, server.url, { link: () => success(1, { resourceLocation: "no URL" }) });
  await server.idle();
  const id = server.submit("link");
  server.answer(id, "Completed", {
    error: { code: "invalidRequest", message: "resourceLocation: not a URL" },
  });
  const { error } = await server.report(id, "Failed");
  assert.equal(error?.code, "reportRefused");
  assert.match(error.message, /not a URL/);
  await running.stop();
});

test("of progress only the latest is sent, as it was when it was told", async (t) => {
  const server = await Fake.start(t);
  const busy = async (_: unknown, context: Context): Promise<void> => {
    const checkpoint = { page: 0 };
    for (let percent = 0; percent <= 40; percent += 1) {
      context.progress(percent, `at ${percent}`);
      checkpoint.page = percent;
      context.checkpoint(checkpoint);
    }
    checkpoint.page = 99;
    await new Promise((resolve) => {
      context.draining.addEventListener("abort", resolve);
    });
  };
  const running = start(t, server.url, { busy });
  const id = server.submit("busy");
  const report = await server.report(id, "Running");
  assert.deepEqual(
    [report.percentComplete, report.statusDetail, report.checkpoint],
    [40, "at 40", { page: 40 }],
  );
  assert.equal((await running.stop()).completed, 1);
  assert.equal(server.reports(id).filter((said) => said.percentComplete !== undefined).length, 1);
});

test("a failure tells the latest checkpoint first", async (t) => {
  const server = await Fake.start(t);
  const stumble = (_: unknown, context: Context): never => {
    context.checkpoint(7);
    throw new Error("gone");
  };
  start(t, server.url, { stumble });
  const id = server.submit("stumble");
  await server.report(id, "Failed");
  const [first, last] = server.log.find(({ reports }) => reports.length > 0)?.reports ?? [];
  assert.deepEqual([first?.status, first?.checkpoint, last?.status], ["Running", 7, "Failed"]);
});

test("a checkpoint that is too large, or none at all, fails for good", async (t) => {
  const server = await Fake.start(t);
  const values: Record<string, unknown> = { big: "x".repeat(64 * 1024), none: undefined };
  const leave = (name: string, context: Context): void => {
    context.checkpoint(values[name]);
  };
  start(t, server.url, { leave });
  const big = await server.report(server.submit("leave", "big"), "Failed");
  assert.deepEqual([big.error?.code, big.retryable], ["checkpointTooLarge", false]);
  const none = await server.report(server.submit("leave", "none"), "Failed");
  assert.deepEqual([none.error?.code, none.retryable], ["invalidCheckpoint", false]);
});

test("an operation without a handler is handed back", async (t) => {
  const server = await Fake.start(t);
  const running = start(t, server.url, { noop: () => null });
  await server.report(server.submit("unheard-of"), "NotStarted");
  await server.report(server.submit(undefined), "Completed");
  assert.equal((await running.stop()).released, 1);
});

test("a handler sees its operation", async (t) => {
  const server = await Fake.start(t);
  const look = (input: unknown, context: Context): unknown => ({
    input,
    id: context.id,
    attempt: context.attempt,
    token: context.leaseToken,
    before: context.previousCheckpoint,
    labels: context.operation.labels,
    remains: context.remaining() > 29 && context.remaining() <= 30,
    reason: context.reason ?? null,
  });
  start(t, server.url, { look });
  const more = { attemptsCount: 3, checkpoint: { page: 5 }, labels: { of: "x" } };
  const id = server.submit("look", undefined, more);
  const expected = {
    input: null,
    id,
    attempt: 3,
    token: 1,
    before: { page: 5 },
    remains: true,
    reason: null,
  };
  assert.deepEqual((await server.report(id, "Completed")).result, { ...expected, labels: { of: "x" } });
});

test("settings outside of the protocol's bounds are refused", async () => {
  const wrong = [
    { workerId: "ä" },
    { workerId: "" },
    { queues: [] },
    { queue: "a", queues: ["b"] },
    { concurrency: 0 },
    { concurrency: 1.5 },
    { leaseSeconds: 3601 },
    { waitSeconds: 31 },
    { graceSeconds: -1 },
    { token: "ä" },
  ];
  for (const options of wrong) {
    assert.throws(
      () => new Worker("http://127.0.0.1:1", options),
      { code: "invalidRequest" },
      JSON.stringify(options),
    );
  }
  for (const url of ["127.0.0.1:8470", "ftp://x", "http://x?y=1"]) {
    assert.throws(() => new Worker(url), { code: "invalidRequest" }, url);
  }
  await assert.rejects(new Worker("http://127.0.0.1:1").run(), { code: "invalidRequest" });
  assert.notEqual(new Worker("http://127.0.0.1:1").id, new Worker("http://127.0.0.1:1").id);
});
