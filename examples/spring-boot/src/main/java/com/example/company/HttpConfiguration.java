package com.example.company;

import java.net.http.HttpClient;
import org.springframework.boot.http.client.ClientHttpRequestFactoryBuilder;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** How {@code RestClient} speaks HTTP; its timeouts are in application.yml. */
@Configuration(proxyBeanMethods = false)
class HttpConfiguration {

    /** Left alone, the JDK's client asks for an upgrade to HTTP/2, which a proxy on the way may refuse or mistake. */
    @Bean
    ClientHttpRequestFactoryBuilder<?> plainHttp1() {
        return ClientHttpRequestFactoryBuilder.jdk()
                .withHttpClientCustomizer(client -> client.version(HttpClient.Version.HTTP_1_1));
    }
}
