export declare class Timer {
    #private;
    /** Runs this after so many milliseconds, in place of what was set before. */
    set(ms: number, run: () => void): void;
    clear(): void;
}
