// One topic as this client hears it: what has come, what waits for the application, what it has dealt with.
//
// `offset` and `position` are of what has come: what is not greater was seen before, and a new line goes on from there.
// `handled` is of what the application's handler has returned from: that is what is kept.
import { Timer } from './timer.js';
/** What a character of a text takes at most. */
const CHARACTER_BYTES = 2;
export class Stream {
    topic;
    handlers;
    position = null;
    handled = null;
    offset = 0;
    /** The line that this topic is heard from; what others say of it is left out. */
    owner = null;
    /** The line that was last asked for it. */
    asked = null;
    /** It may not be asked for: its kept position is still read, the server wants time, or the inbox is full. */
    waits = true;
    rests = false;
    again = new Timer();
    over = false;
    #settings;
    #owner;
    #inbox = [];
    #bytes = 0;
    #closed = false;
    #running = false;
    #keeper;
    constructor(topic, handlers, settings, owner) {
        this.topic = topic;
        this.handlers = handlers;
        this.#settings = settings;
        this.#owner = owner;
        this.#keeper = settings.positions ? new Keeper(topic, settings.positions, settings.onError) : null;
    }
    /** It goes on from here: what was kept, or what the application says. */
    from(position) {
        this.position = position;
        this.handled = position;
    }
    /** A line has begun to say it. */
    begin(line, position) {
        this.owner = line;
        if (this.position !== null)
            return;
        this.position = position;
        this.#deal(position);
    }
    /** An entry came in a frame of so many characters; false: there is no room for it. */
    message(message, characters) {
        if (message.offset <= this.offset)
            return true;
        if (this.#isFull())
            return false;
        this.offset = message.offset;
        this.position = message.position;
        this.#push('message', message, message.position, characters);
        return true;
    }
    /** The stream moved without an entry. */
    moved(moved) {
        if (moved.offset < this.offset || this.#isFull())
            return;
        this.offset = moved.offset;
        this.position = moved.position;
        if (this.#inbox.at(-1)?.kind === 'position')
            this.#inbox.pop();
        this.#push('position', moved, moved.position);
    }
    /** The stream goes on elsewhere: offsets of before say nothing any more. */
    reset(reset) {
        this.offset = 0;
        this.position = reset.position;
        // There is always room for it, since of several without anything between them the last one says all.
        if (this.#inbox.at(-1)?.kind === 'reset')
            this.#inbox.pop();
        this.#push('reset', reset, reset.position);
    }
    /** Something without a place in the stream: left out where there is no room. */
    beside(kind, value, characters) {
        if (!this.#isFull())
            this.#push(kind, value, null, characters);
    }
    /** Nothing more comes; what has come is still dealt with. */
    end(reason) {
        if (reason !== undefined && !this.over) {
            this.#push('unsubscribed', { topic: this.topic, reason }, null);
        }
        this.over = true;
        this.again.clear();
    }
    /** The application wants nothing more of it. */
    close() {
        this.#closed = true;
        this.#inbox = [];
        this.#bytes = 0;
        this.end();
    }
    #isFull() {
        const { inboxMax, inboxBytesMax } = this.#settings;
        return this.#inbox.length >= inboxMax || this.#bytes >= inboxBytesMax;
    }
    #hasRoom() {
        const { inboxMax, inboxBytesMax } = this.#settings;
        return this.#inbox.length <= inboxMax / 2 && this.#bytes <= inboxBytesMax / 2;
    }
    #push(kind, value, position, characters = 0) {
        if (this.#closed)
            return;
        const bytes = characters * CHARACTER_BYTES;
        this.#inbox.push({ kind, value, position, bytes });
        this.#bytes += bytes;
        if (!this.#running)
            void this.#run();
    }
    async #run() {
        this.#running = true;
        for (let event = this.#inbox.shift(); event; event = this.#inbox.shift()) {
            this.#bytes -= event.bytes;
            try {
                const handler = this.handlers[event.kind];
                const returned = handler?.(event.value);
                if (typeof returned?.then === 'function')
                    await returned;
            }
            catch (error) {
                return this.#fail(error);
            }
            this.#deal(event.position);
            if (this.rests && this.#hasRoom()) {
                this.rests = false;
                this.#owner.hasRoom(this);
            }
        }
        this.#running = false;
    }
    #deal(position) {
        if (position === null)
            return;
        this.handled = position;
        this.#keeper?.keep(position);
    }
    #fail(error) {
        const told = this.#closed;
        this.close();
        this.#owner.failed(this);
        const { failed } = this.handlers;
        if (told || !failed)
            return this.#settings.onError(error);
        try {
            failed({ topic: this.topic, error, position: this.handled });
        }
        catch (another) {
            this.#settings.onError(another);
        }
    }
}
/** Hands positions to the application's store, one at a time; of those that come meanwhile the last one. */
class Keeper {
    #topic;
    #store;
    #onError;
    #next = null;
    #running = false;
    constructor(topic, store, onError) {
        this.#topic = topic;
        this.#store = store;
        this.#onError = onError;
    }
    keep(position) {
        this.#next = position;
        if (!this.#running)
            void this.#run();
    }
    async #run() {
        this.#running = true;
        while (this.#next !== null) {
            const position = this.#next;
            this.#next = null;
            try {
                const kept = this.#store.set(this.#topic, position);
                if (typeof kept?.then === 'function')
                    await kept;
            }
            catch (error) {
                this.#onError(error);
            }
        }
        this.#running = false;
    }
}
