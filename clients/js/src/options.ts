// How a client is set up: every bound with its default.

import { address } from './address.js';
import { invalid } from './error.js';
import { onlyFields } from './ask.js';

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

const DEFAULTS = {
  connectTimeoutMs: 10_000,
  pingEveryMs: 15_000,
  silenceTimeoutMs: 10_000,
  askTimeoutMs: 30_000,
  asksMax: 256,
  publishTimeoutMs: 600_000,
  publishQueueMax: 1000,
  publishQueueBytesMax: 8 * 1024 * 1024,
  publishWindow: 1,
  inboxMax: 1000,
  inboxBytesMax: 4 * 1024 * 1024,
  handoverTimeoutMs: 10_000,
  socketBytesMax: 1024 * 1024,
};
const BACKOFF: Backoff = { baseMs: 250, capMs: 30_000, stableMs: 30_000 };
const OTHERS = ['url', 'token', 'positions', 'WebSocket', 'backoff', 'onError', 'random'];

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
export function settings(options: ClientOptions): Settings {
  onlyFields('options', options, [...OTHERS, ...Object.keys(DEFAULTS)]);
  const { url, token, positions, onError, random = Math.random } = options;
  if (token !== undefined && typeof token !== 'function' && (typeof token !== 'string' || token === '')) {
    throw invalid('token: neither a text nor a function');
  }
  if (positions !== undefined && (typeof positions?.get !== 'function' || typeof positions.set !== 'function')) {
    throw invalid('positions: it needs the functions get and set');
  }
  for (const [name, value] of Object.entries({ onError, random })) {
    if (value !== undefined && typeof value !== 'function') throw invalid(`${name}: not a function`);
  }
  const WebSocket = options.WebSocket ?? globalThis.WebSocket;
  if (typeof WebSocket !== 'function') {
    throw invalid('WebSocket: this platform has none; give a constructor, as that of the package ws');
  }
  const urls = typeof url === 'function' ? () => addresses(url()) : constant(addresses(url));
  if (options.backoff !== undefined) onlyFields('backoff', options.backoff, Object.keys(BACKOFF));
  const backoff = bounds('backoff.', BACKOFF, options.backoff ?? {});
  const numbers = bounds('', DEFAULTS, options);
  const report = onError ?? ((error: unknown) => console.error('antiphon:', error));
  return { ...numbers, urls, token, positions, WebSocket, backoff, onError: guarded(report), random };
}

const constant = <T>(value: T) => () => value;

function addresses(url: unknown): readonly string[] {
  const urls = (Array.isArray(url) ? url : [url]).map(address);
  if (!urls.length) throw invalid('url: there is none');
  return urls;
}

function bounds<T extends object>(what: string, defaults: T, given: { [name in keyof T]?: unknown }): T {
  const filled = { ...defaults } as Record<string, unknown>;
  for (const name of Object.keys(defaults)) {
    const value = given[name as keyof T];
    if (value === undefined) continue;
    const least = name.endsWith('Max') || name === 'publishWindow' ? 1 : 0;
    if (typeof value !== 'number' || !(value >= least)) {
      throw invalid(`${what}${name}: ${String(value)} is not a number from ${least}`);
    }
    filled[name] = value;
  }
  return filled as T;
}

const guarded = (report: (error: unknown) => void) => (error: unknown) => {
  try {
    report(error);
  } catch {
    // Who can't hear of errors is not told of one more.
  }
};
