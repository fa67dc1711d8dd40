/** How handlers are tested with a clock that is set ahead; the README tells the same. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Client, type Context, RetryableError } from "longrun-sdk";

import { LiveServer } from "./support/server.js";
import { start } from "./support/worker.js";

let server: LiveServer;
let client: Client;

before(async () => {
  server = await LiveServer.withTestClock();
  client = new Client(server.url);
});

after(() => server.stop());

test("a delayed start and a backoff of hours take no time", async (t) => {
  const remind = (_: unknown, { attempt }: Context): string => {
    if (attempt === 1) throw new RetryableError("mailDown", "The mail server is away.", { after: 3600 });
    return "sent";
  };
  const tomorrow = new Date(Date.parse(await client.advanceClock(0)) + 86_400_000);
  const { operation } = await client.submit({ operationType: "remind", startDateTime: tomorrow });
  start(t, server.url, { remind });

  await client.advanceClock(86_400);
  const failed = client.watch(operation.id);
  for await (const event of failed) if (event.event === "retrying") break;
  assert.equal((await client.get(operation.id)).operation.waiting?.reason, "retryBackoff");

  await client.advanceClock(2 * 3600);
  const { operation: ended } = await client.wait(operation.id, { timeoutSeconds: 30 });
  assert.deepEqual([ended.status, ended.result, ended.attemptsCount], ["Completed", "sent", 2]);
});

test("a server without such a clock says so", async () => {
  const plain = await LiveServer.start("--workers", "0");
  try {
    await assert.rejects(new Client(plain.url).advanceClock(1), { status: 404 });
  } finally {
    await plain.stop();
  }
});
