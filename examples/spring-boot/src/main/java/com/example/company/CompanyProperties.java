package com.example.company;

import java.time.Duration;
import org.springframework.boot.context.properties.ConfigurationProperties;

/** The application's own settings. */
@ConfigurationProperties("company")
public record CompanyProperties(Duration announcementRetry, int receivedMax) {}
