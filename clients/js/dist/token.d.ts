import type { Settings } from './options.js';
/** Asks the application for a token. */
export declare function fetchToken({ token, connectTimeoutMs }: Settings): Promise<string | undefined>;
export declare class Renewal {
    #private;
    /** `shown` gives the token of the line that holds, `show` shows it another one. */
    constructor(settings: Settings, shown: () => string | undefined, show: (token: string) => void);
    /** The server said when the token ends. */
    endsAt(expiresAt: number | null): void;
    /** The server wants the token shown again after so long. */
    showAgain(ms: number): void;
    stop(): void;
}
