package com.example.company;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.UUID;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.data.redis.core.StringRedisTemplate;
import org.springframework.jdbc.core.simple.JdbcClient;
import org.springframework.stereotype.Service;
import org.springframework.transaction.annotation.Transactional;
import org.springframework.transaction.support.TransactionSynchronization;
import org.springframework.transaction.support.TransactionSynchronizationManager;
import tools.jackson.databind.json.JsonMapper;

/**
 * Saves a message in its transaction, and publishes it: a durable one by SQL as a part of that transaction, any other by
 * plain Redis on the company's channel once that has committed.
 */
@Service
public class MessageService {

    private static final Logger log = LoggerFactory.getLogger(MessageService.class);

    private final JdbcClient database;
    private final StringRedisTemplate redis;
    private final JsonMapper json;
    private final ChannelOrigin origin;
    private final SqlPublisher publisher;

    MessageService(JdbcClient database, StringRedisTemplate redis, JsonMapper json, ChannelOrigin origin,
            SqlPublisher publisher) {
        this.database = database;
        this.redis = redis;
        this.json = json;
        this.origin = origin;
        this.publisher = publisher;
    }

    /** Saves a message, counts it at the one it answers, and publishes it with or after the commit. */
    @Transactional
    public Message post(String companyId, NewMessage wanted) {
        Message message = new Message(UUID.randomUUID(), companyId, wanted.userId(), wanted.projectId(), wanted.text(), 0,
                System.currentTimeMillis());
        save(message);
        if (!wanted.durable()) {
            dispatchToRedis(message);
        }
        if (wanted.replyTo() != null) {
            countReply(companyId, wanted.replyTo());
        }
        if (wanted.durable()) {
            publisher.publish(message); // Last, since the topic is locked until the commit.
        }
        return message;
    }

    /** Posts several messages, all or none. The company's topic is locked from the first durable one to the commit. */
    @Transactional
    public List<Message> postAll(String companyId, List<NewMessage> wanted) {
        return wanted.stream().map(message -> post(companyId, message)).toList();
    }

    /**
     * Publishes a message on its company's channel as soon as the transaction that saves it has committed, and never if
     * it rolls back. One that is too large for the channel fails here, while the transaction can still roll back.
     */
    void dispatchToRedis(Message message) {
        String payload = json.writeValueAsString(ChannelMessage.of(message, origin.id()));
        int bytes = payload.getBytes(StandardCharsets.UTF_8).length;
        if (bytes > ChannelMessage.BYTES_MAX) {
            throw Refusal.tooLarge("the message is %d bytes as JSON; the channel takes %d: shorten the text"
                    .formatted(bytes, ChannelMessage.BYTES_MAX));
        }
        TransactionSynchronizationManager.registerSynchronization(new TransactionSynchronization() {
            @Override
            public void afterCommit() {
                publish(message, payload);
            }
        });
    }

    /** The row is committed by now: a failure must not look to the caller as if it were not. */
    private void publish(Message message, String payload) {
        try {
            redis.convertAndSend(message.companyId(), payload);
        } catch (RuntimeException e) {
            log.warn("message {} of company {} is saved but was not published: Redis is away ({})", message.id(),
                    message.companyId(), e.getClass().getSimpleName());
        }
    }

    public List<Message> latest(String companyId) {
        return database.sql("""
                select id, company_id, user_id, project_id, text, replies, created_at
                from message where company_id = :companyId order by created_at desc, id limit 100""")
                .param("companyId", companyId)
                .query(Message.class)
                .list();
    }

    private void save(Message message) {
        database.sql("""
                insert into message (id, company_id, user_id, project_id, text, created_at)
                values (:id, :companyId, :userId, :projectId, :text, :createdAt)""")
                .paramSource(message)
                .update();
    }

    private void countReply(String companyId, UUID replyTo) {
        int rows = database.sql("update message set replies = replies + 1 where company_id = :companyId and id = :id")
                .param("companyId", companyId)
                .param("id", replyTo)
                .update();
        if (rows == 0) {
            throw Refusal.notFound("there is no message %s in this company to reply to".formatted(replyTo));
        }
    }
}
