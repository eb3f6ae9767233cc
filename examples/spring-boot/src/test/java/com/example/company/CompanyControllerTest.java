package com.example.company;

import static org.mockito.ArgumentMatchers.any;
import static org.mockito.ArgumentMatchers.anyLong;
import static org.mockito.Mockito.verifyNoInteractions;
import static org.mockito.Mockito.when;
import static org.springframework.test.web.servlet.request.MockMvcRequestBuilders.get;
import static org.springframework.test.web.servlet.request.MockMvcRequestBuilders.post;
import static org.springframework.test.web.servlet.result.MockMvcResultMatchers.jsonPath;
import static org.springframework.test.web.servlet.result.MockMvcResultMatchers.status;

import com.example.company.AnnouncementService.Announcement;
import com.example.company.AntiphonException.Remedy;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.webmvc.test.autoconfigure.WebMvcTest;
import org.springframework.http.MediaType;
import org.springframework.test.context.bean.override.mockito.MockitoBean;
import org.springframework.test.web.servlet.MockMvc;

@WebMvcTest(CompanyController.class)
class CompanyControllerTest {

    @MockitoBean
    MessageService messages;

    @MockitoBean
    AnnouncementService announcements;

    @MockitoBean
    ChannelListener channels;

    @MockitoBean
    AntiphonClient antiphon;

    @Autowired
    MockMvc mvc;

    @Test
    void an_announcement_with_a_position_is_201_and_one_without_is_202() throws Exception {
        UUID id = UUID.randomUUID();
        when(announcements.announce(any(), any(), any()))
                .thenReturn(new Announcement(id, "acme", null, "hello", 1, "p1", null))
                .thenReturn(new Announcement(id, "acme", null, "hello", 1, null, null));
        mvc.perform(post("/companies/acme/announcements").contentType(MediaType.APPLICATION_JSON)
                .content("{\"text\":\"hello\"}")).andExpect(status().isCreated()).andExpect(jsonPath("$.position").value("p1"));
        mvc.perform(post("/companies/acme/announcements").contentType(MediaType.APPLICATION_JSON)
                .content("{\"text\":\"hello\"}")).andExpect(status().isAccepted());
    }

    @ParameterizedTest
    @ValueSource(strings = {"{}", "{\"messages\":[null]}",
            "{\"messages\":[{\"userId\":\"ada\",\"text\":\"x\"},{\"userId\":\"ada\"}]}"})
    void a_batch_with_one_wrong_message_is_400_and_reaches_nothing(String body) throws Exception {
        mvc.perform(post("/companies/acme/messages/batch").contentType(MediaType.APPLICATION_JSON).content(body))
                .andExpect(status().isBadRequest());
        verifyNoInteractions(messages);
    }

    @ParameterizedTest
    @ValueSource(strings = {"{}", "{\"userId\":\"a b\",\"text\":\"x\"}", "{\"userId\":\"ada\"}", "{\"userId\":\"ada\",\"text\":\" \"}",
            "{\"userId\":\"ada\",\"text\":\"x\",\"replyTo\":\"not a uuid\"}", "not json"})
    void a_wrong_request_is_400_and_reaches_nothing(String body) throws Exception {
        mvc.perform(post("/companies/acme/messages").contentType(MediaType.APPLICATION_JSON).content(body))
                .andExpect(status().isBadRequest());
        verifyNoInteractions(messages);
    }

    @Test
    void a_company_cannot_take_a_reserved_name() throws Exception {
        mvc.perform(get("/companies/{company}/received", "$antiphon:x")).andExpect(status().isBadRequest())
                .andExpect(jsonPath("$.detail").value(org.hamcrest.Matchers.containsString("$antiphon:")));
        verifyNoInteractions(channels);
    }

    @Test
    void a_refusal_keeps_its_status_and_its_sentence() throws Exception {
        when(channels.received("acme")).thenThrow(Refusal.notFound("do this first"));
        mvc.perform(get("/companies/acme/received")).andExpect(status().isNotFound())
                .andExpect(jsonPath("$.detail").value("do this first"));
    }

    @ParameterizedTest
    @CsvSource({"RETRY,503", "CONFIGURE,502", "GIVE_UP,502"})
    void a_failure_of_antiphon_is_told_apart_from_one_of_this_application(Remedy remedy, int expected) throws Exception {
        when(antiphon.issueToken(any(), any(), anyLong())).thenThrow(new AntiphonException(remedy, 0, "why", null));
        mvc.perform(post("/companies/acme/users/ada/tokens")).andExpect(status().is(expected))
                .andExpect(jsonPath("$.detail").value("why"));
    }
}
