// How long to stay away: full jitter over a growing bound, so that ten thousand clients which lost the same node come
// back spread out.
/** Where one client is in its backoff. */
export class Attempts {
    #backoff;
    #random;
    #failed = 0;
    constructor(backoff, random) {
        this.#backoff = backoff;
        this.#random = random;
    }
    /** The delay before the next attempt. */
    next() {
        const { baseMs, capMs } = this.#backoff;
        const bound = Math.min(capMs, baseMs * 2 ** this.#failed);
        this.#failed = Math.min(this.#failed + 1, 30);
        return this.#random() * bound;
    }
    /** A short delay for an attempt that there is a reason for; the bound does not grow. */
    soon() {
        return this.#random() * this.#backoff.baseMs;
    }
    /** A connection has ended that held for so long. */
    heldFor(ms) {
        if (ms >= this.#backoff.stableMs)
            this.#failed = 0;
    }
}
