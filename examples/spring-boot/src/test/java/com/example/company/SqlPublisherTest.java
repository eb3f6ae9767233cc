package com.example.company;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.mockito.Mockito.verifyNoInteractions;

import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.data.redis.core.StringRedisTemplate;
import org.springframework.http.HttpStatus;
import org.springframework.jdbc.core.simple.JdbcClient;
import org.springframework.test.context.bean.override.mockito.MockitoBean;
import org.springframework.transaction.IllegalTransactionStateException;

/** What needs no antiphon: E2E.java has the rest. */
@SpringBootTest(webEnvironment = SpringBootTest.WebEnvironment.NONE)
class SqlPublisherTest {

    @MockitoBean
    StringRedisTemplate redis;

    @Autowired
    MessageService messages;

    @Autowired
    SqlPublisher publisher;

    @Autowired
    JdbcClient database;

    private final String company = UUID.randomUUID().toString();

    @Test
    void a_database_without_antiphon_is_told_in_words_and_nothing_is_saved() {
        refuses("hello", HttpStatus.SERVICE_UNAVAILABLE, "antiphon migrate");
    }

    @Test
    void what_antiphon_would_not_take_is_refused_before_it_is_asked() {
        // Escapes count: one character, six bytes.
        refuses("\u0001".repeat(11_000), HttpStatus.CONTENT_TOO_LARGE, "66002 bytes");
    }

    @Test
    void without_a_transaction_it_publishes_nothing() {
        Message message = new Message(UUID.randomUUID(), company, "ada", null, "hello", 0, 1);
        assertThatThrownBy(() -> publisher.publish(message)).isInstanceOf(IllegalTransactionStateException.class);
    }

    @Test
    void an_entry_is_known_by_its_id_and_what_is_no_id_is_none() {
        UUID id = UUID.randomUUID();
        assertThat(publisher.hasPublished(id.toString())).isFalse();
        database.sql("insert into published_entry (id) values (:id)").param("id", id).update();
        assertThat(publisher.hasPublished(id.toString())).isTrue();
        assertThat(publisher.hasPublished("e1")).isFalse();
    }

    private void refuses(String text, HttpStatus status, String words) {
        assertThatThrownBy(() -> messages.post(company, new NewMessage("ada", null, text, null, true)))
                .isInstanceOfSatisfying(Refusal.class, refusal -> {
                    assertThat(refusal.getStatusCode()).isEqualTo(status);
                    assertThat(refusal.getBody().getDetail()).contains(words);
                });
        assertThat(messages.latest(company)).isEmpty();
        verifyNoInteractions(redis);
    }
}
