package com.example.company;

/** A call of antiphon's HTTP API that did not succeed. */
public class AntiphonException extends RuntimeException {

    /** What the caller can do about it. */
    public enum Remedy {
        /** The same call later: antiphon or the way to it was not there. With a key it cannot double anything. */
        RETRY,
        /** A person has to set the key, its scope or the tenant right; then the same call. */
        CONFIGURE,
        /** Nothing: the same call fails for ever. */
        GIVE_UP;

        static Remedy of(int status) {
            return switch (status) {
                case 401, 403, 404 -> CONFIGURE;
                case 408, 429 -> RETRY;
                default -> status >= 500 ? RETRY : GIVE_UP;
            };
        }
    }

    private final Remedy remedy;
    private final int status;

    AntiphonException(Remedy remedy, int status, String message, Throwable cause) {
        super(message, cause);
        this.remedy = remedy;
        this.status = status;
    }

    public Remedy remedy() {
        return remedy;
    }

    /** The HTTP status, or 0 where there was no answer. */
    public int status() {
        return status;
    }
}
