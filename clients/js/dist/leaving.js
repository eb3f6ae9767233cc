// Topics that a line was asked to end. Until it has, they are not asked for on it again: to a SUBSCRIBE of what it has
// not ended the node answers that it goes on from where it is, and what was left out meanwhile would be passed over.
import { TOPICS_A_FRAME } from './frame.js';
import { Timer } from './timer.js';
export class Leaving {
    #ledger;
    #free;
    #farewells = new Set();
    /** `free` is told when topics can be asked for again. */
    constructor(ledger, free) {
        this.#ledger = ledger;
        this.#free = free;
    }
    /** Whether a line has yet to end a topic. */
    has(line, topic) {
        for (const farewell of this.#farewells) {
            if (farewell.line === line && farewell.topics.includes(topic))
                return true;
        }
        return false;
    }
    /** Ends topics on a line; resolves once nothing more of them can come from it. */
    async end(line, topics) {
        const due = topics.filter((topic) => !this.has(line, topic));
        const frames = [];
        for (let at = 0; at < due.length; at += TOPICS_A_FRAME) {
            const part = due.slice(at, at + TOPICS_A_FRAME);
            frames.push(new Promise((over) => {
                const farewell = { line, topics: part, again: new Timer(), over };
                this.#farewells.add(farewell);
                this.#say(farewell);
            }));
        }
        await Promise.all(frames);
    }
    /** A line has ended, and with it all that it had. */
    lost(line) {
        for (const farewell of [...this.#farewells])
            if (farewell.line === line)
                this.#over(farewell);
    }
    #say(farewell) {
        const { line, topics } = farewell;
        this.#ledger.say(line, { type: 'UNSUBSCRIBE', topics }, (outcome) => {
            if (!this.#farewells.has(farewell))
                return;
            if (outcome === 'lost' || 'said' in outcome)
                return this.#over(farewell);
            const after = outcome.refused.retryAfterMs;
            // A node that will never do it is left: on the next line there is nothing to end.
            if (after === undefined)
                line.abandon();
            else
                farewell.again.set(after, () => this.#say(farewell));
        });
    }
    #over(farewell) {
        farewell.again.clear();
        this.#farewells.delete(farewell);
        farewell.over();
        this.#free();
    }
}
