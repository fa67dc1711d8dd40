/** How the loop hears that there is something to do. */

import { after } from "../client/clock.js";

/** Milliseconds far enough to be never. */
export const NEVER = 3_600_000;

/**
 * Rung by whatever happens. Many rings are one, and the loop hears them only after everything else that is
 * ready has had its turn, so that a burst of short handlers is reported in one exchange instead of many.
 */
export class Bell {
  private isRung = false;
  private wake: (() => void) | undefined;

  ring(): void {
    if (this.isRung) return;
    this.isRung = true;
    if (this.wake) setImmediate(this.wake);
  }

  /** Resolves after the next ring, or after so many milliseconds. */
  heard(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.isRung
        ? undefined
        : after(milliseconds, () => {
            this.ring();
          });
      this.wake = () => {
        clearTimeout(timer);
        this.isRung = false;
        this.wake = undefined;
        resolve();
      };
      if (this.isRung) setImmediate(this.wake);
    });
  }
}

/** Resolves after everything that is ready has had its turn. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
