import type { Draft, HistoryPage } from './event.js';
import { type ClientFrame } from './frame.js';
export declare const TOPICS_MAX = 1000;
/** Checks a topic's name. */
export declare function topicName(topic: unknown): string;
/** Checks that a value has no fields but these. */
export declare function onlyFields(what: string, value: unknown, fields: readonly string[]): asserts value is object;
/** The frame of a draft, without its reference. */
export declare function draftFrame(type: 'MESSAGE' | 'SIGNAL', draft: Draft, key?: string): ClientFrame;
/** The frame of a question after the past, without its reference. */
export declare function historyFrame(page: HistoryPage): ClientFrame;
/** A fresh idempotency key: a UUID, also where a page is not in a secure context and has no `randomUUID`. */
export declare function freshKey(): string;
