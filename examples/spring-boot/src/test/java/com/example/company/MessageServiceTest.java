package com.example.company;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.mockito.ArgumentMatchers.any;
import static org.mockito.ArgumentMatchers.anyString;
import static org.mockito.ArgumentMatchers.eq;
import static org.mockito.Mockito.never;
import static org.mockito.Mockito.verify;
import static org.mockito.Mockito.verifyNoInteractions;
import static org.mockito.Mockito.when;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.mockito.ArgumentCaptor;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.data.redis.RedisConnectionFailureException;
import org.springframework.data.redis.core.StringRedisTemplate;
import org.springframework.http.HttpStatus;
import org.springframework.test.context.bean.override.mockito.MockitoBean;
import org.springframework.transaction.support.TransactionTemplate;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

@SpringBootTest(webEnvironment = SpringBootTest.WebEnvironment.NONE)
class MessageServiceTest {

    @MockitoBean
    StringRedisTemplate redis;

    @MockitoBean
    SqlPublisher publisher;

    @Autowired
    MessageService messages;

    @Autowired
    TransactionTemplate transaction;

    @Autowired
    JsonMapper json;

    @Autowired
    ChannelOrigin origin;

    private final String company = UUID.randomUUID().toString();

    @Test
    void a_message_is_published_on_the_channel_of_its_company_in_the_form_that_antiphon_takes() {
        Message message = plain("ada", "apollo", "hello", null);

        JsonNode sent = json.readTree(published());
        assertThat(sent.path("type").asString()).isEqualTo("MESSAGE");
        assertThat(sent.path("text").asString()).isEqualTo("hello");
        assertThat(sent.path("entry").path("id").asString()).isEqualTo(message.id().toString());
        assertThat(sent.path("entry").path("companyId").asString()).isEqualTo(company);
        assertThat(sent.path("entry").path("userId").asString()).isEqualTo("ada");
        assertThat(sent.path("entry").path("projectId").asString()).isEqualTo("apollo");
        assertThat(sent.path("project").path("id").asString()).isEqualTo("apollo");
        assertThat(sent.path("origin").asString()).isEqualTo(origin.id());
        assertThat(sent.has("position")).isFalse();
    }

    @Test
    void a_message_without_a_project_names_none() {
        plain("ada", null, "hello", null);
        assertThat(json.readTree(published()).has("project")).isFalse();
    }

    @Test
    void nothing_is_published_before_the_commit() {
        transaction.executeWithoutResult(status -> {
            plain("ada", null, "hello", null);
            verifyNoInteractions(redis);
        });
        verify(redis).convertAndSend(eq(company), anyString());
    }

    @Test
    void a_transaction_that_rolls_back_publishes_nothing_and_saves_nothing() {
        assertThatThrownBy(() -> plain("ada", null, "hello", UUID.randomUUID()))
                .isInstanceOfSatisfying(Refusal.class,
                        refusal -> assertThat(refusal.getStatusCode()).isEqualTo(HttpStatus.NOT_FOUND));
        verifyNoInteractions(redis);
        assertThat(messages.latest(company)).isEmpty();
    }

    @Test
    void a_callers_transaction_that_rolls_back_takes_the_publishing_with_it() {
        transaction.executeWithoutResult(status -> {
            plain("ada", null, "hello", null);
            status.setRollbackOnly();
        });
        verifyNoInteractions(redis);
        assertThat(messages.latest(company)).isEmpty();
    }

    @Test
    void a_durable_message_is_published_within_the_transaction_and_not_by_redis() {
        transaction.executeWithoutResult(status -> {
            Message message = messages.post(company, new NewMessage("ada", "apollo", "hello", null, true));
            verify(publisher).publish(message);
        });
        verifyNoInteractions(redis);
    }

    @Test
    void a_durable_message_that_antiphon_refuses_is_not_saved() {
        when(publisher.publish(any())).thenThrow(Refusal.invalid("antiphon: there is no tenant"));
        assertThatThrownBy(() -> messages.post(company, new NewMessage("ada", null, "hello", null, true)))
                .isInstanceOf(Refusal.class);
        assertThat(messages.latest(company)).isEmpty();
    }

    @Test
    void of_several_all_are_posted_or_none() {
        NewMessage first = new NewMessage("ada", null, "first", null, false);
        NewMessage wrong = new NewMessage("ada", null, "wrong", UUID.randomUUID(), false);
        assertThatThrownBy(() -> messages.postAll(company, List.of(first, wrong))).isInstanceOf(Refusal.class);
        verifyNoInteractions(redis);
        assertThat(messages.latest(company)).isEmpty();
        assertThat(messages.postAll(company, List.of(first, first))).hasSize(2);
    }

    @Test
    void a_reply_is_counted_where_it_belongs() {
        Message first = plain("ada", null, "question", null);
        plain("bob", null, "answer", first.id());
        assertThat(messages.latest(company)).filteredOn(message -> message.id().equals(first.id()))
                .singleElement().extracting(Message::replies).isEqualTo(1);
    }

    @Test
    void a_redis_that_is_away_does_not_undo_or_fail_what_is_committed() {
        when(redis.convertAndSend(anyString(), any())).thenThrow(new RedisConnectionFailureException("away"));
        Message message = plain("ada", null, "hello", null);
        assertThat(messages.latest(company)).containsExactly(message);
    }

    @Test
    void what_is_too_large_for_the_channel_is_refused_before_the_commit() {
        // Two bytes each as UTF-8: fewer characters than the limit, more bytes.
        String text = "ä".repeat(ChannelMessage.BYTES_MAX / 2);
        assertThatThrownBy(() -> plain("ada", null, text, null))
                .isInstanceOfSatisfying(Refusal.class,
                        refusal -> assertThat(refusal.getStatusCode()).isEqualTo(HttpStatus.CONTENT_TOO_LARGE));
        verify(redis, never()).convertAndSend(anyString(), any());
        assertThat(messages.latest(company)).isEmpty();
    }

    @Test
    void the_largest_that_fits_is_published() {
        Message empty = new Message(UUID.randomUUID(), company, "ada", null, "", 0, System.currentTimeMillis());
        int room = ChannelMessage.BYTES_MAX
                - json.writeValueAsBytes(ChannelMessage.of(empty, origin.id())).length;
        plain("ada", null, "x".repeat(room), null);
        assertThat(published().getBytes(StandardCharsets.UTF_8)).hasSize(ChannelMessage.BYTES_MAX);
    }

    private Message plain(String userId, String projectId, String text, UUID replyTo) {
        return messages.post(company, new NewMessage(userId, projectId, text, replyTo, false));
    }

    private String published() {
        ArgumentCaptor<Object> payload = ArgumentCaptor.forClass(Object.class);
        verify(redis).convertAndSend(eq(company), payload.capture());
        return (String) payload.getValue();
    }
}
