import { AntiphonError } from './error.js';
import type { Start } from './event.js';
import type { Interest } from './interest.js';
import type { Settings } from './options.js';
import type { Stream } from './stream.js';
/** The topics of one call of `subscribe`. */
export declare class Subscription {
    #private;
    /** The tenant of this client's token. */
    readonly tenant: string;
    /** The user of this client's token. */
    readonly userId: string;
    /** Where each topic began, or why it was refused. */
    readonly topics: ReadonlyMap<string, Start | AntiphonError>;
    /** The last position of a topic that its handler has returned from: where another subscription may go on. */
    position(topic: string): string | null;
    /** Ends it: no handler is called from now on. Resolves once the server knows, or the connection is gone. */
    close(): Promise<void>;
}
/** Begins streams, and resolves once each is answered for. */
export declare function begin(streams: readonly Stream[], from: Readonly<Record<string, string>>, settings: Settings, interest: Interest, signal: AbortSignal | undefined): Promise<Subscription>;
