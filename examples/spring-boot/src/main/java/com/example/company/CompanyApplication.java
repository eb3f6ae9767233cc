package com.example.company;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.context.properties.ConfigurationPropertiesScan;
import org.springframework.boot.web.server.context.WebServerInitializedEvent;
import org.springframework.context.event.EventListener;
import org.springframework.scheduling.annotation.EnableScheduling;

/**
 * A backend beside antiphon. Start reading at {@link MessageService} (out by plain Redis), go on with
 * {@link ChannelListener} (in by plain Redis) and end with {@link AnnouncementService} (out by HTTP).
 */
@SpringBootApplication
@ConfigurationPropertiesScan
@EnableScheduling
public class CompanyApplication {

    public static void main(String[] args) {
        SpringApplication.run(CompanyApplication.class, args);
    }

    /** Says the real port, since {@code SERVER_PORT=0} takes any free one. */
    @EventListener
    void started(WebServerInitializedEvent event) {
        System.out.println("company-app listens on port " + event.getWebServer().getPort());
    }
}
