// Which topics are heard: asked for on each new line from where their streams are, and handed what is said of them.
//
// With two lines side by side, a topic is heard from the old one until the new one has answered for it, and from then
// on from the new one alone: each says everything after the position that it was shown, so the offsets leave out what
// both have said. A signal has no offset: from when the new line is asked, the old one's are left out.
import { AntiphonError } from './error.js';
import { TOPICS_A_FRAME } from './frame.js';
import { Leaving } from './leaving.js';
import { refusal } from './ledger.js';
export class Interest {
    identity = null;
    #ledger;
    #leaving;
    #line;
    #told;
    #streams = new Map();
    #beginnings = new Map();
    constructor(ledger, line, told) {
        this.#ledger = ledger;
        this.#leaving = new Leaving(ledger, () => this.sync());
        this.#line = line;
        this.#told = told;
    }
    get size() {
        return this.#streams.size;
    }
    has(topic) {
        return this.#streams.has(topic);
    }
    /** Begins a topic; it is asked for once it no longer waits. */
    add(stream, beginning) {
        this.#streams.set(stream.topic, stream);
        this.#beginnings.set(stream, beginning);
    }
    /** A topic can't begin. */
    refuse(stream, error) {
        const beginning = this.#beginnings.get(stream);
        this.#beginnings.delete(stream);
        if (this.#streams.get(stream.topic) === stream)
            this.#streams.delete(stream.topic);
        stream.end();
        beginning?.refused(error);
    }
    /** A topic whose stream a line says already, if there is one. */
    heardFrom(line) {
        return [...this.#streams.values()].find((stream) => stream.owner === line)?.topic;
    }
    /** Asks for every topic that the line was not asked for yet. */
    sync() {
        const line = this.#line();
        if (!line)
            return;
        const due = [...this.#streams.values()].filter(({ topic, waits, rests, asked }) => !waits && !rests && asked !== line && !this.#leaving.has(line, topic));
        for (let at = 0; at < due.length; at += TOPICS_A_FRAME)
            this.#ask(line, due.slice(at, at + TOPICS_A_FRAME));
    }
    /** Ends these topics; resolves once nothing more of them can come. */
    remove(streams) {
        const line = this.#line();
        const said = [];
        for (const stream of streams) {
            this.#beginnings.get(stream)?.refused(new AntiphonError('CLOSED', 'the subscription was closed'));
            this.#beginnings.delete(stream);
            if (this.#streams.get(stream.topic) !== stream)
                continue;
            this.#streams.delete(stream.topic);
            if (line && stream.asked === line)
                said.push(stream.topic);
        }
        return line ? this.#leaving.end(line, said) : Promise.resolve();
    }
    /** A line has ended. */
    lost(line) {
        this.#leaving.lost(line);
    }
    /** The successor of a line has failed before it was left: it is the one that topics are heard from again. */
    back(line) {
        const moved = [];
        for (const stream of this.#streams.values()) {
            if (stream.owner === line)
                stream.asked = line;
            // What it has said since then was left out, so it has to begin anew.
            else if (!stream.waits && !stream.rests)
                moved.push(stream.topic);
        }
        void this.#leaving.end(line, moved);
    }
    /** Whether a topic is still heard from this line. */
    owes(line) {
        for (const stream of this.#streams.values())
            if (stream.owner === line)
                return true;
        return false;
    }
    /** The client has ended. */
    fail(error) {
        for (const beginning of [...this.#beginnings.values()])
            beginning.refused(error);
        this.#beginnings.clear();
        for (const stream of this.#streams.values()) {
            if (error.code === 'CLOSED')
                stream.close();
            else
                stream.end();
        }
        this.#streams.clear();
    }
    /** What is said of a topic; false: it is no such frame. */
    hear(line, said, text) {
        switch (said.type) {
            case 'MESSAGE':
                if (typeof said.position !== 'string')
                    return this.#plain(line, text);
                this.#message(line, said, text);
                return true;
            case 'POSITION':
                this.#heard(line, said.topic)?.moved(pick(said, 'topic', 'position', 'offset'));
                return true;
            case 'RESET':
                this.#heard(line, said.topic)?.reset(pick(said, 'topic', 'reason', 'position'));
                return true;
            case 'SIGNAL': {
                const stream = this.#heard(line, said.topic);
                const signal = pick(said, 'text', 'body', 'topic', 'userId', 'projectId');
                if (stream?.asked === line)
                    stream.beside('signal', signal, text.length);
                return true;
            }
            case 'UNSUBSCRIBED': {
                const stream = this.#heard(line, said.topic);
                if (stream)
                    this.#end(stream, said.reason);
                return true;
            }
            case 'ACCEPTED':
            case 'ERROR':
            case 'HISTORY':
            case 'PRESENCE':
            case 'PONG':
            case 'SUBSCRIPTION_SUCCESSFUL':
            case 'UNSUBSCRIPTION_SUCCESSFUL':
                return false;
            default:
                return this.#plain(line, text);
        }
    }
    hasRoom() {
        this.sync();
    }
    failed(stream) {
        void this.remove([stream]);
    }
    #heard(line, topic) {
        const stream = this.#streams.get(topic);
        return stream?.owner === line ? stream : null;
    }
    #message(line, message, text) {
        const stream = this.#heard(line, message.entry.topic);
        if (!stream || stream.message(message, text.length))
            return;
        // It rests until its inbox has room, and then goes on from what it has taken.
        const lines = new Set([line, stream.asked ?? line]);
        stream.rests = true;
        stream.owner = null;
        stream.asked = null;
        for (const each of lines)
            void this.#leaving.end(each, [stream.topic]);
    }
    #plain(line, text) {
        if (this.identity)
            this.#heard(line, this.identity.tenant)?.beside('plain', text, text.length);
        return true;
    }
    #ask(line, streams) {
        const topics = streams.map(({ topic }) => topic);
        const known = streams.filter(({ position }) => position !== null);
        const positions = Object.fromEntries(known.map(({ topic, position }) => [topic, position]));
        for (const stream of streams)
            stream.asked = line;
        const frame = { type: 'SUBSCRIBE', topics, ...(known.length && { positions }) };
        this.#ledger.say(line, frame, (outcome) => this.#settled(line, streams, outcome));
    }
    #settled(line, streams, outcome) {
        const live = streams.filter((stream) => this.#streams.get(stream.topic) === stream && stream.asked === line);
        if (outcome === 'lost') {
            for (const stream of live)
                stream.asked = null;
            return this.sync();
        }
        if ('refused' in outcome) {
            const { code, retryAfterMs } = outcome.refused;
            // The code is that of one of them: each is asked for alone; but over the rate it is the frame's.
            const all = code === 'RATE_LIMITED' && retryAfterMs !== undefined;
            if (streams.length > 1 && !all)
                return live.forEach((stream) => this.#ask(line, [stream]));
            return live.forEach((stream) => this.#refused(stream, outcome.refused));
        }
        const { text: tenant, userId, expiresAt, topics } = outcome.said;
        this.identity = { tenant, userId, expiresAt };
        for (const stream of live) {
            const begun = topics[stream.topic];
            if (begun?.error)
                this.#refused(stream, refusal({ ...begun.error, topic: stream.topic }));
            else if (begun)
                this.#begin(line, stream, begun);
        }
        this.#told(line, this.identity);
    }
    #begin(line, stream, { position, recovered }) {
        stream.begin(line, position);
        this.#beginnings.get(stream)?.begun({ position, recovered });
        this.#beginnings.delete(stream);
    }
    #refused(stream, error) {
        if (error.retryAfterMs === undefined) {
            const beginning = this.#beginnings.get(stream);
            if (!beginning)
                return this.#end(stream, error.code);
            this.#streams.delete(stream.topic);
            this.#beginnings.delete(stream);
            stream.end();
            return beginning.refused(error);
        }
        stream.waits = true;
        stream.asked = null;
        stream.again.set(error.retryAfterMs, () => {
            stream.waits = false;
            this.sync();
        });
    }
    #end(stream, reason) {
        this.#streams.delete(stream.topic);
        stream.end(reason);
    }
}
function pick(said, ...fields) {
    const all = said;
    return Object.fromEntries(fields.filter((field) => all[field] !== undefined).map((field) => [field, all[field]]));
}
