import { AntiphonError } from './error.js';
import type { Start } from './event.js';
import { type ServerFrame } from './frame.js';
import { type Ledger } from './ledger.js';
import type { Line } from './line.js';
import type { Stream, StreamOwner } from './stream.js';
/** Who waits for the first answer of a topic. */
export interface Beginning {
    begun(start: Start): void;
    refused(error: AntiphonError): void;
}
/** What SUBSCRIPTION_SUCCESSFUL tells beside its topics. */
export interface Identity {
    tenant: string;
    userId: string;
    expiresAt: number | null;
}
export declare class Interest implements StreamOwner {
    #private;
    identity: Identity | null;
    constructor(ledger: Ledger, line: () => Line | null, told: (line: Line, identity: Identity) => void);
    get size(): number;
    has(topic: string): boolean;
    /** Begins a topic; it is asked for once it no longer waits. */
    add(stream: Stream, beginning: Beginning): void;
    /** A topic can't begin. */
    refuse(stream: Stream, error: AntiphonError): void;
    /** A topic whose stream a line says already, if there is one. */
    heardFrom(line: Line): string | undefined;
    /** Asks for every topic that the line was not asked for yet. */
    sync(): void;
    /** Ends these topics; resolves once nothing more of them can come. */
    remove(streams: readonly Stream[]): Promise<void>;
    /** A line has ended. */
    lost(line: Line): void;
    /** The successor of a line has failed before it was left: it is the one that topics are heard from again. */
    back(line: Line): void;
    /** Whether a topic is still heard from this line. */
    owes(line: Line): boolean;
    /** The client has ended. */
    fail(error: AntiphonError): void;
    /** What is said of a topic; false: it is no such frame. */
    hear(line: Line, said: ServerFrame, text: string): boolean;
    hasRoom(): void;
    failed(stream: Stream): void;
}
