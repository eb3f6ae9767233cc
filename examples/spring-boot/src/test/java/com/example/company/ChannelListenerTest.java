package com.example.company;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;
import static org.mockito.ArgumentMatchers.any;
import static org.mockito.ArgumentMatchers.eq;
import static org.mockito.Mockito.doThrow;
import static org.mockito.Mockito.mock;
import static org.mockito.Mockito.never;
import static org.mockito.Mockito.times;
import static org.mockito.Mockito.verify;
import static org.mockito.Mockito.when;

import com.example.company.ChannelListener.Received;
import com.example.company.ChannelListener.Source;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.springframework.data.redis.RedisConnectionFailureException;
import org.springframework.data.redis.listener.ChannelTopic;
import org.springframework.data.redis.listener.RedisMessageListenerContainer;
import org.springframework.data.redis.listener.adapter.RedisListenerExecutionFailedException;
import org.springframework.http.HttpStatus;
import tools.jackson.databind.json.JsonMapper;

class ChannelListenerTest {

    private static final int RECEIVED_MAX = 3;
    private static final String ENTRY = "00000000-0000-7000-8000-000000000001";

    private final RedisMessageListenerContainer container = mock(RedisMessageListenerContainer.class);
    private final ChannelOrigin origin = new ChannelOrigin();
    private final SqlPublisher publisher = mock(SqlPublisher.class);
    private final ChannelListener listener = new ChannelListener(container, new JsonMapper(), origin,
            publisher, new CompanyProperties(Duration.ofSeconds(5), RECEIVED_MAX));

    @BeforeEach
    void listen() {
        when(container.isListening()).thenReturn(true);
        listener.listen("acme");
    }

    @Test
    void a_copy_with_a_position_and_a_user_is_from_a_client() {
        listener.redisMessageReceived("""
                {"type":"MESSAGE","text":"hello","position":"p1","offset":7,"project":{"id":"apollo"},"unknown":{"x":[]},
                 "entry":{"id":"00000000-0000-7000-8000-000000000001","companyId":"acme","projectId":"apollo","topic":"acme","userId":"ada","createdAt":5}}""",
                "acme");
        assertThat(listener.received("acme"))
                .containsExactly(new Received(Source.CLIENT, "00000000-0000-7000-8000-000000000001", "ada", "apollo", "hello", null, "p1", 5L));
    }

    @Test
    void the_project_id_that_stands_for_none_is_no_project() {
        listener.redisMessageReceived("""
                {"type":"MESSAGE","body":{"n":1},"position":"p1","offset":7,
                 "project":{"id":"88888888-8888-8888-8888-888888888888"},
                 "entry":{"id":"00000000-0000-7000-8000-000000000001","projectId":"88888888-8888-8888-8888-888888888888","userId":"ada"}}""", "acme");
        assertThat(listener.received("acme")).singleElement().satisfies(item -> {
            assertThat(item.projectId()).isNull();
            assertThat(item.body().path("n").asInt()).isEqualTo(1);
        });
    }

    @Test
    void its_own_publishing_that_comes_back_is_ignored() {
        listener.redisMessageReceived("""
                {"type":"MESSAGE","text":"mine","entry":{"id":"00000000-0000-7000-8000-000000000001","userId":"ada"},"origin":"%s"}"""
                .formatted(origin.id()), "acme");
        assertThat(listener.received("acme")).isEmpty();
    }

    @Test
    void a_copy_of_what_it_published_by_sql_in_a_users_name_is_ignored() {
        when(publisher.hasPublished(ENTRY)).thenReturn(true);
        listener.redisMessageReceived("""
                {"type":"MESSAGE","text":"mine","position":"p1","entry":{"id":"%s","userId":"ada"}}""".formatted(ENTRY),
                "acme");
        assertThat(listener.received("acme")).isEmpty();
    }

    @Test
    void a_copy_of_what_an_api_key_published_is_ignored() {
        listener.redisMessageReceived("""
                {"type":"MESSAGE","text":"mine","position":"p1","entry":{"id":"00000000-0000-7000-8000-000000000001","userId":null}}""", "acme");
        assertThat(listener.received("acme")).isEmpty();
    }

    @Test
    void what_another_program_publishes_is_from_a_backend_with_or_without_the_fields_of_a_message() {
        listener.redisMessageReceived("{\"type\":\"MESSAGE\",\"text\":\"one\",\"origin\":\"another instance\"}", "acme");
        listener.redisMessageReceived("{\"text\":\"two\"}", "acme");
        assertThat(listener.received("acme")).extracting(Received::source, Received::text)
                .containsExactly(tuple(Source.BACKEND, "one"),
                        tuple(Source.BACKEND, "two"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "not json", "[]", "null", "7", "{\"type\":\"MESSAGE\"", "{\"entry\":\"text\"}",
            "{\"type\":\"SUBSCRIBE\",\"text\":\"x\"}"})
    void what_is_not_a_message_is_ignored_and_what_follows_is_heard(String payload) {
        listener.redisMessageReceived(payload, "acme");
        listener.redisMessageReceived("{\"text\":\"next\"}", "acme");
        assertThat(listener.received("acme")).extracting(Received::text).containsExactly("next");
    }

    @Test
    void the_channel_says_whose_it_is_not_the_message() {
        listener.listen("globex");
        listener.redisMessageReceived("{\"text\":\"x\",\"entry\":{\"companyId\":\"globex\"}}", "acme");
        assertThat(listener.received("acme")).hasSize(1);
        assertThat(listener.received("globex")).isEmpty();
    }

    @Test
    void only_the_last_of_what_was_heard_is_kept() {
        for (int i = 0; i < 10; i++) {
            listener.redisMessageReceived("{\"text\":\"%d\"}".formatted(i), "acme");
        }
        assertThat(listener.received("acme")).extracting(Received::text).isEqualTo(List.of("7", "8", "9"));
    }

    @Test
    void topics_come_and_go_while_the_container_runs() {
        listener.listen("acme");
        verify(container, times(1)).addMessageListener(any(), eq(ChannelTopic.of("acme")));
        listener.stop("acme");
        verify(container, times(1)).removeMessageListener(any(), eq(ChannelTopic.of("acme")));
        listener.redisMessageReceived("{\"text\":\"late\"}", "acme");
        assertThatThrownBy(() -> listener.received("acme")).isInstanceOf(Refusal.class);
        listener.stop("acme");
        verify(container, times(1)).removeMessageListener(any(), eq(ChannelTopic.of("acme")));
    }

    @Test
    void while_redis_is_away_the_container_is_started_again_until_it_is_there() {
        when(container.isRunning()).thenReturn(false, false, true);
        doThrow(new RedisListenerExecutionFailedException("away", new RedisConnectionFailureException("away"))).doNothing()
                .when(container).start();
        listener.start();
        verify(container).stop();
        listener.start();
        listener.start();
        verify(container, times(2)).start();
    }

    @Test
    void without_a_connection_the_container_is_left_alone() {
        when(container.isListening()).thenReturn(false);
        assertThatThrownBy(() -> listener.listen("initech")).isInstanceOf(Refusal.class);
        verify(container, never()).addMessageListener(any(), eq(ChannelTopic.of("initech")));
    }

    @Test
    void a_company_that_could_not_be_listened_to_may_be_tried_again() {
        doThrow(new RedisConnectionFailureException("away")).doNothing()
                .when(container).addMessageListener(any(), eq(ChannelTopic.of("initech")));
        assertThatThrownBy(() -> listener.listen("initech")).isInstanceOfSatisfying(Refusal.class,
                refusal -> assertThat(refusal.getStatusCode()).isEqualTo(HttpStatus.SERVICE_UNAVAILABLE));
        assertThatThrownBy(() -> listener.received("initech")).isInstanceOf(Refusal.class);
        listener.listen("initech");
        assertThat(listener.received("initech")).isEmpty();
    }
}
