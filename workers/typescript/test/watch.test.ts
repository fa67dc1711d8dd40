/** Streams that break, fall silent, start anew or are cut in the middle of anything. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";

import { Client, type WatchEvent } from "longrun-sdk/client";

import { Lines } from "../dist/client/watch/lines.js";
import { finallyDo } from "./support/wait.js";

type Turn = (response: ServerResponse, request: IncomingMessage) => void;

const id = "00000000-0000-4000-8000-000000000001";
const STREAM = { "content-type": "text/event-stream" };

function event(name: string, cursor: number, status = "Running"): string {
  return `id: 1-${cursor}\nevent: ${name}\ndata: {"id":"${id}","status":"${status}"}\n\n`;
}

/** A server that answers its requests by turns; its client, and the cursors it was asked to go on after. */
async function serve(t: TestContext, ...turns: Turn[]): Promise<[Client, (string | undefined)[]]> {
  const cursors: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    cursors.push(request.headers["last-event-id"] as string | undefined);
    const turn = turns.shift();
    if (turn) turn(response, request);
    else response.writeHead(500).end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  finallyDo(t, () => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return [new Client(`http://127.0.0.1:${port}`, { deadlineSeconds: 5 }), cursors];
}

async function collect(watch: AsyncIterable<WatchEvent>): Promise<string[]> {
  const events = [];
  for await (const { event: name, cursor } of watch) events.push(`${name} ${cursor}`);
  return events;
}

test("a stream that breaks goes on after the last event", async (t) => {
  const [client, cursors] = await serve(
    t,
    (response) =>
      response.writeHead(200, STREAM).end(event("snapshot", 1) + event("progress", 2) + "id: 1-3\nev"),
    (response) => response.destroy(),
    (response) => response.writeHead(503, { "retry-after": "0" }).end(),
    (response) => response.writeHead(200, STREAM).end(event("completed", 4, "Completed")),
  );
  assert.deepEqual(await collect(client.watch(id)), ["snapshot 1-1", "progress 1-2", "completed 1-4"]);
  assert.deepEqual(cursors, [undefined, "1-2", "1-2", "1-2"]);
});

test("a stream that begins anew says so", async (t) => {
  const [client, cursors] = await serve(t, (response) => {
    response
      .writeHead(200, STREAM)
      .end(`id: 2-9\nevent: reset\ndata: {}\n\n${event("snapshot", 9, "Failed")}`);
  });
  const watch = client.watch(id, { after: "1-1" });
  assert.deepEqual(await collect(watch), ["reset 2-9", "snapshot 1-9"]);
  assert.deepEqual([cursors, watch.cursor], [["1-1"], "1-9"]);
});

test("past the end there is nothing", async (t) => {
  const [client] = await serve(t, (response) => response.writeHead(204).end());
  assert.deepEqual(await collect(client.watch(id, { after: "1-1" })), []);
});

test("an event that is not known passes", async (t) => {
  const [client] = await serve(t, (response) => {
    response.writeHead(200, STREAM).end(event("party", 1) + event("failed", 2, "Failed"));
  });
  assert.deepEqual(await collect(client.watch(id)), ["unknown 1-1", "failed 1-2"]);
});

test("what a server asks before it ends is waited for", async (t) => {
  const [client] = await serve(
    t,
    (response) => response.writeHead(200, STREAM).end(`${event("snapshot", 1)}retry: 600\n\n`),
    (response) => response.writeHead(200, STREAM).end(event("completed", 2, "Completed")),
  );
  const began = performance.now();
  await collect(client.watch(id));
  assert.ok(performance.now() - began >= 600);
});

test("a watch gives up when no connection was of use for as long as the deadline", async (t) => {
  const [first] = await serve(t);
  const client = new Client("http://127.0.0.1:9", { deadlineSeconds: 0.5 });
  await assert.rejects(collect(client.watch(id)), { status: 0, code: "unreachable" });
  await assert.rejects(collect(first.watch(id)), { status: 500 });
});

test("what is no stream is no stream", async (t) => {
  const [client] = await serve(t, (response) =>
    response.writeHead(200, { "content-type": "text/html" }).end("hi"),
  );
  await assert.rejects(collect(client.watch(id)), { code: "invalidAnswer" });
});

test("leaving the loop closes the connection, and another loop goes on", async (t) => {
  let closed: Promise<unknown> = Promise.resolve();
  const [client, cursors] = await serve(
    t,
    (response) => {
      closed = once(response, "close");
      response.writeHead(200, STREAM).write(event("snapshot", 1));
    },
    (response) => response.writeHead(200, STREAM).end(event("completed", 2, "Completed")),
  );
  const watch = client.watch(id);
  for await (const { event: name } of watch) {
    assert.equal(name, "snapshot");
    break;
  }
  await closed;
  assert.deepEqual(await collect(watch), ["completed 1-2"]);
  assert.deepEqual(cursors, [undefined, "1-1"]);
});

test("a signal ends a watch that hears nothing", async (t) => {
  const controller = new AbortController();
  const [client] = await serve(t, (response) => {
    response.writeHead(200, STREAM).write(": alive\n\n");
    setImmediate(() => {
      controller.abort(new Error("enough"));
    });
  });
  await assert.rejects(collect(client.watchAll({}, { signal: controller.signal })), { message: "enough" });
});

test("a filter is written so that no value can be taken for another field", async (t) => {
  const paths: (string | undefined)[] = [];
  const [client] = await serve(t, (response, request) => {
    paths.push(request.url);
    response.writeHead(204).end();
  });
  const filter = { queues: ["a&status=Failed", "b"], operationTypes: ["render:v2"], ids: [id, id] };
  await collect(client.watchAll({ ...filter, statuses: ["Running"] }));
  const query = "queue=a%26status%3DFailed%2Cb&operationType=render%3Av2&status=Running";
  assert.deepEqual(paths, [`/v1.0/events?${query}&ids=${id}%2C${id}`]);
});

test("events are put together from pieces that end anywhere", () => {
  const text =
    '\ufeff: hello\r\nid: 1\revent:e\ndata: {"a":\r\ndata:"ä€𝄞"}\r\n\r\nretry: 50\n\n\n: x\n\nid\ndata: \n\n';
  const bytes = new TextEncoder().encode(text);
  const expected = [
    { event: "e", id: "1", data: '{"a":\n"ä€𝄞"}' },
    { event: "", retry: 50 },
    { event: "", id: "", data: "" },
  ];
  for (let size = 1; size <= bytes.length; size += 1) {
    const lines = new Lines();
    const blocks = [];
    for (let at = 0; at < bytes.length; at += size) blocks.push(...lines.push(bytes.subarray(at, at + size)));
    assert.deepEqual(blocks, expected, `in pieces of ${size}`);
  }
});
