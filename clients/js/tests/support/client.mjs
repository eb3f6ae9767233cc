// Clients for tests against real nodes: with the package `ws` where the platform has no WebSocket of its own.

import { WebSocket as WsSocket } from 'ws';
import { Client } from '../../dist/index.js';

export const WebSocket = globalThis.WebSocket ?? WsSocket;
const DEADLINE_MS = 15_000;

/** A client that comes back at once, so that tests are short. */
export const clientAt = (url, token, options = {}) =>
  new Client({ url, token, WebSocket, backoff: { baseMs: 5, capMs: 50 }, ...options }).connect();

/** Resolves once the client is in this state. */
export function reaches(client, name) {
  return new Promise((resolve) => {
    if (client.state.value.name === name) return resolve(client.state.value);
    const stop = client.state.subscribe((state) => {
      if (state.name !== name) return;
      stop();
      resolve(state);
    });
  });
}

/** A list that can be waited for. */
export class Heard {
  #items = [];
  #waiting = new Set();

  push(item) {
    this.#items.push(item);
    for (const look of [...this.#waiting]) look();
  }

  get all() {
    return this.#items;
  }

  /** Resolves with all once it holds. */
  until(holds, what = 'what was waited for') {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new Error(`${what} did not come; heard: ${JSON.stringify(this.#items)}`));
      }, DEADLINE_MS);
      const look = () => {
        if (!holds(this.#items)) return;
        clearTimeout(late);
        this.#waiting.delete(look);
        resolve(this.#items);
      };
      this.#waiting.add(look);
      look();
    });
  }
}
