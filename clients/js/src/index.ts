// The JavaScript client of antiphon: connect, subscribe, publish, come back, resume. docs/guide/javascript.md is its
// page, docs/protocol.md has the frames.

export { Client, type SubscribeOptions } from './client.js';
export { AntiphonError, type ClientCode, type ErrorCode, type RefusalCode, type TerminateReason } from './error.js';
export type {
  Accepted,
  Draft,
  EntryInfo,
  Failed,
  Handlers,
  HistoryPage,
  Message,
  Past,
  Position,
  Reset,
  ResetReason,
  Signal,
  Start,
  Unsubscribed,
} from './event.js';
export type { Backoff, ClientOptions, PositionStore, WebSocketConstructor, WebSocketLike } from './options.js';
export type { Observable, State } from './state.js';
export type { Subscription } from './subscription.js';
