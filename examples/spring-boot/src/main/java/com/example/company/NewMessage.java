package com.example.company;

import java.util.UUID;

/** What is to be posted. A durable one is published by SQL, in the transaction that saves it; any other by plain Redis. */
public record NewMessage(String userId, String projectId, String text, UUID replyTo, Boolean durable) {

    public NewMessage {
        // Left out where it is false, which Jackson does not take for a boolean.
        durable = Boolean.TRUE.equals(durable);
    }
}
