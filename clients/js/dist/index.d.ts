export { Client, type SubscribeOptions } from './client.js';
export { AntiphonError, type ClientCode, type ErrorCode, type RefusalCode, type TerminateReason } from './error.js';
export type { Accepted, Draft, EntryInfo, Failed, Handlers, HistoryPage, Message, Past, Position, Reset, ResetReason, Signal, Start, Unsubscribed, } from './event.js';
export type { Backoff, ClientOptions, PositionStore, WebSocketConstructor, WebSocketLike } from './options.js';
export type { Observable, State } from './state.js';
export type { Subscription } from './subscription.js';
