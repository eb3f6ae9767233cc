// Publishes, from the call to the commit: bounded, in order within a topic, said again with the same key after a
// refusal for now and after the loss of a line.
import { AntiphonError } from './error.js';
import { frameBytes } from './frame.js';
import { draftFrame, freshKey } from './ask.js';
import { Timer } from './timer.js';
export class Outbox {
    #settings;
    #ledger;
    #line;
    #lanes = new Map();
    #count = 0;
    #bytes = 0;
    /** The connection's rate is reached: every lane rests. */
    #rests = false;
    #rest = new Timer();
    constructor(settings, ledger, line) {
        this.#settings = settings;
        this.#ledger = ledger;
        this.#line = line;
    }
    publish(draft) {
        const key = draft?.key ?? freshKey();
        const frame = draftFrame('MESSAGE', draft, key);
        const bytes = frameBytes(frame);
        const { publishQueueMax, publishQueueBytesMax, publishTimeoutMs } = this.#settings;
        if (this.#count >= publishQueueMax || this.#bytes + bytes > publishQueueBytesMax) {
            const text = `${this.#count} publishes of ${this.#bytes} bytes wait for their answers already`;
            throw new AntiphonError('QUEUE_FULL', text, { topic: draft.topic, key });
        }
        return new Promise((resolve, reject) => {
            const lane = this.#lane(draft.topic ?? '');
            const publish = { frame, key, bytes, underWay: null, late: new Timer(), resolve, reject };
            lane.waiting.push(publish);
            this.#count += 1;
            this.#bytes += bytes;
            const details = { topic: draft.topic, key };
            const late = () => this.#fail(lane, publish, new AntiphonError('TIMEOUT', 'no answer in time', details));
            publish.late.set(publishTimeoutMs, late);
            this.#pump(lane);
        });
    }
    /** There is a line again. */
    flush() {
        for (const lane of [...this.#lanes.values()])
            this.#pump(lane);
    }
    fail(error) {
        this.#rest.clear();
        for (const lane of [...this.#lanes.values()]) {
            lane.rest.clear();
            for (const publish of [...lane.waiting]) {
                const details = { topic: lane.topic || undefined, key: publish.key, cause: error };
                this.#fail(lane, publish, new AntiphonError(error.code, error.message, details));
            }
        }
    }
    #lane(topic) {
        const lane = this.#lanes.get(topic) ?? { topic, waiting: [], rests: false, rest: new Timer() };
        this.#lanes.set(topic, lane);
        return lane;
    }
    /** Says the oldest ones that are not under way; what is behind one that has to be said again waits for it. */
    #pump(lane) {
        for (const publish of lane.waiting.slice(0, this.#settings.publishWindow)) {
            const line = this.#line();
            if (!line || lane.rests || this.#rests)
                return;
            // What an old line has not answered may still have to be said again, before what comes here.
            if (lane.waiting.some(({ underWay }) => underWay !== null && underWay !== line))
                return;
            if (publish.underWay || !lane.waiting.includes(publish))
                continue;
            publish.underWay = line;
            this.#ledger.say(line, publish.frame, (outcome) => this.#settled(lane, publish, outcome));
        }
    }
    #settled(lane, publish, outcome) {
        publish.underWay = null;
        if (!lane.waiting.includes(publish))
            return;
        if (outcome === 'lost')
            return this.#pump(lane);
        if ('said' in outcome) {
            this.#forget(lane, publish);
            publish.resolve(accepted(outcome.said));
        }
        else if (outcome.refused.retryAfterMs === undefined) {
            const { code, message } = outcome.refused;
            this.#fail(lane, publish, new AntiphonError(code, message, { topic: outcome.refused.topic, key: publish.key }));
        }
        else if (outcome.refused.code === 'RATE_LIMITED') {
            this.#rests = true;
            this.#rest.set(outcome.refused.retryAfterMs, () => {
                this.#rests = false;
                this.flush();
            });
        }
        else {
            lane.rests = true;
            lane.rest.set(outcome.refused.retryAfterMs, () => {
                lane.rests = false;
                this.#pump(lane);
            });
        }
        this.#pump(lane);
    }
    #fail(lane, publish, error) {
        this.#forget(lane, publish);
        publish.reject(error);
        this.#pump(lane);
    }
    #forget(lane, publish) {
        publish.late.clear();
        lane.waiting.splice(lane.waiting.indexOf(publish), 1);
        this.#count -= 1;
        this.#bytes -= publish.bytes;
        if (lane.waiting.length)
            return;
        lane.rest.clear();
        this.#lanes.delete(lane.topic);
    }
}
const accepted = ({ entry, position, offset, duplicate = false }) => ({
    id: entry.id,
    position,
    offset,
    duplicate,
});
