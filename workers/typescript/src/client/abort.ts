/** Listening to signals that many calls share. */

const listeners = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls back once the signal has fired, which it has not yet; the returned function takes that back.
 *
 * However many listen, the signal has one listener: Node warns of more than ten on one signal, as of a leak.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  const callbacks = listeners.get(signal) ?? listen(signal);
  callbacks.add(callback);
  return () => callbacks.delete(callback);
}

function listen(signal: AbortSignal): Set<() => void> {
  const callbacks = new Set<() => void>();
  listeners.set(signal, callbacks);
  const fire = (): void => {
    for (const callback of [...callbacks]) callback();
  };
  signal.addEventListener("abort", fire, { once: true });
  return callbacks;
}
