package com.example.company;

import java.net.URI;
import org.springframework.boot.context.properties.ConfigurationProperties;

/** Where antiphon's HTTP API is, and the API key for it. Its text form leaves the key out, so that no log shows it. */
@ConfigurationProperties("antiphon")
public record AntiphonProperties(URI url, String apiKey) {

    public AntiphonProperties {
        if (url == null || url.getHost() == null) {
            throw new IllegalArgumentException("ANTIPHON_URL must be a whole URL such as http://127.0.0.1:8080");
        }
        apiKey = apiKey == null ? "" : apiKey.strip();
    }

    @Override
    public String toString() {
        return "AntiphonProperties[url=" + url + ", apiKey=" + (apiKey.isEmpty() ? "missing" : "set") + "]";
    }
}
