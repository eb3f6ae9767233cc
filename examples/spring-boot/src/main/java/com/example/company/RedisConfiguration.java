package com.example.company;

import io.lettuce.core.ClientOptions.DisconnectedBehavior;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.boot.data.redis.autoconfigure.LettuceClientOptionsBuilderCustomizer;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.core.task.SimpleAsyncTaskExecutor;
import org.springframework.data.redis.connection.RedisConnectionFactory;
import org.springframework.data.redis.listener.RedisMessageListenerContainer;
import org.springframework.scheduling.concurrent.ThreadPoolTaskExecutor;

/** The listening half's plumbing: one Redis connection for all companies, one thread that hears them in order. */
@Configuration(proxyBeanMethods = false)
class RedisConfiguration {

    private static final Logger log = LoggerFactory.getLogger(RedisConfiguration.class);

    @Bean
    RedisMessageListenerContainer redisContainer(RedisConnectionFactory connections,
            ThreadPoolTaskExecutor channelExecutor) {
        RedisMessageListenerContainer container = new RedisMessageListenerContainer();
        container.setConnectionFactory(connections);
        // The container's own choice is a thread for each message, which forgets their order.
        container.setTaskExecutor(channelExecutor);
        container.setSubscriptionExecutor(new SimpleAsyncTaskExecutor("redis-subscribe-"));
        container.setRecoveryInterval(1_000);
        return container;
    }

    @Bean
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

    /** Without this a PUBLISH waits for a Redis that is away, and may go out long after its caller gave up on it. */
    @Bean
    LettuceClientOptionsBuilderCustomizer failAtOnceWhileRedisIsAway() {
        return options -> options.disconnectedBehavior(DisconnectedBehavior.REJECT_COMMANDS);
    }
}
