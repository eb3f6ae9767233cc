import { AntiphonError } from './error.js';
import type { ClientFrame, ServerFrame } from './frame.js';
import type { Line } from './line.js';
/** What became of something that was said: an answer, a refusal, or the end of its line before either. */
export type Outcome = {
    said: ServerFrame;
} | {
    refused: AntiphonError;
} | 'lost';
export declare class Ledger {
    #private;
    /** Says a frame on a line, and tells what became of it, once. */
    say(line: Line, frame: ClientFrame, settled: (outcome: Outcome) => void): void;
    /** An answer or an ERROR came. */
    hear(said: ServerFrame): void;
    /** Whether a line still owes answers. */
    waitsFor(line: Line): boolean;
    /** A line has ended; what it owes will not come. In the order in which it was said. */
    lost(line: Line): void;
}
/** The error of a refusal. */
export declare function refusal(said: {
    code: string;
    text: string;
    retryAfterMs?: number;
    topic?: string;
}): AntiphonError;
