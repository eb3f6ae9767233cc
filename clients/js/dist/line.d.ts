import { type TerminateReason } from './error.js';
import { type ClientFrame, type ServerFrame } from './frame.js';
import type { Settings } from './options.js';
/** How a line ended. */
export interface End {
    /** The close code, where there was a close. */
    readonly code: number | null;
    /** The identity has ended. */
    readonly terminated?: TerminateReason;
    /** When the server wants to be asked again. */
    readonly retryAfterMs?: number | undefined;
}
/** Who holds a line. */
export interface LineHolder {
    greeted(line: Line): void;
    heard(line: Line, said: ServerFrame, text: string): void;
    ended(line: Line, end: End): void;
}
export declare class Line {
    #private;
    readonly url: string;
    /** The token that was shown last. */
    token: string | undefined;
    /** Since when it holds. */
    since: number | null;
    constructor(url: string, token: string | undefined, connectMs: number, settings: Settings, holder: LineHolder);
    get over(): boolean;
    /** Bytes that the socket has taken and not yet sent. */
    get waitingBytes(): number;
    say(frame: ClientFrame): void;
    /** Asks for a life sign now. */
    probe(): void;
    /** Leaves a node that does not do what it should. */
    abandon(): void;
    /** Says goodbye; its end is not told. */
    close(): void;
}
