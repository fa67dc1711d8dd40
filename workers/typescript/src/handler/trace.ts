/** OpenTelemetry, where its API is installed, as the process has set it up. */

import type * as Api from "@opentelemetry/api";

import type { Attempt } from "./attempt.js";
import { ReleasedError } from "./error.js";

/** The API; undefined where it is not installed, or nobody has looked for it yet. */
let api: typeof Api | undefined;

/** Looks for the API, before the first attempt. */
export async function loadTracing(): Promise<void> {
  try {
    api = await import("@opentelemetry/api");
  } catch {
    // It is not installed.
  }
}

/**
 * Does the work of an attempt in a span of its own, below the one in which its operation was submitted; in
 * none where it was submitted in none.
 */
export async function traced({ operation }: Attempt, work: () => unknown): Promise<unknown> {
  const { traceparent, operationType, queue, attemptsCount } = operation;
  if (!api || traceparent === undefined) return work();
  const { SpanKind, SpanStatusCode, context, propagation, trace } = api;
  const attributes = {
    "longrun.operation.id": operation.id,
    ...(operationType === undefined ? {} : { "longrun.operation.type": operationType }),
    ...(queue === undefined ? {} : { "longrun.queue": queue }),
    "longrun.attempt": attemptsCount ?? 1,
  };
  const parent = propagation.extract(context.active(), { traceparent });
  const options = { kind: SpanKind.CONSUMER, attributes };
  const span = trace.getTracer("longrun-sdk").startSpan(`process ${operationType ?? ""}`, options, parent);
  try {
    return await context.with(trace.setSpan(parent, span), work);
  } catch (thrown) {
    if (!(thrown instanceof ReleasedError)) {
      if (thrown instanceof Error) span.recordException(thrown);
      span.setStatus({ code: SpanStatusCode.ERROR });
    }
    throw thrown;
  } finally {
    span.end();
  }
}
