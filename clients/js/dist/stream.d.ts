import type { Handlers, Message, Position, Reset, Signal } from './event.js';
import type { Line } from './line.js';
import type { Settings } from './options.js';
import { Timer } from './timer.js';
/** What a stream tells its interest. */
export interface StreamOwner {
    /** There is room in the inbox again. */
    hasRoom(stream: Stream): void;
    /** A handler threw. */
    failed(stream: Stream): void;
}
export declare class Stream {
    #private;
    readonly topic: string;
    readonly handlers: Handlers;
    position: string | null;
    handled: string | null;
    offset: number;
    /** The line that this topic is heard from; what others say of it is left out. */
    owner: Line | null;
    /** The line that was last asked for it. */
    asked: Line | null;
    /** It may not be asked for: its kept position is still read, the server wants time, or the inbox is full. */
    waits: boolean;
    rests: boolean;
    again: Timer;
    over: boolean;
    constructor(topic: string, handlers: Handlers, settings: Settings, owner: StreamOwner);
    /** It goes on from here: what was kept, or what the application says. */
    from(position: string | null): void;
    /** A line has begun to say it. */
    begin(line: Line, position: string): void;
    /** An entry came in a frame of so many characters; false: there is no room for it. */
    message(message: Message, characters: number): boolean;
    /** The stream moved without an entry. */
    moved(moved: Position): void;
    /** The stream goes on elsewhere: offsets of before say nothing any more. */
    reset(reset: Reset): void;
    /** Something without a place in the stream: left out where there is no room. */
    beside(kind: 'signal' | 'plain', value: Signal | string, characters: number): void;
    /** Nothing more comes; what has come is still dealt with. */
    end(reason?: string): void;
    /** The application wants nothing more of it. */
    close(): void;
}
