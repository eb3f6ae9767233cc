import type { Client } from './client.js';
import type { AntiphonError } from './error.js';
import type { Handlers } from './event.js';
import type { State } from './state.js';
import type { Subscription } from './subscription.js';
/** The state of the connection; the component is drawn again when it changes. */
export declare function useConnectionState(client: Client): State;
/** What has become of a subscription: both are null until the server has answered. */
export interface Subscribed {
    readonly subscription: Subscription | null;
    readonly error: AntiphonError | null;
}
/**
 * Subscribes to a topic (null: the tenant's own) while the component is there. The handlers of the last drawing are the
 * ones that are called; another client or topic is another subscription.
 */
export declare function useSubscription(client: Client, topic: string | null, handlers: Handlers): Subscribed;
