// React hooks: a subscription for as long as a component is there, and the state of the connection.

import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import type { Client } from './client.js';
import type { AntiphonError } from './error.js';
import type { Handlers } from './event.js';
import type { State } from './state.js';
import type { Subscription } from './subscription.js';

/** The state of the connection; the component is drawn again when it changes. */
export function useConnectionState(client: Client): State {
  const subscribe = useCallback((changed: () => void) => client.state.subscribe(changed), [client]);
  const value = () => client.state.value;
  return useSyncExternalStore(subscribe, value, value);
}

/** What has become of a subscription: both are null until the server has answered. */
export interface Subscribed {
  readonly subscription: Subscription | null;
  readonly error: AntiphonError | null;
}

const NOT_YET: Subscribed = { subscription: null, error: null };

/**
 * Subscribes to a topic (null: the tenant's own) while the component is there. The handlers of the last drawing are the
 * ones that are called; another client or topic is another subscription.
 */
export function useSubscription(client: Client, topic: string | null, handlers: Handlers): Subscribed {
  const called = useRef(handlers);
  const [subscribed, setSubscribed] = useState(NOT_YET);
  useEffect(() => {
    called.current = handlers;
  });
  useEffect(() => {
    const end = new AbortController();
    const { signal } = end;
    const forward: Handlers = {
      message: (message) => called.current.message?.(message),
      signal: (said) => called.current.signal?.(said),
      position: (position) => called.current.position?.(position),
      reset: (reset) => called.current.reset?.(reset),
      unsubscribed: (unsubscribed) => called.current.unsubscribed?.(unsubscribed),
      plain: (text) => called.current.plain?.(text),
      // Without this one the client itself reports what a handler throws.
      ...(called.current.failed && { failed: (failed) => called.current.failed?.(failed) }),
    };
    client.subscribe(topic, forward, { signal }).then(
      (subscription) => signal.aborted || setSubscribed({ subscription, error: null }),
      (error: AntiphonError) => signal.aborted || setSubscribed({ subscription: null, error }),
    );
    return () => {
      end.abort();
      setSubscribed(NOT_YET);
    };
  }, [client, topic]);
  return subscribed;
}
