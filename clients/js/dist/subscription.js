// Some topics and their end: what an application holds of a subscription.
import { AntiphonError } from './error.js';
/** The topics of one call of `subscribe`. */
export class Subscription {
    /** The tenant of this client's token. */
    tenant;
    /** The user of this client's token. */
    userId;
    /** Where each topic began, or why it was refused. */
    topics;
    #streams;
    #interest;
    /** @internal */
    constructor({ tenant, userId }, topics, streams, interest) {
        this.tenant = tenant;
        this.userId = userId;
        this.topics = topics;
        this.#streams = streams;
        this.#interest = interest;
    }
    /** The last position of a topic that its handler has returned from: where another subscription may go on. */
    position(topic) {
        return this.#streams.find((stream) => stream.topic === topic)?.handled ?? null;
    }
    /** Ends it: no handler is called from now on. Resolves once the server knows, or the connection is gone. */
    close() {
        for (const stream of this.#streams)
            stream.close();
        return this.#interest.remove(this.#streams);
    }
}
/** Begins streams, and resolves once each is answered for. */
export async function begin(streams, from, settings, interest, signal) {
    const outcomes = streams.map((stream) => new Promise((resolve) => interest.add(stream, { begun: resolve, refused: resolve })));
    const close = () => {
        for (const stream of streams)
            stream.close();
        void interest.remove(streams);
    };
    signal?.addEventListener('abort', close, { once: true });
    await Promise.all(streams.map((stream) => place(stream, from, settings, interest)));
    interest.sync();
    const answered = await Promise.all(outcomes);
    const first = answered[0];
    if (first instanceof AntiphonError && answered.every((outcome) => outcome instanceof AntiphonError))
        throw first;
    const topics = new Map(streams.map(({ topic }, at) => [topic, answered[at]]));
    return new Subscription(interest.identity, topics, streams, interest);
}
/** Finds out where a stream begins. */
async function place(stream, from, { positions, onError }, interest) {
    const { topic } = stream;
    if (Object.hasOwn(from, topic)) {
        stream.from(from[topic]);
    }
    else if (positions) {
        try {
            const kept = (await positions.get(topic)) ?? null;
            if (kept !== null && typeof kept !== 'string')
                throw new TypeError(`it gave ${String(kept)}, not a position`);
            stream.from(kept);
        }
        catch (cause) {
            // To begin at the head instead would pass over what was missed.
            onError(cause);
            interest.refuse(stream, new AntiphonError('INVALID', `positions: get failed for ${topic}`, { topic, cause }));
        }
    }
    stream.waits = false;
}
