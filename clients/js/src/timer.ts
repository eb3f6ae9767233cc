// A timer that can be set anew; one of a time too long for the platform's timers waits in parts.

const SPAN_MAX_MS = 2 ** 31 - 1;

export class Timer {
  #handle: ReturnType<typeof setTimeout> | undefined;

  /** Runs this after so many milliseconds, in place of what was set before. */
  set(ms: number, run: () => void): void {
    this.clear();
    if (ms === Infinity) return;
    const span = Math.min(Math.max(0, ms), SPAN_MAX_MS);
    this.#handle = setTimeout(() => {
      this.#handle = undefined;
      if (ms > span) this.set(ms - span, run);
      else run();
    }, span);
  }

  clear(): void {
    clearTimeout(this.#handle);
    this.#handle = undefined;
  }
}
