// One WebSocket while it holds: the token is shown, the greeting awaited, and its silence noticed. A page never sees
// the server's pings, so a line asks for life signs of its own. Nothing is heard of a line after its end.
import { terminateReason } from './error.js';
import { GREETING, parse } from './frame.js';
import { Timer } from './timer.js';
const TERMINATED = 4401;
export class Line {
    url;
    /** The token that was shown last. */
    token;
    /** Since when it holds. */
    since = null;
    #settings;
    #holder;
    #socket;
    #alive = new Timer();
    #over = false;
    constructor(url, token, connectMs, settings, holder) {
        this.url = url;
        this.token = token;
        this.#settings = settings;
        this.#holder = holder;
        const socket = new settings.WebSocket(url);
        this.#socket = socket;
        this.#alive.set(connectMs, () => this.#end({ code: null }));
        socket.onopen = () => this.say({ type: 'PING', ref: GREETING, ...(token !== undefined && { token }) });
        socket.onmessage = ({ data }) => typeof data === 'string' && this.#hear(data);
        socket.onclose = ({ code }) => {
            this.#end(code === TERMINATED ? { code, terminated: 'TERMINATED' } : { code: code ?? null });
        };
        // The close that follows it says all.
        socket.onerror = () => { };
    }
    get over() {
        return this.#over;
    }
    /** Bytes that the socket has taken and not yet sent. */
    get waitingBytes() {
        return this.#socket.bufferedAmount ?? 0;
    }
    say(frame) {
        if (this.#over)
            return;
        // A socket that is closing throws, or drops it; its close is told.
        try {
            this.#socket.send(JSON.stringify(frame));
        }
        catch {
            this.#end({ code: null });
        }
    }
    /** Asks for a life sign now. */
    probe() {
        if (this.since === null || this.#over)
            return;
        this.say({ type: 'PING' });
        this.#alive.set(this.#settings.silenceTimeoutMs, () => this.#end({ code: null }));
    }
    /** Leaves a node that does not do what it should. */
    abandon() {
        this.#end({ code: null });
    }
    /** Says goodbye; its end is not told. */
    close() {
        this.#over = true;
        this.#alive.clear();
        try {
            this.#socket.close(1000);
        }
        catch {
            // One that can't be closed is left to itself.
        }
    }
    #end(end) {
        if (this.#over)
            return;
        this.close();
        // A peer that says nothing would keep a process waiting for its part of the goodbye.
        if (end.code === null)
            this.#socket.terminate?.();
        this.#holder.ended(this, end);
    }
    #hear(text) {
        if (this.#over)
            return;
        const said = parse(text);
        if (this.since !== null)
            this.#alive.set(this.#settings.pingEveryMs, () => this.probe());
        if (!said)
            return;
        if (said.type === 'TERMINATE_CONNECTION') {
            this.#end({ code: TERMINATED, terminated: terminateReason(said.text) });
        }
        else if (said.ref === GREETING && said.type === 'PONG') {
            this.since = Date.now();
            this.#alive.set(this.#settings.pingEveryMs, () => this.probe());
            this.#holder.greeted(this);
        }
        else if (said.ref === GREETING && said.type === 'ERROR') {
            this.#end({ code: null, retryAfterMs: said.retryAfterMs });
        }
        else if (this.since !== null) {
            try {
                this.#holder.heard(this, said, text);
            }
            catch (error) {
                // A frame that is not what it should be is not passed over: the topics go on from before it.
                this.#settings.onError(error);
                this.#end({ code: null });
            }
        }
    }
}
