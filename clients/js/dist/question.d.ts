import { AntiphonError } from './error.js';
import type { ClientFrame, ServerFrame } from './frame.js';
import type { Ledger } from './ledger.js';
import type { Line } from './line.js';
import type { Settings } from './options.js';
export declare class Questions {
    #private;
    constructor(settings: Settings, ledger: Ledger, line: () => Line | null);
    ask(frame: ClientFrame, timeoutMs?: number): Promise<ServerFrame>;
    /** There is a line again: what was lost is asked again. */
    flush(): void;
    fail(error: AntiphonError): void;
}
