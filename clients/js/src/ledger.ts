// What was said and is not yet answered, on which line. The end of a line is told to each ask: whether it is said again
// is for whoever asked.

import { AntiphonError, type RefusalCode } from './error.js';
import type { ClientFrame, ServerFrame } from './frame.js';
import type { Line } from './line.js';

/** What became of something that was said: an answer, a refusal, or the end of its line before either. */
export type Outcome = { said: ServerFrame } | { refused: AntiphonError } | 'lost';

interface Entry {
  line: Line;
  settled: (outcome: Outcome) => void;
}

export class Ledger {
  #waiting = new Map<string, Entry>();
  // 0 is the greeting's.
  #next = 1;

  /** Says a frame on a line, and tells what became of it, once. */
  say(line: Line, frame: ClientFrame, settled: (outcome: Outcome) => void): void {
    const ref = String(this.#next++);
    this.#waiting.set(ref, { line, settled });
    line.say({ ...frame, ref });
  }

  /** An answer or an ERROR came. */
  hear(said: ServerFrame): void {
    const entry = said.ref === undefined ? undefined : this.#waiting.get(said.ref);
    if (!entry) return;
    this.#waiting.delete(said.ref!);
    entry.settled(said.type === 'ERROR' ? { refused: refusal(said) } : { said });
  }

  /** Whether a line still owes answers. */
  waitsFor(line: Line): boolean {
    for (const entry of this.#waiting.values()) if (entry.line === line) return true;
    return false;
  }

  /** A line has ended; what it owes will not come. In the order in which it was said. */
  lost(line: Line): void {
    const lost = [...this.#waiting].filter(([, entry]) => entry.line === line);
    for (const [ref] of lost) this.#waiting.delete(ref);
    for (const [, entry] of lost) entry.settled('lost');
  }
}

/** The error of a refusal. */
export function refusal(said: { code: string; text: string; retryAfterMs?: number; topic?: string }): AntiphonError {
  const { code, text, retryAfterMs, topic } = said;
  return new AntiphonError(code as RefusalCode, text || code, { retryAfterMs, topic });
}
