import type { Backoff } from './options.js';
/** Where one client is in its backoff. */
export declare class Attempts {
    #private;
    constructor(backoff: Backoff, random: () => number);
    /** The delay before the next attempt. */
    next(): number;
    /** A short delay for an attempt that there is a reason for; the bound does not grow. */
    soon(): number;
    /** A connection has ended that held for so long. */
    heldFor(ms: number): void;
}
