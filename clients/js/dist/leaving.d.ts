import type { Ledger } from './ledger.js';
import type { Line } from './line.js';
export declare class Leaving {
    #private;
    /** `free` is told when topics can be asked for again. */
    constructor(ledger: Ledger, free: () => void);
    /** Whether a line has yet to end a topic. */
    has(line: Line, topic: string): boolean;
    /** Ends topics on a line; resolves once nothing more of them can come from it. */
    end(line: Line, topics: readonly string[]): Promise<void>;
    /** A line has ended, and with it all that it had. */
    lost(line: Line): void;
}
