package com.example.company;

import org.springframework.http.HttpStatus;
import org.springframework.web.ErrorResponseException;

/** An answer other than yes, as problem details (RFC 9457), with a sentence that says what to do. */
public class Refusal extends ErrorResponseException {

    private Refusal(HttpStatus status, String detail, Throwable cause) {
        super(status, cause);
        setDetail(detail);
    }

    static Refusal invalid(String detail) {
        return new Refusal(HttpStatus.BAD_REQUEST, detail, null);
    }

    static Refusal notFound(String detail) {
        return new Refusal(HttpStatus.NOT_FOUND, detail, null);
    }

    static Refusal tooLarge(String detail) {
        return new Refusal(HttpStatus.CONTENT_TOO_LARGE, detail, null);
    }

    static Refusal unavailable(String detail, Throwable cause) {
        return new Refusal(HttpStatus.SERVICE_UNAVAILABLE, detail, cause);
    }
}
