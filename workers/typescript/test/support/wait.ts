/** Waiting for conditions. */

import { once } from "node:events";
import type { EventEmitter } from "node:events";
import type { TestContext } from "node:test";

/** Far beyond what any test needs, in milliseconds. */
export const PATIENCE = 30_000;

/** Waits until `look` finds something, looking again at each `change` of `subject`. */
export async function until<T>(subject: EventEmitter, what: string, look: () => T | undefined): Promise<T> {
  const signal = AbortSignal.timeout(PATIENCE);
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
    await once(subject, "change", { signal }).catch(() => {
      throw new Error(`never: ${what}`);
    });
  }
}

/** Fails a promise that takes longer than a test can wait. */
export async function soon<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`never: ${what}`));
    }, PATIENCE);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until a signal has fired. */
export function fired(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener(
      "abort",
      () => {
        resolve();
      },
      { once: true },
    );
  });
}

/** A promise, and what fulfils it. */
export class Gate<T = undefined> {
  open!: (value: T) => void;
  readonly opened = new Promise<T>((resolve) => {
    this.open = resolve;
  });
}

const endings = new WeakMap<TestContext, (() => unknown)[]>();

/** Does something when the test is over: what was begun last ends first. */
export function finallyDo(test: TestContext, ending: () => unknown): void {
  const begun = endings.get(test);
  begun?.unshift(ending);
  if (begun) return;
  const list = [ending];
  endings.set(test, list);
  test.after(async () => {
    for (const next of list) await next();
  });
}
