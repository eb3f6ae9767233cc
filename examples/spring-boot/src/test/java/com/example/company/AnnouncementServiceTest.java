package com.example.company;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.mockito.ArgumentMatchers.any;
import static org.mockito.ArgumentMatchers.argThat;
import static org.mockito.ArgumentMatchers.eq;
import static org.mockito.Mockito.clearInvocations;
import static org.mockito.Mockito.doReturn;
import static org.mockito.Mockito.doThrow;
import static org.mockito.Mockito.times;
import static org.mockito.Mockito.verify;
import static org.mockito.Mockito.verifyNoInteractions;
import static org.mockito.Mockito.when;

import com.example.company.AnnouncementService.Announcement;
import com.example.company.AntiphonClient.NewEntry;
import com.example.company.AntiphonClient.Published;
import com.example.company.AntiphonException.Remedy;
import java.util.UUID;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.http.HttpStatus;
import org.springframework.jdbc.core.simple.JdbcClient;
import org.springframework.test.context.bean.override.mockito.MockitoBean;
import org.springframework.transaction.support.TransactionSynchronizationManager;

@SpringBootTest(webEnvironment = SpringBootTest.WebEnvironment.NONE, properties = "company.announcement-retry=1h")
class AnnouncementServiceTest {

    @MockitoBean
    AntiphonClient antiphon;

    @Autowired
    AnnouncementService announcements;

    @Autowired
    JdbcClient database;

    private final String company = UUID.randomUUID().toString();

    @BeforeEach
    void empty() {
        database.sql("delete from announcement").update();
    }

    @Test
    void an_announcement_is_committed_before_it_is_published_under_its_rows_id() {
        when(antiphon.publish(eq(company), eq(company), any())).thenAnswer(call -> {
            assertThat(TransactionSynchronizationManager.isActualTransactionActive()).isFalse();
            NewEntry entry = call.getArgument(2);
            assertThat(announcements.find(company, UUID.fromString(entry.key())).text()).isEqualTo(entry.text());
            return new Published("e1", "p1", 1, false);
        });
        Announcement announcement = announcements.announce(company, "apollo", "hello");
        assertThat(announcement.position()).isEqualTo("p1");
        verify(antiphon).publish(company, company,
                new NewEntry("hello", "apollo", null, announcement.id().toString()));
    }

    @ParameterizedTest
    @EnumSource(names = {"RETRY", "CONFIGURE"})
    void one_that_antiphon_did_not_confirm_is_tried_again_under_the_same_key(Remedy remedy) {
        when(antiphon.publish(any(), any(), any()))
                .thenThrow(new AntiphonException(remedy, 503, "away", null))
                .thenReturn(new Published("e1", "p1", 1, true));
        Announcement waiting = announcements.announce(company, null, "hello");
        assertThat(waiting.position()).isNull();
        assertThat(waiting.problem()).isNull();

        announcements.publishPending(Long.MAX_VALUE);
        assertThat(announcements.find(company, waiting.id()).position()).isEqualTo("p1");
        verify(antiphon, times(2)).publish(eq(company), eq(company),
                argThat(entry -> entry.key().equals(waiting.id().toString())));

        clearInvocations(antiphon);
        announcements.publishPending(Long.MAX_VALUE);
        verifyNoInteractions(antiphon);
    }

    @Test
    void one_that_was_refused_for_good_says_why_and_does_not_stop_the_others() {
        when(antiphon.publish(any(), any(), argThat(entry -> entry != null && entry.text().equals("bad"))))
                .thenThrow(new AntiphonException(Remedy.GIVE_UP, 409, "another content under this key", null));
        Announcement refused = announcements.announce(company, null, "bad");
        assertThat(refused.problem()).isEqualTo("another content under this key");

        clearInvocations(antiphon);
        announcements.publishPending(Long.MAX_VALUE);
        verifyNoInteractions(antiphon);
    }

    @Test
    void a_company_that_is_new_to_antiphon_is_made_known_to_it() {
        when(antiphon.publish(any(), any(), any()))
                .thenThrow(new AntiphonException(Remedy.CONFIGURE, 404, "there is no such tenant", null))
                .thenReturn(new Published("e1", "p1", 1, false));
        assertThat(announcements.announce(company, null, "hello").position()).isEqualTo("p1");
        verify(antiphon).putTenant(company);
    }

    @Test
    void one_company_that_has_to_wait_for_its_settings_does_not_hold_up_another() {
        String other = UUID.randomUUID().toString();
        when(antiphon.publish(any(), any(), any())).thenThrow(new AntiphonException(Remedy.RETRY, 503, "away", null));
        announcements.announce(company, null, "one");
        announcements.announce(company, null, "two");
        Announcement theirs = announcements.announce(other, null, "three");
        clearInvocations(antiphon);
        doThrow(new AntiphonException(Remedy.CONFIGURE, 403, "not yours", null))
                .when(antiphon).publish(eq(company), any(), any());
        doReturn(new Published("e1", "p1", 1, false)).when(antiphon).publish(eq(other), any(), any());

        announcements.publishPending(Long.MAX_VALUE);
        assertThat(announcements.find(other, theirs.id()).position()).isEqualTo("p1");
        verify(antiphon, times(1)).publish(eq(company), any(), any());
    }

    @Test
    void the_oldest_waits_in_front_of_the_younger() {
        when(antiphon.publish(any(), any(), any())).thenThrow(new AntiphonException(Remedy.RETRY, 503, "away", null));
        announcements.announce(company, null, "one");
        announcements.announce(company, null, "two");
        clearInvocations(antiphon);
        announcements.publishPending(Long.MAX_VALUE);
        verify(antiphon, times(1)).publish(any(), any(), any());
    }

    @Test
    void one_whose_first_try_may_still_be_under_way_is_left_alone() {
        when(antiphon.publish(any(), any(), any())).thenThrow(new AntiphonException(Remedy.RETRY, 503, "away", null));
        announcements.announce(company, null, "hello");
        clearInvocations(antiphon);
        announcements.retry();
        verifyNoInteractions(antiphon);
    }

    @Test
    void a_text_over_the_limit_is_neither_saved_nor_sent() {
        assertThatThrownBy(() -> announcements.announce(company, null, "x".repeat(64 * 1024 + 1)))
                .isInstanceOfSatisfying(Refusal.class,
                        refusal -> assertThat(refusal.getStatusCode()).isEqualTo(HttpStatus.CONTENT_TOO_LARGE));
        verifyNoInteractions(antiphon);
        assertThat(database.sql("select count(*) from announcement").query(Long.class).single()).isZero();
    }
}
