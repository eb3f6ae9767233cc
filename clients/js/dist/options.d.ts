/** The bounds of the delay between two attempts to connect. */
export interface Backoff {
    /** The bound before the first attempt. */
    baseMs: number;
    /** The most that the bound grows to. */
    capMs: number;
    /** How long a connection has to hold before the bound is small again. */
    stableMs: number;
}
/** Where the application keeps the positions that its handlers have returned from. */
export interface PositionStore {
    get(topic: string): string | null | undefined | Promise<string | null | undefined>;
    set(topic: string, position: string): unknown;
}
/** A WebSocket constructor as browsers have it. */
export type WebSocketConstructor = new (url: string) => WebSocketLike;
/** What is used of a WebSocket. */
export interface WebSocketLike {
    onopen: ((event: any) => void) | null;
    onmessage: ((event: any) => void) | null;
    onclose: ((event: any) => void) | null;
    onerror: ((event: any) => void) | null;
    readonly bufferedAmount: number;
    send(text: string): void;
    close(code?: number): void;
}
export interface ClientOptions {
    /** The nodes, tried in turn; or a function that gives them before each attempt. */
    url: string | readonly string[] | (() => string | readonly string[]);
    /** The token, or where it comes from: asked before each connection, and shortly before a token ends. */
    token?: string | (() => string | Promise<string>);
    positions?: PositionStore;
    /** For Node 20 and others without one of their own. */
    WebSocket?: WebSocketConstructor;
    backoff?: Partial<Backoff>;
    /** From the token's callback to the greeting: 10 s. */
    connectTimeoutMs?: number;
    /** Without a sound for so long, the server is asked for one: 15 s. */
    pingEveryMs?: number;
    /** And without an answer for so long, the connection is dead: 10 s. */
    silenceTimeoutMs?: number;
    /** For the answer to history and presence, reconnects included: 30 s. */
    askTimeoutMs?: number;
    /** History and presence that may wait for their answers: 256. */
    asksMax?: number;
    /** For the answer to a publish, being offline included: 10 min. */
    publishTimeoutMs?: number;
    /** Publishes that may wait for their answers: 1000. */
    publishQueueMax?: number;
    /** And their bytes together: 8 MiB. */
    publishQueueBytesMax?: number;
    /** Publishes of one topic that may be under way at once: 1. More keep their order unless one is refused for now. */
    publishWindow?: number;
    /** Events of one topic that may wait for its handler: 1000. Over it the topic rests until they are dealt with. */
    inboxMax?: number;
    /** And their bytes together, of which the last event may go over it: 4 MiB. */
    inboxBytesMax?: number;
    /** How long an old connection may stay beside its successor: 10 s. */
    handoverTimeoutMs?: number;
    /** Bytes that may wait in the socket before a signal is refused: 1 MiB. */
    socketBytesMax?: number;
    /** Told what nobody else is: a callback of the application that failed. Without it: `console.error`. */
    onError?: (error: unknown) => void;
    /** Draws from 0 to 1, for tests. */
    random?: () => number;
}
declare const DEFAULTS: {
    connectTimeoutMs: number;
    pingEveryMs: number;
    silenceTimeoutMs: number;
    askTimeoutMs: number;
    asksMax: number;
    publishTimeoutMs: number;
    publishQueueMax: number;
    publishQueueBytesMax: number;
    publishWindow: number;
    inboxMax: number;
    inboxBytesMax: number;
    handoverTimeoutMs: number;
    socketBytesMax: number;
};
export type Settings = typeof DEFAULTS & {
    urls: () => readonly string[];
    token: string | (() => string | Promise<string>) | undefined;
    positions: PositionStore | undefined;
    WebSocket: WebSocketConstructor;
    backoff: Backoff;
    onError: (error: unknown) => void;
    random: () => number;
};
/** Checks the options and fills in what was left out. */
export declare function settings(options: ClientOptions): Settings;
export {};
