/** The signals by which a process is asked to end. */

import process from "node:process";

const SIGNALS = ["SIGTERM", "SIGINT"] as const;

/**
 * Runs something with a signal that fires at the first SIGTERM or SIGINT. A second one ends the process as if
 * nobody had listened.
 */
export async function untilSignal<T>(run: (shutdown: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const forget = (): void => {
    for (const signal of SIGNALS) process.removeListener(signal, heard);
  };
  const heard = (): void => {
    forget();
    controller.abort();
  };
  for (const signal of SIGNALS) process.on(signal, heard);
  try {
    return await run(controller.signal);
  } finally {
    forget();
  }
}
