// The scenario program: what every SDK must do, written with nothing but the public API of this one.
// workers/scenarios/README.md is its contract.
import { existsSync } from "node:fs";
import { env, exit, kill, pid, stdout } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";

import { PermanentError, RetryableError, Worker } from "longrun-sdk";

const number = (name, otherwise) => Number(env[name] ?? otherwise);

/** Waits until a file exists, whatever else happens. */
async function exists(path) {
  while (!existsSync(path)) await sleep(20);
}

/** Waits until the handler is told to stop. */
function stop(signal) {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", resolve, { once: true });
  });
}

/** The guard of `typed`. */
function pagesOf(input) {
  if (!Number.isInteger(input?.pages)) throw new TypeError("pages: not an integer");
  return input;
}

const worker = new Worker(env.LONGRUN_URL ?? "http://127.0.0.1:8470", {
  token: env.LONGRUN_TOKEN,
  queue: env.LONGRUN_QUEUE ?? "default",
  concurrency: number("LONGRUN_CONCURRENCY", 16),
  leaseSeconds: number("LONGRUN_LEASE_SECONDS", 30),
  waitSeconds: number("LONGRUN_WAIT_SECONDS", 20),
  graceSeconds: number("LONGRUN_GRACE_SECONDS", 10),
});

worker
  .handler("complete", (input) => input)
  .handler("fail", () => {
    throw new RetryableError("upstream", "try again");
  })
  .handler("later", (input, { attempt }) => {
    if (attempt === 1) throw new RetryableError("notReady", "not yet", { after: input.seconds });
    return { attempt };
  })
  .handler("refuse", () => {
    throw new PermanentError("badInput", "no such page");
  })
  .handler("stumble", (_, { attempt }) => {
    if (attempt === 1) throw new Error("stumbled");
    return { attempt };
  })
  .handler("typed", ({ pages }) => ({ pages: pages + 1 }), { parse: pagesOf })
  .handler("progress", async (input, context) => {
    context.progress(25, "one quarter");
    context.progress(50, "half");
    await exists(input.until);
    return { done: true };
  })
  .handler("resume", async (_, context) => {
    if (context.previousCheckpoint) return { from: context.previousCheckpoint.page };
    context.checkpoint({ page: 5 });
    await stop(context.signal);
    throw context.stopped();
  })
  .handler("linger", async (_, context) => {
    await stop(context.signal);
    throw context.stopped();
  })
  .handler("hold", async (input, { attempt }) => {
    await exists(input.until);
    return { attempt };
  })
  .handler("crash", () => {
    kill(pid, "SIGKILL");
  })
  .handler("flood", () => "x".repeat(300_000))
  .handler("fence", async (input, { leaseToken }) => {
    await exists(input.until);
    return { leaseToken };
  });

stdout.write(`${JSON.stringify({ operationTypes: worker.operationTypes })}\n`);
await worker.run();
// A handler that was given up may still be at it.
exit(0);
