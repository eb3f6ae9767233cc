package com.example.company;

import com.fasterxml.jackson.annotation.JsonInclude;
import tools.jackson.databind.JsonNode;

/**
 * What stands on a company's Redis channel: one JSON object with the fields of antiphon's MESSAGE frame.
 *
 * <p>Two fields say who wrote it. {@code position} is antiphon's: an object that has one is a copy of a stored entry, and
 * antiphon takes none in that has one. {@code origin} is this application's own: the instance that published it.
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record ChannelMessage(
        String type,
        String text,
        JsonNode body,
        Entry entry,
        Project project,
        String position,
        Long offset,
        String origin) {

    public static final String TYPE = "MESSAGE";

    /** The project id of an entry that belongs to none, since a reader of the channel may expect one always. */
    public static final String NO_PROJECT = "88888888-8888-8888-8888-888888888888";

    /** The largest object, in bytes of UTF-8, that antiphon takes from the channel. */
    public static final int BYTES_MAX = 64 * 1024;

    @JsonInclude(JsonInclude.Include.NON_NULL)
    public record Entry(String id, String companyId, String projectId, String topic, String userId, Long createdAt) {}

    public record Project(String id) {}

    /** The form in which this application publishes a saved message. */
    static ChannelMessage of(Message message, String origin) {
        Entry entry = new Entry(message.id().toString(), message.companyId(), message.projectId(), message.companyId(),
                message.userId(), message.createdAt());
        // With a project, antiphon delivers to its members alone, as their settings want it; without one, to everyone.
        Project project = message.projectId() == null ? null : new Project(message.projectId());
        return new ChannelMessage(TYPE, message.text(), null, entry, project, null, null, origin);
    }
}
