/** A frame of this client; its fields are those of the protocol. */
export type ClientFrame = {
    type: string;
} & Record<string, unknown>;
/** A topic's place in SUBSCRIPTION_SUCCESSFUL. */
export interface Begun {
    position: string;
    recovered: boolean;
    error?: {
        code: string;
        text: string;
        retryAfterMs?: number;
    };
}
/** A frame of the server. What a type does not have is not looked at. */
export interface ServerFrame {
    type: string;
    ref?: string;
    text: string;
    topic: string;
    topics: Record<string, Begun>;
    userId: string;
    expiresAt: number | null;
    position: string;
    offset: number;
    entry: {
        id: string;
        topic: string;
    };
    entries: unknown[];
    more: boolean;
    users: string[];
    duplicate?: boolean;
    reason: string;
    code: string;
    retryAfterMs?: number;
    afterMs: number;
}
/** Over it the server would close the connection. */
export declare const FRAME_BYTES_MAX: number;
/** The most topics that one SUBSCRIBE names here, so that its frame stays below the bound whatever their names are. */
export declare const TOPICS_A_FRAME = 50;
/** The greeting's reference. */
export declare const GREETING = "0";
/** The bytes of a frame when it is said. */
export declare const frameBytes: (frame: ClientFrame) => number;
/** Reads a text frame; null: it is no JSON object. */
export declare function parse(text: string): ServerFrame | null;
