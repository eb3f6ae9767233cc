import type { AntiphonError } from './error.js';
/** Where the client is. `retryAt` is in milliseconds since the Unix epoch; `code` is the last close code, if any. */
export type State = {
    readonly name: 'idle';
} | {
    readonly name: 'connecting';
    readonly url: string;
} | {
    readonly name: 'online';
    readonly url: string;
} | {
    readonly name: 'waiting';
    readonly retryAt: number;
    readonly code: number | null;
    readonly error: AntiphonError | null;
} | {
    readonly name: 'closed';
    readonly error: AntiphonError;
};
/** A value and who watches it. */
export declare class Observable<T> {
    #private;
    constructor(value: T, failed: (error: unknown) => void);
    get value(): T;
    /** Calls `watcher` with each new value until the function that comes back is called. */
    subscribe(watcher: (value: T) => void): () => void;
}
