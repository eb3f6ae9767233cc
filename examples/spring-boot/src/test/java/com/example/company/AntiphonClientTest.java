package com.example.company;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.springframework.test.web.client.match.MockRestRequestMatchers.content;
import static org.springframework.test.web.client.match.MockRestRequestMatchers.header;
import static org.springframework.test.web.client.match.MockRestRequestMatchers.method;
import static org.springframework.test.web.client.match.MockRestRequestMatchers.requestTo;
import static org.springframework.test.web.client.response.MockRestResponseCreators.withException;
import static org.springframework.test.web.client.response.MockRestResponseCreators.withStatus;
import static org.springframework.test.web.client.response.MockRestResponseCreators.withSuccess;

import com.example.company.AntiphonClient.NewEntry;
import com.example.company.AntiphonClient.Published;
import com.example.company.AntiphonException.Remedy;
import java.io.IOException;
import java.net.URI;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.springframework.http.HttpMethod;
import org.springframework.http.HttpStatus;
import org.springframework.http.MediaType;
import org.springframework.test.json.JsonCompareMode;
import org.springframework.test.web.client.MockRestServiceServer;
import org.springframework.web.client.RestClient;
import tools.jackson.databind.json.JsonMapper;

class AntiphonClientTest {

    private static final String SECRET = "a-key-that-must-not-show";

    private final RestClient.Builder builder = RestClient.builder();
    private final MockRestServiceServer server = MockRestServiceServer.bindTo(builder).build();
    private final AntiphonProperties properties = new AntiphonProperties(URI.create("http://antiphon.test:8080"), SECRET);
    private final AntiphonClient antiphon = new AntiphonClient(builder, new JsonMapper(), properties);

    @Test
    void publishes_an_entry_with_its_key_and_returns_its_position() {
        server.expect(requestTo("http://antiphon.test:8080/api/v1/tenants/acme/topics/news/entries"))
                .andExpect(method(HttpMethod.POST))
                .andExpect(header("Authorization", "Bearer " + SECRET))
                .andExpect(content().json("{\"text\":\"hello\",\"key\":\"k1\"}", JsonCompareMode.STRICT))
                .andRespond(withStatus(HttpStatus.CREATED).contentType(MediaType.APPLICATION_JSON)
                        .body("{\"id\":\"e1\",\"position\":\"p1\",\"offset\":3,\"later\":true}"));
        assertThat(antiphon.publish("acme", "news", new NewEntry("hello", null, null, "k1")))
                .isEqualTo(new Published("e1", "p1", 3, false));
    }

    @Test
    void a_repeat_is_told_as_a_duplicate() {
        server.expect(requestTo("http://antiphon.test:8080/api/v1/tenants/acme/topics/news/entries"))
                .andRespond(withSuccess("{\"id\":\"e1\",\"position\":\"p1\",\"offset\":3,\"duplicate\":true}",
                        MediaType.APPLICATION_JSON));
        assertThat(antiphon.publish("acme", "news", new NewEntry("hello", null, null, "k1")).duplicate()).isTrue();
    }

    @Test
    void ids_are_percent_encoded_in_paths() {
        server.expect(requestTo("http://antiphon.test:8080/api/v1/tenants/a%2Fb%3Fc/topics/%7Bx%7D%25/entries"))
                .andRespond(withSuccess("{\"id\":\"e1\",\"position\":\"p1\",\"offset\":3}", MediaType.APPLICATION_JSON));
        antiphon.publish("a/b?c", "{x}%", new NewEntry("hello", null, null, "k1"));
        server.verify();
    }

    @Test
    void issues_a_token_for_a_user_whom_it_makes_known_first() {
        server.expect(requestTo("http://antiphon.test:8080/api/v1/tenants/acme/users/auth0%7C6a"))
                .andExpect(method(HttpMethod.PUT))
                .andRespond(withStatus(HttpStatus.NO_CONTENT));
        server.expect(requestTo("http://antiphon.test:8080/api/v1/tenants/acme/users/auth0%7C6a/tokens"))
                .andExpect(method(HttpMethod.POST))
                .andExpect(content().json("{\"ttlSeconds\":60}", JsonCompareMode.STRICT))
                .andRespond(withSuccess("{\"token\":\"t1\",\"expiresAt\":9}", MediaType.APPLICATION_JSON));
        assertThat(antiphon.issueToken("acme", "auth0|6a", 60).token()).isEqualTo("t1");
    }

    @Test
    void makes_a_tenant_known() {
        server.expect(requestTo("http://antiphon.test:8080/api/v1/tenants/acme"))
                .andExpect(method(HttpMethod.PUT))
                .andRespond(withStatus(HttpStatus.NO_CONTENT));
        antiphon.putTenant("acme");
        server.verify();
    }

    @ParameterizedTest
    @CsvSource({"400,GIVE_UP", "409,GIVE_UP", "413,GIVE_UP", "401,CONFIGURE", "403,CONFIGURE", "404,CONFIGURE",
            "429,RETRY", "500,RETRY", "502,RETRY", "503,RETRY"})
    void a_failure_says_what_can_be_done_about_it(int status, Remedy remedy) {
        server.expect(requestTo("http://antiphon.test:8080/api/v1/tenants/acme/topics/news/entries"))
                .andRespond(withStatus(HttpStatus.valueOf(status)).contentType(MediaType.APPLICATION_PROBLEM_JSON)
                        .body("{\"title\":\"No\",\"detail\":\"because of the test\"}"));
        assertThatThrownBy(() -> antiphon.publish("acme", "news", new NewEntry("hello", null, null, "k1")))
                .isInstanceOfSatisfying(AntiphonException.class, e -> {
                    assertThat(e.remedy()).isEqualTo(remedy);
                    assertThat(e.status()).isEqualTo(status);
                    assertThat(e).hasMessage("because of the test").hasMessageNotContaining(SECRET);
                });
    }

    @Test
    void a_proxys_own_error_page_is_told_by_its_status() {
        server.expect(requestTo("http://antiphon.test:8080/api/v1/tenants/acme/topics/news/entries"))
                .andRespond(withStatus(HttpStatus.BAD_GATEWAY).contentType(MediaType.TEXT_HTML).body("<h1>Bad</h1>"));
        assertThatThrownBy(() -> antiphon.publish("acme", "news", new NewEntry("hello", null, null, "k1")))
                .isInstanceOf(AntiphonException.class).hasMessage("HTTP status 502");
    }

    @Test
    void an_antiphon_that_is_away_is_worth_another_try() {
        server.expect(requestTo("http://antiphon.test:8080/api/v1/tenants/acme/topics/news/entries"))
                .andRespond(withException(new IOException("refused")));
        assertThatThrownBy(() -> antiphon.publish("acme", "news", new NewEntry("hello", null, null, "k1")))
                .isInstanceOfSatisfying(AntiphonException.class, e -> {
                    assertThat(e.remedy()).isEqualTo(Remedy.RETRY);
                    assertThat(e).hasMessageContaining("ANTIPHON_URL");
                });
    }

    @Test
    void without_a_key_it_says_how_to_make_one() {
        AntiphonClient keyless = new AntiphonClient(RestClient.builder(), new JsonMapper(),
                new AntiphonProperties(properties.url(), " "));
        assertThatThrownBy(() -> keyless.publish("acme", "news", new NewEntry("hello", null, null, "k1")))
                .isInstanceOf(AntiphonException.class).hasMessageContaining("antiphon key issue");
    }

    @Test
    void the_settings_do_not_show_the_key() {
        assertThat(properties.toString()).contains("antiphon.test").doesNotContain(SECRET);
    }
}
