package com.example.company;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.data.redis.listener.ChannelTopic;
import org.springframework.data.redis.listener.RedisMessageListenerContainer;
import org.springframework.data.redis.listener.adapter.MessageListenerAdapter;
import org.springframework.data.redis.listener.adapter.RedisListenerExecutionFailedException;
import org.springframework.scheduling.annotation.Scheduled;
import org.springframework.stereotype.Service;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The listening half: hears the channels of those companies that it was told to, and keeps the last of what it heard. A
 * real application would act on it instead. It never hears a thing twice, and never what was said while Redis was away.
 */
@Service
public class ChannelListener {

    /** Who said it: a user's client, or another program on the same Redis. */
    public enum Source { CLIENT, BACKEND }

    public record Received(Source source, String entryId, String userId, String projectId, String text, JsonNode body,
            String position, Long createdAt) {}

    private static final Logger log = LoggerFactory.getLogger(ChannelListener.class);

    private final RedisMessageListenerContainer container;
    private final MessageListenerAdapter messageListener;
    private final JsonMapper json;
    private final ChannelOrigin origin;
    private final SqlPublisher publisher;
    private final int receivedMax;
    private final Map<String, Deque<Received>> received = new ConcurrentHashMap<>();
    private boolean redisAway;

    ChannelListener(RedisMessageListenerContainer container, JsonMapper json, ChannelOrigin origin,
            SqlPublisher publisher, CompanyProperties properties) {
        this.container = container;
        this.json = json;
        this.origin = origin;
        this.publisher = publisher;
        this.receivedMax = properties.receivedMax();
        this.messageListener = new MessageListenerAdapter(this, "redisMessageReceived");
        this.messageListener.afterPropertiesSet();
    }

    /** Connects to Redis, as soon as it is there. Once connected, the connection comes back by itself. */
    @Scheduled(fixedDelayString = "${company.redis-retry}")
    void start() {
        if (container.isRunning()) {
            return;
        }
        try {
            container.start();
            redisAway = false;
        } catch (RedisListenerExecutionFailedException e) {
            container.stop();
            if (!redisAway) {
                log.warn("Redis is away: no company can be listened to until it is back");
            }
            redisAway = true;
        }
    }

    /** Begins to listen to a company's channel; what is published once this has returned is heard. */
    public synchronized void listen(String companyId) {
        if (received.containsKey(companyId)) {
            return;
        }
        if (!container.isListening()) {
            throw Refusal.unavailable("Redis is away, so this company's channel cannot be listened to; try again", null);
        }
        received.put(companyId, new ArrayDeque<>());
        try {
            container.addMessageListener(messageListener, ChannelTopic.of(companyId));
        } catch (RuntimeException e) {
            stop(companyId);
            throw Refusal.unavailable("Redis is away, so this company's channel cannot be listened to; try again", e);
        }
    }

    /** Ends it, and forgets what was heard. */
    public synchronized void stop(String companyId) {
        if (received.remove(companyId) == null) {
            return;
        }
        try {
            container.removeMessageListener(messageListener, ChannelTopic.of(companyId));
        } catch (RuntimeException e) {
            // Redis may go on sending it until the next start; what comes for a company that is not kept is dropped.
            log.info("could not unsubscribe from a channel while Redis is away ({})", e.getClass().getSimpleName());
        }
    }

    /** What was heard on a company's channel, oldest first. */
    public List<Received> received(String companyId) {
        Deque<Received> heard = received.get(companyId);
        if (heard == null) {
            throw Refusal.notFound("nobody listens to this company yet: PUT /companies/{company}/listener first");
        }
        synchronized (heard) {
            return List.copyOf(heard);
        }
    }

    /** Called by the container for each message on a channel. The channel, not the message, says whose it is. */
    public void redisMessageReceived(String payload, String companyId) {
        Deque<Received> heard = received.get(companyId);
        if (heard == null) {
            return;
        }
        ChannelMessage message;
        try {
            message = json.readValue(payload, ChannelMessage.class);
        } catch (JacksonException e) {
            log.warn("ignored a message on a company's channel: it is not a JSON object of the expected form");
            return;
        }
        if (message == null || (message.type() != null && !message.type().equals(ChannelMessage.TYPE)) || isOwn(message)) {
            return;
        }
        Received item = read(message);
        synchronized (heard) {
            if (heard.size() == receivedMax) {
                heard.removeFirst();
            }
            heard.addLast(item);
        }
    }

    /**
     * What this application said itself comes back to it in three forms: its own publishing on the channel, with its
     * origin; antiphon's copy of what it published by HTTP, which has a position but no user, as an API key wrote it; and
     * the copy of what it published by SQL in a user's name, whose id it has kept in the same transaction.
     */
    private boolean isOwn(ChannelMessage message) {
        if (message.position() == null) {
            return origin.id().equals(message.origin());
        }
        ChannelMessage.Entry entry = message.entry();
        return entry == null || entry.id() == null || entry.userId() == null || publisher.hasPublished(entry.id());
    }

    private static Received read(ChannelMessage message) {
        Source source = message.position() != null ? Source.CLIENT : Source.BACKEND;
        ChannelMessage.Entry entry = message.entry();
        String projectId = message.project() == null ? null : message.project().id();
        if (ChannelMessage.NO_PROJECT.equals(projectId)) {
            projectId = null;
        }
        return new Received(source, entry == null ? null : entry.id(), entry == null ? null : entry.userId(), projectId,
                message.text(), message.body(), message.position(), entry == null ? null : entry.createdAt());
    }
}
