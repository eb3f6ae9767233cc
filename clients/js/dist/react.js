// React hooks: a subscription for as long as a component is there, and the state of the connection.
import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from 'react';
/** The state of the connection; the component is drawn again when it changes. */
export function useConnectionState(client) {
    const subscribe = useCallback((changed) => client.state.subscribe(changed), [client]);
    const value = () => client.state.value;
    return useSyncExternalStore(subscribe, value, value);
}
const NOT_YET = { subscription: null, error: null };
/**
 * Subscribes to a topic (null: the tenant's own) while the component is there. The handlers of the last drawing are the
 * ones that are called; another client or topic is another subscription.
 */
export function useSubscription(client, topic, handlers) {
    const called = useRef(handlers);
    const [subscribed, setSubscribed] = useState(NOT_YET);
    useEffect(() => {
        called.current = handlers;
    });
    useEffect(() => {
        const end = new AbortController();
        const { signal } = end;
        const forward = {
            message: (message) => called.current.message?.(message),
            signal: (said) => called.current.signal?.(said),
            position: (position) => called.current.position?.(position),
            reset: (reset) => called.current.reset?.(reset),
            unsubscribed: (unsubscribed) => called.current.unsubscribed?.(unsubscribed),
            plain: (text) => called.current.plain?.(text),
            // Without this one the client itself reports what a handler throws.
            ...(called.current.failed && { failed: (failed) => called.current.failed?.(failed) }),
        };
        client.subscribe(topic, forward, { signal }).then((subscription) => signal.aborted || setSubscribed({ subscription, error: null }), (error) => signal.aborted || setSubscribed({ subscription: null, error }));
        return () => {
            end.abort();
            setSubscribed(NOT_YET);
        };
    }, [client, topic]);
    return subscribed;
}
