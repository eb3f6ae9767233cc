package com.example.company;

import com.example.company.AnnouncementService.Announcement;
import com.example.company.AntiphonClient.Published;
import com.example.company.AntiphonClient.UserToken;
import com.example.company.ChannelListener.Received;
import java.util.List;
import java.util.UUID;
import java.util.regex.Pattern;
import org.springframework.http.HttpStatus;
import org.springframework.http.ProblemDetail;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.DeleteMapping;
import org.springframework.web.bind.annotation.ExceptionHandler;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.PutMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.ResponseStatus;
import org.springframework.web.bind.annotation.RestController;

/** The application's own API. It has no login, which a real one would have in front of every line here. */
@RestController
@RequestMapping("/companies/{company}")
class CompanyController {

    record NewMessages(List<NewMessage> messages) {}

    record NewAnnouncement(String projectId, String text) {}

    private static final Pattern ID = Pattern.compile("[\\x21-\\x7e]{1,128}");
    private static final long TOKEN_TTL_SECONDS = 3600;

    private final MessageService messages;
    private final AnnouncementService announcements;
    private final ChannelListener channels;
    private final AntiphonClient antiphon;

    CompanyController(MessageService messages, AnnouncementService announcements, ChannelListener channels,
            AntiphonClient antiphon) {
        this.messages = messages;
        this.announcements = announcements;
        this.channels = channels;
        this.antiphon = antiphon;
    }

    @PostMapping("/messages")
    @ResponseStatus(HttpStatus.CREATED)
    Message post(@PathVariable String company, @RequestBody NewMessage message) {
        return messages.post(company(company), checked(message));
    }

    /** Several, all or none: one that cannot be posted undoes the others. */
    @PostMapping("/messages/batch")
    @ResponseStatus(HttpStatus.CREATED)
    List<Message> postAll(@PathVariable String company, @RequestBody NewMessages batch) {
        if (batch.messages() == null) {
            throw Refusal.invalid("messages must be an array");
        }
        return messages.postAll(company(company), batch.messages().stream().map(CompanyController::checked).toList());
    }

    @GetMapping("/messages")
    List<Message> latest(@PathVariable String company) {
        return messages.latest(company(company));
    }

    /** 201 with a position once antiphon has it; 202 without one while it is saved here and waits for its next try. */
    @PostMapping("/announcements")
    ResponseEntity<Announcement> announce(@PathVariable String company, @RequestBody NewAnnouncement announcement) {
        Announcement saved = announcements.announce(company(company),
                optionalId("projectId", announcement.projectId()), text(announcement.text()));
        return ResponseEntity.status(saved.position() != null ? HttpStatus.CREATED : HttpStatus.ACCEPTED).body(saved);
    }

    @GetMapping("/announcements/{id}")
    Announcement announcement(@PathVariable String company, @PathVariable UUID id) {
        return announcements.find(company(company), id);
    }

    /** Publishes it once more, under the same key. */
    @PostMapping("/announcements/{id}/publish")
    Published publish(@PathVariable String company, @PathVariable UUID id) {
        return announcements.publish(announcements.find(company(company), id));
    }

    @PutMapping("/listener")
    @ResponseStatus(HttpStatus.NO_CONTENT)
    void listen(@PathVariable String company) {
        channels.listen(company(company));
    }

    @DeleteMapping("/listener")
    @ResponseStatus(HttpStatus.NO_CONTENT)
    void stop(@PathVariable String company) {
        channels.stop(company(company));
    }

    @GetMapping("/received")
    List<Received> received(@PathVariable String company) {
        return channels.received(company(company));
    }

    @PostMapping("/users/{user}/tokens")
    @ResponseStatus(HttpStatus.CREATED)
    UserToken issueToken(@PathVariable String company, @PathVariable String user) {
        return antiphon.issueToken(company(company), id("user", user), TOKEN_TTL_SECONDS);
    }

    /** 503 for what is worth another try, 502 for what a person has to set right or antiphon refused. */
    @ExceptionHandler
    ProblemDetail antiphonFailed(AntiphonException e) {
        boolean retry = e.remedy() == AntiphonException.Remedy.RETRY;
        return ProblemDetail.forStatusAndDetail(retry ? HttpStatus.SERVICE_UNAVAILABLE : HttpStatus.BAD_GATEWAY,
                e.getMessage());
    }

    private static NewMessage checked(NewMessage message) {
        if (message == null) {
            throw Refusal.invalid("a message must be an object");
        }
        id("userId", message.userId());
        optionalId("projectId", message.projectId());
        text(message.text());
        return message;
    }

    private static String company(String value) {
        String company = id("company", value);
        if (company.startsWith("$antiphon:")) {
            throw Refusal.invalid("a company's id must not begin with $antiphon:, since it names the company's topic");
        }
        return company;
    }

    private static String id(String field, String value) {
        if (value == null || !ID.matcher(value).matches()) {
            throw Refusal.invalid("%s must be 1 to 128 printable ASCII characters without a space".formatted(field));
        }
        return value;
    }

    private static String optionalId(String field, String value) {
        return value == null ? null : id(field, value);
    }

    private static String text(String value) {
        if (value == null || value.isBlank()) {
            throw Refusal.invalid("text must not be empty");
        }
        return value;
    }
}
