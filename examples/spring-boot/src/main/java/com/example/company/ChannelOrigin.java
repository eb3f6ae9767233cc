package com.example.company;

import java.util.UUID;
import org.springframework.stereotype.Component;

/** The name under which this instance publishes, new with each start. */
@Component
public class ChannelOrigin {

    private final String id = UUID.randomUUID().toString();

    public String id() {
        return id;
    }
}
