// What can go wrong, by what the caller can do about it.
/** Why something did not happen. */
export class AntiphonError extends Error {
    name = 'AntiphonError';
    code;
    retryAfterMs;
    topic;
    key;
    constructor(code, text, details = {}) {
        super(text, details.cause === undefined ? undefined : { cause: details.cause });
        this.code = code;
        this.retryAfterMs = details.retryAfterMs;
        this.topic = details.topic;
        this.key = details.key;
    }
}
export const invalid = (text) => new AntiphonError('INVALID', text);
const TERMINATE_REASONS = ['NO_TOKEN_PROVIDED', 'INVALID_TOKEN', 'TOKEN_EXPIRED', 'TOKEN_REVOKED'];
/** The reason of a TERMINATE_CONNECTION; one that is not known is TERMINATED. */
export const terminateReason = (text) => TERMINATE_REASONS.find((reason) => reason === text) ?? 'TERMINATED';
