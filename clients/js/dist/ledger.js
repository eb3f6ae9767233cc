// What was said and is not yet answered, on which line. The end of a line is told to each ask: whether it is said again
// is for whoever asked.
import { AntiphonError } from './error.js';
export class Ledger {
    #waiting = new Map();
    // 0 is the greeting's.
    #next = 1;
    /** Says a frame on a line, and tells what became of it, once. */
    say(line, frame, settled) {
        const ref = String(this.#next++);
        this.#waiting.set(ref, { line, settled });
        line.say({ ...frame, ref });
    }
    /** An answer or an ERROR came. */
    hear(said) {
        const entry = said.ref === undefined ? undefined : this.#waiting.get(said.ref);
        if (!entry)
            return;
        this.#waiting.delete(said.ref);
        entry.settled(said.type === 'ERROR' ? { refused: refusal(said) } : { said });
    }
    /** Whether a line still owes answers. */
    waitsFor(line) {
        for (const entry of this.#waiting.values())
            if (entry.line === line)
                return true;
        return false;
    }
    /** A line has ended; what it owes will not come. In the order in which it was said. */
    lost(line) {
        const lost = [...this.#waiting].filter(([, entry]) => entry.line === line);
        for (const [ref] of lost)
            this.#waiting.delete(ref);
        for (const [, entry] of lost)
            entry.settled('lost');
    }
}
/** The error of a refusal. */
export function refusal(said) {
    const { code, text, retryAfterMs, topic } = said;
    return new AntiphonError(code, text || code, { retryAfterMs, topic });
}
