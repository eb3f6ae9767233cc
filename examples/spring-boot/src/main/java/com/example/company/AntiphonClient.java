package com.example.company;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.io.IOException;
import java.util.Map;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpRequest;
import org.springframework.http.HttpStatusCode;
import org.springframework.http.client.ClientHttpResponse;
import org.springframework.stereotype.Component;
import org.springframework.web.client.ResourceAccessException;
import org.springframework.web.client.RestClient;
import org.springframework.web.client.RestClientException;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The calls of antiphon's HTTP API that this application makes. Every failure is an {@link AntiphonException}. */
@Component
public class AntiphonClient {

    /** What to publish. The same key with the same content is one entry, however often it is sent. */
    @JsonInclude(JsonInclude.Include.NON_NULL)
    public record NewEntry(String text, String projectId, String userId, String key) {}

    /** Where it stands now; {@code duplicate} says that an earlier call had published it. */
    public record Published(String id, String position, long offset, Boolean duplicate) {

        public Published {
            // Left out where it is false, which Jackson does not take for a boolean.
            duplicate = Boolean.TRUE.equals(duplicate);
        }
    }

    public record UserToken(String token, long expiresAt) {}

    private final RestClient http;
    private final JsonMapper json;
    private final AntiphonProperties properties;

    AntiphonClient(RestClient.Builder builder, JsonMapper json, AntiphonProperties properties) {
        this.json = json;
        this.properties = properties;
        this.http = builder.baseUrl(properties.url().toString())
                .defaultHeader(HttpHeaders.AUTHORIZATION, "Bearer " + properties.apiKey())
                .defaultStatusHandler(HttpStatusCode::isError, this::fail)
                .build();
    }

    /** Publishes an entry: stored when this returns, and delivered to whoever is connected to any node. */
    public Published publish(String tenant, String topic, NewEntry entry) {
        return call(() -> http.post()
                .uri("/api/v1/tenants/{tenant}/topics/{topic}/entries", tenant, topic)
                .body(entry)
                .retrieve()
                .body(Published.class));
    }

    /** Makes a tenant known to antiphon; one that is known already stays as it is. */
    public void putTenant(String tenant) {
        call(() -> http.put()
                .uri("/api/v1/tenants/{tenant}", tenant)
                .body(Map.of())
                .retrieve()
                .toBodilessEntity());
    }

    /** A token with which this user's browser or app connects to antiphon, for a user whom this application knows. */
    public UserToken issueToken(String tenant, String user, long ttlSeconds) {
        return call(() -> {
            http.put().uri("/api/v1/tenants/{tenant}/users/{user}", tenant, user)
                    .body(Map.of())
                    .retrieve()
                    .toBodilessEntity();
            return http.post().uri("/api/v1/tenants/{tenant}/users/{user}/tokens", tenant, user)
                    .body(Map.of("ttlSeconds", ttlSeconds))
                    .retrieve()
                    .body(UserToken.class);
        });
    }

    private interface Call<T> {
        T run();
    }

    private <T> T call(Call<T> call) {
        if (properties.apiKey().isEmpty()) {
            throw new AntiphonException(AntiphonException.Remedy.CONFIGURE, 0,
                    "ANTIPHON_API_KEY is not set: make a key with `antiphon key issue` and start with it", null);
        }
        try {
            T answer = call.run();
            if (answer == null) {
                throw new AntiphonException(AntiphonException.Remedy.CONFIGURE, 0,
                        "an empty answer: is ANTIPHON_URL really antiphon's?", null);
            }
            return answer;
        } catch (ResourceAccessException e) {
            if (e.getCause() instanceof AntiphonException failure) {
                throw failure;
            }
            throw new AntiphonException(AntiphonException.Remedy.RETRY, 0,
                    "antiphon at %s cannot be reached: is it running, and is ANTIPHON_URL right?"
                            .formatted(properties.url()), e);
        } catch (RestClientException e) {
            throw new AntiphonException(AntiphonException.Remedy.RETRY, 0, "the answer could not be read", e);
        }
    }

    private void fail(HttpRequest request, ClientHttpResponse response) throws IOException {
        int status = response.getStatusCode().value();
        throw new AntiphonException(AntiphonException.Remedy.of(status), status, detail(response, status), null);
    }

    /** The sentence of antiphon's problem details, or what little is known if a proxy answered in its place. */
    private String detail(ClientHttpResponse response, int status) throws IOException {
        try {
            JsonNode problem = json.readTree(response.getBody());
            for (String field : new String[] {"detail", "title"}) {
                String sentence = problem.path(field).asString("");
                if (!sentence.isBlank()) {
                    return sentence;
                }
            }
        } catch (JacksonException e) {
            // Not JSON: the status says as much as is known.
        }
        return "HTTP status " + status;
    }
}
