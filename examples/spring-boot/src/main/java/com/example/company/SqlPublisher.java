package com.example.company;

import java.util.UUID;
import org.springframework.dao.DataIntegrityViolationException;
import org.springframework.jdbc.BadSqlGrammarException;
import org.springframework.jdbc.core.simple.JdbcClient;
import org.springframework.stereotype.Component;
import org.springframework.transaction.annotation.Propagation;
import org.springframework.transaction.annotation.Transactional;
import tools.jackson.databind.json.JsonMapper;

/**
 * The third way out, by SQL: a function of antiphon's in the application's own database, called in the application's own
 * transaction. Published if and only if that commits.
 */
@Component
public class SqlPublisher {

    /** Where it will stand once the transaction commits; {@code duplicate} says that its key was there already. */
    public record Published(UUID id, String position, boolean duplicate) {}

    private static final int BYTES_MAX = 64 * 1024;

    private final JdbcClient database;
    private final JsonMapper json;

    SqlPublisher(JdbcClient database, JsonMapper json) {
        this.database = database;
        this.json = json;
    }

    /**
     * Publishes a message on its company's own topic, which stays locked until the transaction ends: so nothing slow may
     * follow in it. The message's id is the key.
     */
    @Transactional(propagation = Propagation.MANDATORY)
    public Published publish(Message message) {
        int bytes = json.writeValueAsBytes(message.text()).length;
        if (bytes > BYTES_MAX) {
            throw Refusal.tooLarge("the text is %d bytes as JSON; antiphon takes %d: shorten it".formatted(bytes, BYTES_MAX));
        }
        Published published = call(message);
        database.sql("insert into published_entry (id) values (:id)").param("id", published.id()).update();
        return published;
    }

    private Published call(Message message) {
        try {
            return database.sql("""
                    select id, position, duplicate from antiphon.publish(
                        tenant => :tenant, topic => :topic, text => :text,
                        project_id => :projectId, user_id => :userId, key => :key)""")
                    .param("tenant", message.companyId())
                    .param("topic", message.companyId())
                    .param("text", message.text())
                    .param("projectId", message.projectId())
                    .param("userId", message.userId())
                    .param("key", message.id().toString())
                    .query(Published.class)
                    .single();
        } catch (DataIntegrityViolationException e) {
            // Antiphon's sentence, without the lines about where in the function it was said.
            throw Refusal.invalid(e.getMostSpecificCause().getMessage().lines().findFirst().orElse("refused by antiphon"));
        } catch (BadSqlGrammarException e) {
            throw Refusal.unavailable("publishing by SQL needs the database that antiphon migrate has prepared, and a user "
                    + "with the role antiphon_publisher", e);
        }
    }

    /** Whether this application, or another instance of it, has published this entry: known as soon as anybody hears of it. */
    public boolean hasPublished(String entryId) {
        UUID id;
        try {
            id = UUID.fromString(entryId);
        } catch (IllegalArgumentException e) {
            return false; // No entry of antiphon's.
        }
        return database.sql("select count(*) from published_entry where id = :id").param("id", id)
                .query(Integer.class).single() > 0;
    }
}
