// A value that can be looked at and watched: what a page shows of the connection.

import type { AntiphonError } from './error.js';

/** Where the client is. `retryAt` is in milliseconds since the Unix epoch; `code` is the last close code, if any. */
export type State =
  | { readonly name: 'idle' }
  | { readonly name: 'connecting'; readonly url: string }
  | { readonly name: 'online'; readonly url: string }
  | {
      readonly name: 'waiting';
      readonly retryAt: number;
      readonly code: number | null;
      readonly error: AntiphonError | null;
    }
  | { readonly name: 'closed'; readonly error: AntiphonError };

/** A value and who watches it. */
export class Observable<T> {
  #value: T;
  #watchers = new Set<(value: T) => void>();
  #failed: (error: unknown) => void;

  constructor(value: T, failed: (error: unknown) => void) {
    this.#value = value;
    this.#failed = failed;
  }

  get value(): T {
    return this.#value;
  }

  /** Calls `watcher` with each new value until the function that comes back is called. */
  subscribe(watcher: (value: T) => void): () => void {
    const own = (value: T): void => watcher(value);
    this.#watchers.add(own);
    return () => void this.#watchers.delete(own);
  }

  /** @internal */
  become(value: T): void {
    this.#value = value;
    for (const watcher of [...this.#watchers]) {
      try {
        watcher(value);
      } catch (error) {
        this.#failed(error);
      }
    }
  }
}
