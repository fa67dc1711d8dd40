/** Worker processes against the real server: the scenario program, killed, frozen and asked to end. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, after, before, test } from "node:test";

import { Client, type Operation, type Submit } from "longrun-sdk";

import { LiveServer, PACKAGE, end, firstMatch } from "./support/server.js";
import { finallyDo, soon } from "./support/wait.js";

let server: LiveServer;
let client: Client;

before(async () => {
  server = await LiveServer.start("--workers", "0");
  client = new Client(server.url);
});

after(() => server.stop());

/** A queue of the test's own, and the environment of its workers. */
function settings(more: Record<string, string> = {}): Record<string, string> {
  return { LONGRUN_URL: server.url, LONGRUN_QUEUE: randomUUID(), LONGRUN_LEASE_SECONDS: "1", ...more };
}

async function startWorker(t: TestContext, variables: Record<string, string>): Promise<ChildProcess> {
  const types = /"operationTypes":\["complete","crash",.*\n/;
  return startProgram(t, join(PACKAGE, "scenarios/worker.mjs"), types, variables);
}

async function startProgram(
  t: TestContext,
  program: string,
  ready: RegExp,
  variables: Record<string, string>,
): Promise<ChildProcess> {
  const environment = { ...process.env, ...variables };
  const child = spawn(process.execPath, [program], { env: environment, stdio: ["ignore", "pipe", "ignore"] });
  finallyDo(t, () => end(child, "SIGKILL"));
  await firstMatch(child, ready);
  return child;
}

async function submit(variables: Record<string, string>, more: Submit): Promise<string> {
  const { operation } = await client.submit({ queue: variables["LONGRUN_QUEUE"] ?? "", ...more });
  return operation.id;
}

/** Waits until an operation stands as `look` says, after that cursor if there is one; the cursor of that. */
async function stands(id: string, look: (operation: Operation) => boolean, after?: string): Promise<string> {
  const watching = async (): Promise<string> => {
    const watch = client.watch(id, after === undefined ? {} : { after });
    for await (const event of watch) if ("operation" in event && look(event.operation)) return event.cursor;
    throw new Error("it ended before");
  };
  return soon(`${String(look)} of ${id}`, watching());
}

const runs = ({ status }: Operation): boolean => status === "Running";

async function ended(id: string): Promise<[string, unknown, string | undefined, number | undefined]> {
  const { operation } = await client.wait(id, { timeoutSeconds: 30 });
  return [operation.status, operation.result, operation.error?.code, operation.attemptsCount];
}

test("a worker carries operations out, and tells how they failed", async (t) => {
  const variables = settings();
  await startWorker(t, variables);
  const quick = { initialDelaySeconds: 0, jitter: 0 };
  const ids = await Promise.all([
    submit(variables, { operationType: "complete", input: { a: [1, null, "ä"] } }),
    submit(variables, { operationType: "fail", maxAttempts: 2, retry: quick }),
    submit(variables, { operationType: "refuse" }),
    submit(variables, { operationType: "stumble", retry: quick }),
    submit(variables, { operationType: "typed", input: { pages: 2 } }),
    submit(variables, { operationType: "typed", input: { pages: "two" } }),
    submit(variables, { operationType: "flood" }),
    submit(variables, { operationType: "later", input: { seconds: 1 }, retry: quick }),
  ]);
  assert.deepEqual(await Promise.all(ids.map(ended)), [
    ["Completed", { a: [1, null, "ä"] }, undefined, 1],
    ["Failed", undefined, "upstream", 2],
    ["Failed", undefined, "badInput", 1],
    ["Completed", { attempt: 2 }, undefined, 2],
    ["Completed", { pages: 3 }, undefined, 1],
    ["Failed", undefined, "invalidInput", 1],
    ["Failed", undefined, "outputTooLarge", 1],
    ["Completed", { attempt: 2 }, undefined, 2],
  ]);
});

test("a cancel reaches a handler that waits", async (t) => {
  const variables = settings({ LONGRUN_LEASE_SECONDS: "30" });
  await startWorker(t, variables);
  const id = await submit(variables, { operationType: "linger" });
  await stands(id, runs);
  await client.cancel(id);
  assert.deepEqual(await ended(id), ["Failed", undefined, "canceled", 1]);
});

test("a worker that was frozen past its lease completes nothing", async (t) => {
  const variables = settings();
  const first = await startWorker(t, variables);
  const until = join(tmpdir(), randomUUID());
  const id = await submit(variables, { operationType: "fence", input: { until } });
  const started = await stands(id, runs);
  first.kill("SIGSTOP");
  await startWorker(t, variables);
  await stands(id, ({ attemptsCount }) => attemptsCount === 2, started);
  first.kill("SIGCONT");
  await writeFile(until, "");
  assert.deepEqual(await ended(id), ["Completed", { leaseToken: 2 }, undefined, 2]);
  assert.equal(await end(first, "SIGTERM"), 0);
});

/** Starts an operation whose handler waits until a file is there, and tells when it does: the file. */
async function startWaiting(variables: Record<string, string>): Promise<[string, string]> {
  const until = join(tmpdir(), randomUUID());
  const id = await submit(variables, { operationType: "progress", input: { until } });
  await stands(id, ({ percentComplete }) => percentComplete === 50);
  return [id, until];
}

test("progress reaches those who watch", async (t) => {
  const variables = settings();
  await startWorker(t, variables);
  const [id, until] = await startWaiting(variables);
  assert.equal((await client.get(id)).operation.statusDetail, "half");
  await writeFile(until, "");
  assert.deepEqual(await ended(id), ["Completed", { done: true }, undefined, 1]);
});

test("a worker that is asked to end lets its handlers finish", async (t) => {
  const variables = settings({ LONGRUN_GRACE_SECONDS: "20" });
  const worker = await startWorker(t, variables);
  const [id, until] = await startWaiting(variables);
  worker.kill("SIGTERM");
  await submit(variables, { operationType: "complete" });
  await writeFile(until, "");
  assert.deepEqual(await ended(id), ["Completed", { done: true }, undefined, 1]);
  assert.equal(await end(worker), 0);
});

test("what does not finish within the grace time is handed back, uncounted, with its checkpoint", async (t) => {
  const variables = settings({ LONGRUN_GRACE_SECONDS: "1", LONGRUN_LEASE_SECONDS: "30" });
  const worker = await startWorker(t, variables);
  const resumed = await submit(variables, { operationType: "resume" });
  const [waiting, until] = await startWaiting(variables);
  assert.equal(await end(worker, "SIGINT"), 0);
  await writeFile(until, "");
  await startWorker(t, variables);
  assert.deepEqual(await ended(resumed), ["Completed", { from: 5 }, undefined, 1]);
  assert.deepEqual(await ended(waiting), ["Completed", { done: true }, undefined, 1]);
});

test("hundreds of operations are carried out once each", async (t) => {
  const variables = settings({ LONGRUN_CONCURRENCY: "100" });
  const input = { operationType: "complete", input: 1 };
  const lane = async (): Promise<string[]> => {
    const ids = [];
    for (let at = 0; at < 50; at += 1) ids.push(await submit(variables, input));
    return ids;
  };
  const ids = (await Promise.all(Array.from({ length: 8 }, lane))).flat();
  await startWorker(t, variables);
  for (const id of ids) assert.deepEqual(await ended(id), ["Completed", 1, undefined, 1]);
});

test("a handler that keeps the event loop busy keeps its lease", async (t) => {
  await startProgram(t, join(PACKAGE, "build/support/busy.js"), /ready/, { LONGRUN_URL: server.url });
  // More than one can start is claimed at once: what waits for the first is to be kept, too.
  const submits = [3, 1].map((seconds) => client.submit({ operationType: "compute", input: seconds }));
  for (const { operation } of await Promise.all(submits)) {
    assert.deepEqual(await ended(operation.id), ["Completed", "computed", undefined, 1]);
  }
});
