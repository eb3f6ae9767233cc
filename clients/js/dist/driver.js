// Which line holds: connects, comes back, and on the server's wish goes over to a new line before the old one is left.
import { AntiphonError, invalid } from './error.js';
import { Attempts } from './backoff.js';
import { Line } from './line.js';
import { Observable } from './state.js';
import { Timer } from './timer.js';
import { fetchToken } from './token.js';
export class Driver {
    state;
    /** The line to speak on. */
    current = null;
    #settings;
    #speaker;
    #attempts;
    #turn = 0;
    /** Its successor, until it has greeted; `#dial` counts attempts, so that one which was given up ends itself. */
    #next = null;
    #dial = 0;
    #dials = false;
    /** Its predecessor, while something is expected from it. */
    #leaving = null;
    #leaveAt = null;
    #leave = new Timer();
    #handover = new Timer();
    #retry = new Timer();
    /** Whether the time of the next try is the client's own choice. */
    #ownTime = true;
    #refusedToken;
    #renewed = false;
    constructor(settings, speaker) {
        this.#settings = settings;
        this.#speaker = speaker;
        this.#attempts = new Attempts(settings.backoff, settings.random);
        this.state = new Observable({ name: 'idle' }, settings.onError);
    }
    start() {
        void this.#connect();
    }
    /** Goes over to another node. */
    moveTo(url) {
        if (this.state.value.name === 'closed')
            return;
        const turn = this.#settings.urls().indexOf(url);
        if (turn < 0)
            throw invalid(`url: ${url} is none of this client's`);
        this.#turn = turn;
        this.#giveUp();
        void this.#connect();
    }
    /** There is a reason to think that the network is back. */
    hasten() {
        const { value } = this.state;
        if (this.current)
            return this.current.probe();
        if (value.name !== 'waiting' || !this.#ownTime)
            return;
        const delay = this.#attempts.soon();
        if (Date.now() + delay < value.retryAt)
            this.#wait(delay, value.code, value.error);
    }
    end(error) {
        if (this.state.value.name === 'closed')
            return;
        this.#giveUp();
        for (const timer of [this.#leave, this.#handover, this.#retry])
            timer.clear();
        const lines = [this.current, this.#leaving].filter((line) => line !== null);
        this.current = null;
        this.#leaving = null;
        this.state.become({ name: 'closed', error });
        this.#speaker.ended(error);
        for (const line of lines) {
            line.close();
            this.#speaker.lost(line);
        }
    }
    // ---- a new line
    async #connect() {
        this.#retry.clear();
        if (this.#dials)
            return;
        this.#dials = true;
        const mine = ++this.#dial;
        try {
            const urls = this.#settings.urls();
            const url = urls[this.#turn % urls.length];
            this.#turn = (this.#turn + 1) % urls.length;
            if (!this.current)
                this.state.become({ name: 'connecting', url });
            const begun = Date.now();
            const token = await fetchToken(this.#settings);
            if (mine !== this.#dial)
                return;
            if (token !== undefined && token === this.#refusedToken)
                return this.end(terminated('TOKEN_EXPIRED'));
            const left = Math.max(1, this.#settings.connectTimeoutMs - (Date.now() - begun));
            this.#next = new Line(url, token, left, this.#settings, this);
        }
        catch (error) {
            this.#settings.onError(error);
            if (mine !== this.#dial)
                return;
            this.#dials = false;
            this.#comeBack(null, undefined, error instanceof AntiphonError ? error : unusable(error));
        }
    }
    /** Gives the attempt that is under way up. */
    #giveUp() {
        this.#dial += 1;
        this.#dials = false;
        this.#next?.close();
        this.#next = null;
    }
    greeted(line) {
        if (line !== this.#next)
            return line.close();
        const before = this.current;
        this.#next = null;
        this.#dials = false;
        this.#renewed = false;
        this.#refusedToken = undefined;
        this.#leaveAt = null;
        this.#leave.clear();
        this.#retry.clear();
        if (this.#leaving)
            this.#left();
        if (before) {
            this.#held(before);
            this.#leaving = before;
            this.#handover.set(this.#settings.handoverTimeoutMs, () => this.#left());
        }
        this.current = line;
        this.#speaker.online(line);
        this.#leaveIfDone();
        if (this.current === line)
            this.state.become({ name: 'online', url: line.url });
    }
    // ---- while it holds
    heard(line, said, text) {
        if (said.type === 'RECONNECT') {
            if (line === this.current)
                this.#leaveAfter(Number(said.afterMs) || 0);
            return;
        }
        this.#speaker.heard(line, said, text);
        this.#leaveIfDone();
    }
    #leaveAfter(ms) {
        this.#leaveAt = Date.now() + ms;
        this.#leave.set(ms, () => {
            this.#leaveAt = null;
            void this.#connect();
        });
    }
    #leaveIfDone() {
        if (this.#leaving && !this.#speaker.owes(this.#leaving))
            this.#left();
    }
    #left() {
        const line = this.#leaving;
        this.#leaving = null;
        this.#handover.clear();
        if (!line)
            return;
        line.close();
        this.#speaker.lost(line);
    }
    // ---- its end
    ended(line, end) {
        if (line === this.#leaving)
            return this.#left();
        if (line === this.#next) {
            this.#giveUp();
        }
        else if (line === this.current) {
            this.#held(line);
            this.#goBack();
            this.#speaker.lost(line);
        }
        else {
            return;
        }
        if (end.terminated && !this.#mayRenew(line, end.terminated))
            return this.end(terminated(end.terminated));
        if (this.#dials) {
            const url = this.#next?.url ?? line.url;
            if (!this.current)
                this.state.become({ name: 'connecting', url });
            return;
        }
        this.#comeBack(end.code, end.retryAfterMs, null);
    }
    /** A line has failed: its predecessor holds again, where it was not left yet. */
    #goBack() {
        this.current = this.#leaving;
        this.#leaving = null;
        this.#handover.clear();
        if (!this.current)
            return;
        this.#speaker.back(this.current);
        this.state.become({ name: 'online', url: this.current.url });
    }
    #held(line) {
        if (line.since !== null)
            this.#attempts.heldFor(Date.now() - line.since);
    }
    /** Whether a fresh token may help: once, until a line has greeted. */
    #mayRenew(line, reason) {
        const ended = reason === 'TOKEN_EXPIRED' || reason === 'INVALID_TOKEN';
        if (!ended || typeof this.#settings.token !== 'function' || this.#renewed)
            return false;
        this.#renewed = true;
        this.#refusedToken = line.token;
        return true;
    }
    #comeBack(code, retryAfterMs, error) {
        const asked = retryAfterMs ?? (this.#leaveAt === null ? undefined : Math.max(0, this.#leaveAt - Date.now()));
        this.#leaveAt = null;
        this.#leave.clear();
        this.#ownTime = asked === undefined;
        this.#wait(asked ?? this.#attempts.next(), code, error);
    }
    #wait(delayMs, code, error) {
        this.#retry.set(delayMs, () => void this.#connect());
        if (!this.current)
            this.state.become({ name: 'waiting', retryAt: Date.now() + delayMs, code, error });
    }
}
const terminated = (reason) => new AntiphonError(reason, `the server ended this identity: ${reason}`);
function unusable(cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    return new AntiphonError('INVALID', `no connection can be made: ${why}`, { cause });
}
