import { AntiphonError } from './error.js';
import type { Accepted, Draft } from './event.js';
import type { Ledger } from './ledger.js';
import type { Line } from './line.js';
import type { Settings } from './options.js';
export declare class Outbox {
    #private;
    constructor(settings: Settings, ledger: Ledger, line: () => Line | null);
    publish(draft: Draft): Promise<Accepted>;
    /** There is a line again. */
    flush(): void;
    fail(error: AntiphonError): void;
}
