package com.example.company;

import java.util.UUID;

/** A row of the message table. */
public record Message(UUID id, String companyId, String userId, String projectId, String text, int replies,
        long createdAt) {}
