// A value that can be looked at and watched: what a page shows of the connection.
/** A value and who watches it. */
export class Observable {
    #value;
    #watchers = new Set();
    #failed;
    constructor(value, failed) {
        this.#value = value;
        this.#failed = failed;
    }
    get value() {
        return this.#value;
    }
    /** Calls `watcher` with each new value until the function that comes back is called. */
    subscribe(watcher) {
        const own = (value) => watcher(value);
        this.#watchers.add(own);
        return () => void this.#watchers.delete(own);
    }
    /** @internal */
    become(value) {
        this.#value = value;
        for (const watcher of [...this.#watchers]) {
            try {
                watcher(value);
            }
            catch (error) {
                this.#failed(error);
            }
        }
    }
}
