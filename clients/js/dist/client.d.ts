import type { Accepted, Draft, Handlers, HistoryPage, Message, Past } from './event.js';
import { type ClientOptions } from './options.js';
import type { Observable, State } from './state.js';
import { type Subscription } from './subscription.js';
/** Where topics begin. */
export interface SubscribeOptions {
    /** Topic -> position; it wins over what the position store has. */
    from?: Readonly<Record<string, string>>;
    /** Closes the subscription when it is aborted, also before it has begun. */
    signal?: AbortSignal;
}
/** A connection that comes back by itself. */
export declare class Client {
    #private;
    /** Where the client is, for a page to show. */
    readonly state: Observable<State>;
    constructor(options: ClientOptions);
    /** Connects, and stays connected until it is closed. What is asked before waits. */
    connect(): this;
    /** Says goodbye. What waits for an answer is rejected with CLOSED; handlers are not called any more. */
    close(): void;
    /** Goes over to another node of its `url`s, as on the server's wish: without a gap. */
    moveTo(url: string): void;
    /**
     * Subscribes to topics, or with null to the tenant's own. Resolves once the server has answered for all of them;
     * rejects if all were refused, or the client ends. A topic stays subscribed until it is closed or refused.
     */
    subscribe(topics: string | readonly string[] | null, handlers: Handlers | ((message: Message) => unknown), options?: SubscribeOptions): Promise<Subscription>;
    /** Publishes, and resolves once it is committed; said again after a reconnect it is the same entry, for its key. */
    publish(draft: Draft): Promise<Accepted>;
    /** Sends something ephemeral, at most once; false: there is no connection, or no room, and it is not sent. */
    signal(draft: Draft): boolean;
    /** Reads a page of the past. */
    history(page?: HistoryPage): Promise<Past>;
    /** Reads the past page by page: from the newest, or `before`, backwards; with `after` onwards. */
    pages(page?: HistoryPage): AsyncGenerator<Past, void>;
    /** Who is subscribed to a topic, on all nodes; without one, to the tenant's own. */
    presence(topic?: string): Promise<string[]>;
}
