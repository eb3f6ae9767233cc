// What a subscription hears, and what comes back from what is asked. Entries and signals are the server's frames as
// docs/protocol.md has them.

/** Who, where and when. */
export interface EntryInfo {
  /** A UUID. */
  readonly id: string;
  /** The tenant. */
  readonly companyId: string;
  readonly projectId: string | null;
  readonly topic: string;
  /** The author; null: the application. */
  readonly userId: string | null;
  /** Milliseconds since the Unix epoch. */
  readonly createdAt: number;
}

/** An entry as this client got it; it has `text` or `body`. */
export interface Message {
  readonly text?: string;
  readonly body?: unknown;
  readonly entry: EntryInfo;
  readonly project?: { readonly id: string };
  /** Where it stands; handed back as it is. */
  readonly position: string;
  /** Its number in the topic. */
  readonly offset: number;
  /** The idempotency key, where this client's user is the author. */
  readonly key?: string;
}

/** Something ephemeral; it has `text` or `body`. */
export interface Signal {
  readonly text?: string;
  readonly body?: unknown;
  readonly topic: string;
  readonly userId: string | null;
  readonly projectId: string | null;
}

export type ResetReason = 'RETENTION' | 'EPOCH' | 'FORK' | 'AHEAD';

/** Continuity can't be proved: load the application's state afresh; the stream goes on from `position`. */
export interface Reset {
  readonly topic: string;
  readonly reason: ResetReason;
  readonly position: string;
}

/** Entries that are not for this client have moved its stream. */
export interface Position {
  readonly topic: string;
  readonly position: string;
  readonly offset: number;
}

/** The topic is no longer heard: `FORBIDDEN` when the right to it has ended, else the code of a refusal. */
export interface Unsubscribed {
  readonly topic: string;
  readonly reason: string;
}

/** A handler threw: its topic has ended, and `position` is the last one that was dealt with. */
export interface Failed {
  readonly topic: string;
  readonly error: unknown;
  readonly position: string | null;
}

/**
 * What is called for a topic, one after the other: the next one waits for the promise of the one before. A handler that
 * throws ends its topic, so that nothing is passed over.
 */
export interface Handlers {
  message?: (message: Message) => unknown;
  signal?: (signal: Signal) => unknown;
  position?: (position: Position) => unknown;
  reset?: (reset: Reset) => unknown;
  unsubscribed?: (unsubscribed: Unsubscribed) => unknown;
  failed?: (failed: Failed) => unknown;
  /** What another program published on plain Redis under the tenant's id, as it is; for the tenant's own topic. */
  plain?: (text: string) => unknown;
}

/** Where a topic's stream began. */
export interface Start {
  readonly position: string;
  /** A position was given and proved good. */
  readonly recovered: boolean;
}

/** What became of a publish: it is committed. */
export interface Accepted {
  /** The entry's id, a UUID. */
  readonly id: string;
  readonly position: string;
  readonly offset: number;
  /** The key had been used before for the same content; this is the entry of then. */
  readonly duplicate: boolean;
}

/** Something to publish or to signal: `text` or `body`; without `topic` to the tenant's own. */
export interface Draft {
  text?: string;
  body?: unknown;
  topic?: string;
  /** Its members alone get it. */
  projectId?: string;
  /** The idempotency key, in place of a random one; a signal has none. */
  key?: string;
}

/** Which page of the past: the newest, or one that ends before or begins after a position. */
export interface HistoryPage {
  topic?: string;
  before?: string;
  after?: string;
  /** 1 to 200; 50 if left out. */
  limit?: number;
}

/** A page of the past, oldest first. */
export interface Past {
  readonly topic: string;
  readonly entries: readonly Message[];
  /** Whether there is more in its direction. */
  readonly more: boolean;
}
