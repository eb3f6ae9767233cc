package com.example.company;

import com.example.company.AntiphonClient.NewEntry;
import com.example.company.AntiphonClient.Published;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.jdbc.core.simple.JdbcClient;
import org.springframework.scheduling.annotation.Scheduled;
import org.springframework.stereotype.Service;
import org.springframework.transaction.support.TransactionTemplate;

/**
 * The durable way out, by HTTP: saves an announcement, then publishes it under its row's id as the key. A row without a
 * position is tried again until antiphon has confirmed it, and the key makes of all tries one entry.
 */
@Service
public class AnnouncementService {

    /** A row of the announcement table. {@code position} is null until antiphon has it. */
    public record Announcement(UUID id, String companyId, String projectId, String text, long createdAt, String position,
            String problem) {}

    private static final Logger log = LoggerFactory.getLogger(AnnouncementService.class);
    private static final int TEXT_BYTES_MAX = 64 * 1024;

    private final JdbcClient database;
    private final TransactionTemplate transaction;
    private final AntiphonClient antiphon;
    private final CompanyProperties properties;

    AnnouncementService(JdbcClient database, TransactionTemplate transaction, AntiphonClient antiphon,
            CompanyProperties properties) {
        this.database = database;
        this.transaction = transaction;
        this.antiphon = antiphon;
        this.properties = properties;
    }

    /** Saves, commits, publishes. The HTTP call stands outside the transaction, so that none waits for the network. */
    public Announcement announce(String companyId, String projectId, String text) {
        int bytes = text.getBytes(StandardCharsets.UTF_8).length;
        if (bytes > TEXT_BYTES_MAX) {
            throw Refusal.tooLarge("the text is %d bytes; antiphon takes %d: shorten it".formatted(bytes, TEXT_BYTES_MAX));
        }
        Announcement announcement = new Announcement(UUID.randomUUID(), companyId, projectId, text,
                System.currentTimeMillis(), null, null);
        transaction.executeWithoutResult(status -> save(announcement));
        try {
            publish(announcement);
        } catch (AntiphonException e) {
            note(announcement, e);
        }
        return find(companyId, announcement.id());
    }

    /** Publishes a saved announcement, again if need be: the row's id is the key, so that it stays one entry. */
    public Published publish(Announcement announcement) {
        NewEntry entry = new NewEntry(announcement.text(), announcement.projectId(), null, announcement.id().toString());
        Published published = publishTo(announcement.companyId(), entry);
        database.sql("update announcement set position = :position, problem = null where id = :id")
                .param("position", published.position())
                .param("id", announcement.id())
                .update();
        return published;
    }

    /** To the company's own topic, whose name is the company's id. A company that is new to antiphon is made known to it. */
    private Published publishTo(String companyId, NewEntry entry) {
        try {
            return antiphon.publish(companyId, companyId, entry);
        } catch (AntiphonException e) {
            if (e.status() != 404) {
                throw e;
            }
            antiphon.putTenant(companyId);
            return antiphon.publish(companyId, companyId, entry);
        }
    }

    @Scheduled(fixedDelayString = "${company.announcement-retry}")
    void retry() {
        publishPending(System.currentTimeMillis() - properties.announcementRetry().toMillis());
    }

    /** Tries what was saved before a time and never confirmed, oldest first, so that a company's order stays. */
    void publishPending(long writtenBefore) {
        Set<String> waiting = new HashSet<>();
        for (Announcement announcement : pending(writtenBefore)) {
            if (waiting.contains(announcement.companyId())) {
                continue;
            }
            try {
                publish(announcement);
            } catch (AntiphonException e) {
                note(announcement, e);
                switch (e.remedy()) {
                    case RETRY -> {
                        return; // It would be the same for all others.
                    }
                    case CONFIGURE -> waiting.add(announcement.companyId());
                    case GIVE_UP -> { }
                }
            }
        }
    }

    /** Says why it is not out yet; what can never succeed is marked in its row, so that it is not tried for ever. */
    private void note(Announcement announcement, AntiphonException e) {
        switch (e.remedy()) {
            case RETRY -> log.warn("announcement {} waits for its next try: {}", announcement.id(), e.getMessage());
            case CONFIGURE -> log.error("announcement {} waits until the settings are right: {}", announcement.id(),
                    e.getMessage());
            case GIVE_UP -> {
                log.error("announcement {} was refused for good: {}", announcement.id(), e.getMessage());
                String problem = e.getMessage();
                database.sql("update announcement set problem = :problem where id = :id")
                        .param("problem", problem.substring(0, Math.min(problem.length(), 500)))
                        .param("id", announcement.id())
                        .update();
            }
        }
    }

    public Announcement find(String companyId, UUID id) {
        return database.sql("""
                select id, company_id, project_id, text, created_at, position, problem
                from announcement where company_id = :companyId and id = :id""")
                .param("companyId", companyId)
                .param("id", id)
                .query(Announcement.class)
                .optional()
                .orElseThrow(() -> Refusal.notFound("there is no announcement %s in this company".formatted(id)));
    }

    private List<Announcement> pending(long writtenBefore) {
        return database.sql("""
                select id, company_id, project_id, text, created_at, position, problem
                from announcement where position is null and problem is null and created_at <= :writtenBefore
                order by created_at, id limit 100""")
                .param("writtenBefore", writtenBefore)
                .query(Announcement.class)
                .list();
    }

    private void save(Announcement announcement) {
        database.sql("""
                insert into announcement (id, company_id, project_id, text, created_at)
                values (:id, :companyId, :projectId, :text, :createdAt)""")
                .paramSource(announcement)
                .update();
    }
}
