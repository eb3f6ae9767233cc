// The handle: what an application calls.
//
// The walk of a frame: the outbox, the questions and the interest say it through the ledger on the driver's line; what
// the server says goes to the ledger if it is an answer, else to the stream of its topic.
import { address } from './address.js';
import { Driver } from './driver.js';
import { AntiphonError, invalid } from './error.js';
import { Interest } from './interest.js';
import { Ledger, refusal } from './ledger.js';
import { draftFrame, historyFrame, onlyFields, TOPICS_MAX, topicName } from './ask.js';
import { settings } from './options.js';
import { Outbox } from './outbox.js';
import { Questions } from './question.js';
import { Stream } from './stream.js';
import { begin } from './subscription.js';
import { Renewal } from './token.js';
const HANDLERS = ['message', 'signal', 'position', 'reset', 'unsubscribed', 'failed', 'plain'];
/** A connection that comes back by itself. */
export class Client {
    /** Where the client is, for a page to show. */
    state;
    #settings;
    #driver;
    #ledger = new Ledger();
    #interest;
    #outbox;
    #questions;
    #renewal;
    #hasten = () => this.#driver.hasten();
    constructor(options) {
        this.#settings = settings(options);
        this.#driver = new Driver(this.#settings, {
            online: () => this.#online(),
            heard: (line, said, text) => this.#heard(line, said, text),
            back: (line) => this.#interest.back(line),
            lost: (line) => this.#lost(line),
            owes: (line) => this.#interest.owes(line) || this.#ledger.waitsFor(line),
            ended: (error) => this.#ended(error),
        });
        this.state = this.#driver.state;
        const line = () => this.#driver.current;
        this.#outbox = new Outbox(this.#settings, this.#ledger, line);
        this.#questions = new Questions(this.#settings, this.#ledger, line);
        const shown = () => line()?.token;
        this.#renewal = new Renewal(this.#settings, shown, (token) => this.#show(token));
        this.#interest = new Interest(this.#ledger, line, (on, identity) => {
            if (on === line())
                this.#renewal.endsAt(identity.expiresAt);
        });
    }
    /** Connects, and stays connected until it is closed. What is asked before waits. */
    connect() {
        if (this.state.value.name !== 'idle')
            return this;
        this.#driver.start();
        globalThis.addEventListener?.('online', this.#hasten);
        globalThis.addEventListener?.('offline', this.#hasten);
        return this;
    }
    /** Says goodbye. What waits for an answer is rejected with CLOSED; handlers are not called any more. */
    close() {
        this.#driver.end(new AntiphonError('CLOSED', 'the client is closed'));
    }
    /** Goes over to another node of its `url`s, as on the server's wish: without a gap. */
    moveTo(url) {
        this.#driver.moveTo(address(url));
    }
    /**
     * Subscribes to topics, or with null to the tenant's own. Resolves once the server has answered for all of them;
     * rejects if all were refused, or the client ends. A topic stays subscribed until it is closed or refused.
     */
    async subscribe(topics, handlers, options = {}) {
        const called = checkedHandlers(handlers);
        onlyFields('subscribe', options, ['from', 'signal']);
        const from = options.from ?? {};
        this.#notEnded();
        const closed = () => new AntiphonError('CLOSED', 'the subscription was closed');
        if (options.signal?.aborted)
            throw closed();
        const names = topics === null ? [await this.#ownTopic()] : checkedTopics(topics);
        this.#notEnded();
        if (options.signal?.aborted)
            throw closed();
        const taken = names.find((topic) => this.#interest.has(topic));
        if (taken !== undefined) {
            throw new AntiphonError('ALREADY_SUBSCRIBED', `this client is subscribed to ${taken} already`, { topic: taken });
        }
        if (this.#interest.size + names.length > TOPICS_MAX) {
            throw invalid(`topics: a client may have at most ${TOPICS_MAX}`);
        }
        for (const [topic, position] of Object.entries(from)) {
            if (typeof position !== 'string')
                throw invalid(`from: the position of ${topic} is not a text`);
        }
        const streams = names.map((topic) => new Stream(topic, called, this.#settings, this.#interest));
        return begin(streams, from, this.#settings, this.#interest, options.signal);
    }
    /** Publishes, and resolves once it is committed; said again after a reconnect it is the same entry, for its key. */
    async publish(draft) {
        this.#notEnded();
        return this.#outbox.publish(draft);
    }
    /** Sends something ephemeral, at most once; false: there is no connection, or no room, and it is not sent. */
    signal(draft) {
        const frame = draftFrame('SIGNAL', draft);
        const line = this.#driver.current;
        if (!line || line.waitingBytes > this.#settings.socketBytesMax)
            return false;
        line.say(frame);
        return true;
    }
    /** Reads a page of the past. */
    async history(page = {}) {
        this.#notEnded();
        const { topic, entries, more } = await this.#questions.ask(historyFrame(page));
        return { topic, entries: entries, more };
    }
    /** Reads the past page by page: from the newest, or `before`, backwards; with `after` onwards. */
    async *pages(page = {}) {
        for (let next = page; next;) {
            const past = await this.history(next);
            yield past;
            const edge = page.after === undefined ? past.entries[0] : past.entries.at(-1);
            const { after: _, before: __, ...rest } = page;
            if (!past.more || !edge)
                next = null;
            else
                next = { ...rest, ...(page.after === undefined ? { before: edge.position } : { after: edge.position }) };
        }
    }
    /** Who is subscribed to a topic, on all nodes; without one, to the tenant's own. */
    async presence(topic) {
        this.#notEnded();
        const frame = { type: 'PRESENCE', ...(topic !== undefined && { topic: topicName(topic) }) };
        return (await this.#questions.ask(frame)).users;
    }
    // ---- what the driver tells
    #online() {
        this.#renewal.stop();
        this.#interest.sync();
        this.#outbox.flush();
        this.#questions.flush();
    }
    #heard(line, said, text) {
        if (this.#interest.hear(line, said, text))
            return;
        if (said.type === 'ERROR' && said.ref === undefined)
            this.#settings.onError(refusal(said));
        else
            this.#ledger.hear(said);
    }
    #lost(line) {
        if (this.#driver.current === null)
            this.#renewal.stop();
        this.#ledger.lost(line);
        this.#interest.lost(line);
    }
    #ended(error) {
        globalThis.removeEventListener?.('online', this.#hasten);
        globalThis.removeEventListener?.('offline', this.#hasten);
        this.#renewal.stop();
        this.#interest.fail(error);
        this.#outbox.fail(error);
        this.#questions.fail(error);
    }
    // ---- servants
    #notEnded() {
        const { value } = this.state;
        if (value.name === 'closed')
            throw value.error;
    }
    async #ownTopic() {
        return this.#interest.identity?.tenant ?? (await this.#questions.ask({ type: 'PRESENCE' }, Infinity)).topic;
    }
    /** A SUBSCRIBE for what is subscribed already changes nothing, and tells when the new token ends. */
    #show(token) {
        const line = this.#driver.current;
        if (!line)
            return;
        const topic = this.#interest.heardFrom(line);
        const frame = topic === undefined ? { type: 'PING' } : { type: 'SUBSCRIBE', topics: [topic] };
        line.token = token;
        this.#ledger.say(line, { ...frame, token }, (outcome) => {
            if (outcome === 'lost' || line !== this.#driver.current)
                return;
            // Only an answer says when the token ends; a refusal for good means the frame and not the token.
            const after = 'refused' in outcome ? outcome.refused.retryAfterMs : undefined;
            if (after !== undefined)
                this.#renewal.showAgain(after);
            else
                this.#renewal.endsAt('said' in outcome ? (outcome.said.expiresAt ?? null) : null);
        });
    }
}
function checkedTopics(topics) {
    const names = (Array.isArray(topics) ? topics : [topics]).map(topicName);
    if (!names.length || names.length > TOPICS_MAX)
        throw invalid(`topics: 1 to ${TOPICS_MAX}, not ${names.length}`);
    const twice = names.find((name, at) => names.indexOf(name) !== at);
    if (twice !== undefined)
        throw invalid(`topics: ${twice} stands there twice`);
    return names;
}
function checkedHandlers(handlers) {
    if (typeof handlers === 'function')
        return { message: handlers };
    onlyFields('handlers', handlers, HANDLERS);
    const called = Object.entries(handlers).filter(([, handler]) => handler !== undefined);
    const other = called.find(([, handler]) => typeof handler !== 'function');
    if (other)
        throw invalid(`handlers: ${other[0]} is not a function`);
    if (!called.length)
        throw invalid('handlers: there is none');
    return { ...handlers };
}
