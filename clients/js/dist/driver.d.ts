import { AntiphonError } from './error.js';
import type { ServerFrame } from './frame.js';
import { Line, type End, type LineHolder } from './line.js';
import type { Settings } from './options.js';
import { Observable, type State } from './state.js';
/** Who says and hears on the lines. */
export interface Speaker {
    /** This line is the one to speak on from now on. */
    online(line: Line): void;
    heard(line: Line, said: ServerFrame, text: string): void;
    /** The line to speak on has failed, and its predecessor, which was not left yet, is it again. */
    back(line: Line): void;
    /** A line has ended. */
    lost(line: Line): void;
    /** Whether something is still expected from a line that is to be left. */
    owes(line: Line): boolean;
    /** The client has ended. */
    ended(error: AntiphonError): void;
}
export declare class Driver implements LineHolder {
    #private;
    readonly state: Observable<State>;
    /** The line to speak on. */
    current: Line | null;
    constructor(settings: Settings, speaker: Speaker);
    start(): void;
    /** Goes over to another node. */
    moveTo(url: string): void;
    /** There is a reason to think that the network is back. */
    hasten(): void;
    end(error: AntiphonError): void;
    greeted(line: Line): void;
    heard(line: Line, said: ServerFrame, text: string): void;
    ended(line: Line, end: End): void;
}
