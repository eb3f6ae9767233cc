// History and presence: asked until they are answered, refused for good, or too late, whatever becomes of the line.
import { AntiphonError } from './error.js';
import { Timer } from './timer.js';
export class Questions {
    #settings;
    #ledger;
    #line;
    #open = new Set();
    constructor(settings, ledger, line) {
        this.#settings = settings;
        this.#ledger = ledger;
        this.#line = line;
    }
    ask(frame, timeoutMs = this.#settings.askTimeoutMs) {
        if (this.#open.size >= this.#settings.asksMax) {
            const text = `${this.#settings.asksMax} asks wait for their answers already`;
            return Promise.reject(new AntiphonError('QUEUE_FULL', text));
        }
        return new Promise((resolve, reject) => {
            const deadline = Date.now() + timeoutMs;
            const timers = { late: new Timer(), again: new Timer() };
            const question = { frame, underWay: false, deadline, resolve, reject, ...timers };
            this.#open.add(question);
            question.late.set(timeoutMs, () => this.#fail(question, new AntiphonError('TIMEOUT', 'no answer in time')));
            this.#say(question);
        });
    }
    /** There is a line again: what was lost is asked again. */
    flush() {
        for (const question of [...this.#open])
            this.#say(question);
    }
    fail(error) {
        for (const question of [...this.#open])
            this.#fail(question, error);
    }
    #say(question) {
        const line = this.#line();
        if (!line || question.underWay || !this.#open.has(question))
            return;
        question.underWay = true;
        this.#ledger.say(line, question.frame, (outcome) => this.#settled(question, outcome));
    }
    #settled(question, outcome) {
        question.underWay = false;
        if (outcome === 'lost')
            return this.#say(question);
        if (!this.#open.has(question))
            return;
        if ('said' in outcome) {
            this.#forget(question);
            return question.resolve(outcome.said);
        }
        const after = outcome.refused.retryAfterMs;
        if (after === undefined || Date.now() + after >= question.deadline)
            return this.#fail(question, outcome.refused);
        question.underWay = true;
        question.again.set(after, () => {
            question.underWay = false;
            this.#say(question);
        });
    }
    #fail(question, error) {
        this.#forget(question);
        question.reject(error);
    }
    #forget(question) {
        this.#open.delete(question);
        question.late.clear();
        question.again.clear();
    }
}
