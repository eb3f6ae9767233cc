package com.example.company;

import io.lettuce.core.ClientOptions.DisconnectedBehavior;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.boot.data.redis.autoconfigure.LettuceClientOptionsBuilderCustomizer;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.data.redis.connection.RedisConnectionFactory;
import org.springframework.data.redis.listener.ChannelTopic;
import org.springframework.data.redis.listener.RedisMessageListenerContainer;
import org.springframework.scheduling.concurrent.ThreadPoolTaskExecutor;
import org.springframework.util.backoff.ExponentialBackOff;

/** The listening half's plumbing: one Redis connection for all companies, one thread that hears them in order. */
@Configuration(proxyBeanMethods = false)
class RedisConfiguration {

    private static final Logger log = LoggerFactory.getLogger(RedisConfiguration.class);

    /** With a space in its name it is no company's. */
    private static final ChannelTopic NO_COMPANY = ChannelTopic.of("company-app keeps listening");

    /** {@link ChannelListener} starts it, so that an application whose Redis is away starts all the same. */
    @Bean
    RedisMessageListenerContainer redisContainer(RedisConnectionFactory connections,
            @Qualifier("channel") ThreadPoolTaskExecutor heard, @Qualifier("channel") ScheduledExecutorService retries) {
        RedisMessageListenerContainer container = new RedisMessageListenerContainer();
        container.setConnectionFactory(connections);
        container.setAutoStartup(false);
        // The container's own choice is a thread for each message, which forgets their order.
        container.setTaskExecutor(heard);
        // With any other kind of executor the container retries by sleeping in the thread that called it.
        container.setSubscriptionExecutor(retries);
        container.setRecoveryBackoff(retryBackOff());
        // Keeps the connection when the last company goes: to connect anew is what fails while Redis is away.
        container.addMessageListener((message, pattern) -> {}, NO_COMPANY);
        return container;
    }

    private static ExponentialBackOff retryBackOff() {
        ExponentialBackOff backOff = new ExponentialBackOff(500, 2);
        backOff.setMaxInterval(10_000);
        return backOff;
    }

    @Bean(defaultCandidate = false)
    @Qualifier("channel")
    ThreadPoolTaskExecutor channelExecutor() {
        ThreadPoolTaskExecutor executor = new ThreadPoolTaskExecutor();
        executor.setThreadNamePrefix("channel-");
        executor.setCorePoolSize(1);
        executor.setMaxPoolSize(1);
        // A listener that falls behind loses what does not fit: Redis would cut the connection otherwise.
        executor.setQueueCapacity(10_000);
        executor.setRejectedExecutionHandler((task, pool) -> log.warn("dropped a message: the listener is too far behind"));
        return executor;
    }

    @Bean(defaultCandidate = false, destroyMethod = "shutdownNow")
    @Qualifier("channel")
    ScheduledExecutorService channelRetries() {
        return new ScheduledThreadPoolExecutor(1);
    }

    /** Without this a PUBLISH waits for a Redis that is away, and may go out long after its caller gave up on it. */
    @Bean
    LettuceClientOptionsBuilderCustomizer failAtOnceWhileRedisIsAway() {
        return options -> options.disconnectedBehavior(DisconnectedBehavior.REJECT_COMMANDS);
    }
}
