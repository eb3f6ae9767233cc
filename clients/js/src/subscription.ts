// Some topics and their end: what an application holds of a subscription.

import { AntiphonError } from './error.js';
import type { Start } from './event.js';
import type { Identity, Interest } from './interest.js';
import type { Settings } from './options.js';
import type { Stream } from './stream.js';

/** The topics of one call of `subscribe`. */
export class Subscription {
  /** The tenant of this client's token. */
  readonly tenant: string;
  /** The user of this client's token. */
  readonly userId: string;
  /** Where each topic began, or why it was refused. */
  readonly topics: ReadonlyMap<string, Start | AntiphonError>;
  #streams: readonly Stream[];
  #interest: Interest;

  /** @internal */
  constructor(
    { tenant, userId }: Identity,
    topics: ReadonlyMap<string, Start | AntiphonError>,
    streams: readonly Stream[],
    interest: Interest,
  ) {
    this.tenant = tenant;
    this.userId = userId;
    this.topics = topics;
    this.#streams = streams;
    this.#interest = interest;
  }

  /** The last position of a topic that its handler has returned from: where another subscription may go on. */
  position(topic: string): string | null {
    return this.#streams.find((stream) => stream.topic === topic)?.handled ?? null;
  }

  /** Ends it: no handler is called from now on. Resolves once the server knows, or the connection is gone. */
  close(): Promise<void> {
    for (const stream of this.#streams) stream.close();
    return this.#interest.remove(this.#streams);
  }
}

/** Begins streams, and resolves once each is answered for. */
export async function begin(
  streams: readonly Stream[],
  from: Readonly<Record<string, string>>,
  settings: Settings,
  interest: Interest,
  signal: AbortSignal | undefined,
): Promise<Subscription> {
  const outcomes = streams.map(
    (stream) =>
      new Promise<Start | AntiphonError>((resolve) => interest.add(stream, { begun: resolve, refused: resolve })),
  );
  const close = () => {
    for (const stream of streams) stream.close();
    void interest.remove(streams);
  };
  signal?.addEventListener('abort', close, { once: true });
  await Promise.all(streams.map((stream) => place(stream, from, settings, interest)));
  interest.sync();
  const answered = await Promise.all(outcomes);
  const first = answered[0]!;
  if (first instanceof AntiphonError && answered.every((outcome) => outcome instanceof AntiphonError)) throw first;
  const topics = new Map(streams.map(({ topic }, at) => [topic, answered[at]!]));
  return new Subscription(interest.identity!, topics, streams, interest);
}

/** Finds out where a stream begins. */
async function place(
  stream: Stream,
  from: Readonly<Record<string, string>>,
  { positions, onError }: Settings,
  interest: Interest,
): Promise<void> {
  const { topic } = stream;
  if (Object.hasOwn(from, topic)) {
    stream.from(from[topic]!);
  } else if (positions) {
    try {
      const kept = (await positions.get(topic)) ?? null;
      if (kept !== null && typeof kept !== 'string') throw new TypeError(`it gave ${String(kept)}, not a position`);
      stream.from(kept);
    } catch (cause) {
      // To begin at the head instead would pass over what was missed.
      onError(cause);
      interest.refuse(stream, new AntiphonError('INVALID', `positions: get failed for ${topic}`, { topic, cause }));
    }
  }
  stream.waits = false;
}
