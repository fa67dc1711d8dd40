/** OpenTelemetry: the span of an attempt is below that of the submit, and its handler runs in it. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { ROOT_CONTEXT, SpanKind, SpanStatusCode, context, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";

import { type Context, PermanentError, ReleasedError } from "longrun-sdk";

import { Fake } from "./support/fake.js";
import { start } from "./support/worker.js";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER = "00f067aa0ba902b7";
const traceparent = `00-${TRACE}-${CALLER}-01`;

const exporter = new InMemorySpanExporter();
trace.setGlobalTracerProvider(
  new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
);
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());

const of = (id: string): ReadableSpan[] =>
  exporter.getFinishedSpans().filter((span) => span.attributes["longrun.operation.id"] === id);

/** Says which span it runs in. */
async function tell(_: unknown, attempt: Context): Promise<unknown> {
  await Promise.resolve();
  return [trace.getSpanContext(context.active())?.spanId, attempt.traceparent];
}

test("an attempt is a span below the submit, and its handler runs in it", async (t) => {
  const server = await Fake.start(t);
  start(t, server.url, { tell });
  const id = server.submit("tell", null, { traceparent, queue: "media" });
  const report = await server.report(id, "Completed");
  const [span] = of(id);
  assert.ok(span);
  assert.deepEqual([span.spanContext().traceId, span.parentSpanContext?.spanId], [TRACE, CALLER]);
  assert.deepEqual([span.name, span.kind], ["process tell", SpanKind.CONSUMER]);
  assert.equal(span.attributes["longrun.queue"], "media");
  assert.deepEqual(report.result, [span.spanContext().spanId, traceparent]);
  assert.equal(trace.getSpanContext(ROOT_CONTEXT), undefined);
});

test("a failure is one of the span, and a release is not", async (t) => {
  const server = await Fake.start(t);
  const fail = (): never => {
    throw new PermanentError("no", "never");
  };
  const release = (): never => {
    throw new ReleasedError();
  };
  start(t, server.url, { fail, release });
  for (const [type, status, code] of [
    ["fail", "Failed", SpanStatusCode.ERROR],
    ["release", "NotStarted", SpanStatusCode.UNSET],
  ] as const) {
    const id = server.submit(type, null, { traceparent });
    await server.report(id, status);
    assert.equal(of(id)[0]?.status.code, code);
  }
});

test("what was submitted in no span is carried out in none", async (t) => {
  const server = await Fake.start(t);
  start(t, server.url, { tell });
  const id = server.submit("tell");
  const report = await server.report(id, "Completed");
  assert.deepEqual(report.result, [null, null]);
  assert.deepEqual(of(id), []);
});
