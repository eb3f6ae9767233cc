/** Codes of the server's ERROR frames: one with `retryAfterMs` is worth the same again, one without is not. */
export type RefusalCode = 'INVALID' | 'FORBIDDEN' | 'CONFLICT' | 'TOO_LARGE' | 'RATE_LIMITED' | 'UNAVAILABLE';
/** Why the server ended an identity; the client will not come back by itself. */
export type TerminateReason = 'NO_TOKEN_PROVIDED' | 'INVALID_TOKEN' | 'TOKEN_EXPIRED' | 'TOKEN_REVOKED' | 'TERMINATED';
/**
 * The client's own codes.
 * `TIMEOUT`: no answer in time; whether it was done is not known, a publish with the same key is safe.
 * `DISCONNECTED`: there is no connection right now, and this can't wait for one.
 * `QUEUE_FULL`: as much waits already as may.
 * `ALREADY_SUBSCRIBED`: this client has the topic already.
 * `TOKEN`: the token callback failed.
 * `CLOSED`: the client, or this subscription, was closed.
 */
export type ClientCode = 'TIMEOUT' | 'DISCONNECTED' | 'QUEUE_FULL' | 'ALREADY_SUBSCRIBED' | 'TOKEN' | 'CLOSED';
export type ErrorCode = RefusalCode | TerminateReason | ClientCode;
export interface ErrorDetails {
    retryAfterMs?: number | undefined;
    /** The topic at fault, where there is one. */
    topic?: string | undefined;
    /** The idempotency key of a publish. */
    key?: string | undefined;
    cause?: unknown;
}
/** Why something did not happen. */
export declare class AntiphonError extends Error {
    readonly name = "AntiphonError";
    readonly code: ErrorCode;
    readonly retryAfterMs: number | undefined;
    readonly topic: string | undefined;
    readonly key: string | undefined;
    constructor(code: ErrorCode, text: string, details?: ErrorDetails);
}
export declare const invalid: (text: string) => AntiphonError;
/** The reason of a TERMINATE_CONNECTION; one that is not known is TERMINATED. */
export declare const terminateReason: (text: unknown) => TerminateReason;
