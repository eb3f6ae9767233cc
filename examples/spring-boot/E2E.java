import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.WebSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Drives the running Spring Boot application and two running antiphon nodes as their users would, and asserts. test.sh
 * starts them and says in the environment where they are. It needs a JDK alone: java E2E.java
 *
 * <p>That something does NOT arrive is shown with a later message on the same way, which has to arrive: what is in order
 * and was not there before it never comes.
 */
public class E2E {

    static final Duration DEADLINE = Duration.ofSeconds(20);

    static final String NODE_A = env("E2E_NODE_A");
    static final String NODE_B = env("E2E_NODE_B");
    static final String NODE_A_PID = env("E2E_NODE_A_PID");
    static final String APP = env("E2E_APP");
    static final String API_KEY = env("E2E_API_KEY");
    static final String TENANT = env("E2E_TENANT");
    static final String OTHER_TENANT = env("E2E_OTHER_TENANT");
    static final String ADA_TOKEN = env("E2E_ADA_TOKEN");
    static final String EVE_TOKEN = env("E2E_EVE_TOKEN");
    static final Path LOGS = Path.of(env("E2E_LOGS"));

    static final HttpClient HTTP = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1)
            .connectTimeout(DEADLINE).build();

    /** Ada's socket is at node A with a token of the command line, Bob's at node B with one of the application. */
    static Socket ada;
    static Socket bob;
    /** Eve is a user of another company. */
    static Socket eve;
    static String bobToken;

    static int passed;
    static int failed;

    public static void main(String[] args) throws Exception {
        try {
            test("the application issues a token that a node takes", E2E::tokenOfTheApplication);
            test("plain Redis: what the application publishes reaches sockets at both nodes", E2E::plainRedisOut);
            test("HTTP: what the application publishes reaches sockets at both nodes", E2E::httpOut);
            test("HTTP: repeated with the same key it is one entry", E2E::sameKeyIsOneEntry);
            test("HTTP: an answer that came too late and its retry are one entry", E2E::lateAnswerAndRetryAreOneEntry);
            test("HTTP: a company that is new to antiphon is made known to it", E2E::newCompany);
            test("SQL: what the application publishes in its transaction reaches sockets at both nodes, once", E2E::sqlOut);
            test("SQL: a transaction that rolls back after the call publishes nothing and leaves no gap",
                    E2E::sqlRollbackPublishesNothing);
            test("plain Redis: what a client sends reaches the application's listener, once", E2E::clientToListener);
            test("plain Redis: the application does not hear itself", E2E::doesNotHearItself);
            test("plain Redis: the listener comes and goes while the application runs", E2E::listenerComesAndGoes);
            test("a transaction that rolls back publishes nothing", E2E::rollbackPublishesNothing);
            test("a project's message reaches its members alone", E2E::projectReachesItsMembers);
            test("HTTP: a node answers a client that asks for an upgrade to HTTP/2", E2E::upgradeToHttp2);
            test("what is too large is refused and not saved", E2E::tooLarge);
            test("another company hears nothing of it", E2E::otherCompanyHearsNothing);
            test("no log shows a token or the API key", E2E::noSecretInLogs);
        } finally {
            Stream.of(ada, bob, eve).filter(Objects::nonNull).forEach(Socket::close);
        }
        System.out.println(passed + " passed, " + failed + " failed");
        System.exit(failed == 0 ? 0 : 1);
    }

    // The tests.

    static void tokenOfTheApplication() throws Exception {
        Answer answer = post(APP + companies() + "/users/bob/tokens", null);
        check(answer.status == 201, "status " + answer.status + ": " + answer.body);
        bobToken = string(answer.body, "token");
        ada = Socket.open(NODE_A, ADA_TOKEN, TENANT);
        bob = Socket.open(NODE_B, bobToken, TENANT);
        eve = Socket.open(NODE_A, EVE_TOKEN, OTHER_TENANT);
    }

    static void plainRedisOut() throws Exception {
        String text = fresh("plain");
        Answer saved = say(Map.of("userId", "ada", "text", text));
        for (Socket socket : List.of(ada, bob)) {
            Object frame = socket.awaitText(text);
            check("MESSAGE".equals(string(frame, "type")), "type of " + frame);
            check(Objects.equals(string(saved.body, "id"), string(frame, "entry", "id")), "entry.id of " + frame);
            check(TENANT.equals(string(frame, "entry", "companyId")), "entry.companyId of " + frame);
            check("ada".equals(string(frame, "entry", "userId")), "entry.userId of " + frame);
            check(at(frame, "position") == null, "a plain message has no position, but: " + frame);
        }
    }

    static void httpOut() throws Exception {
        String text = fresh("http");
        Answer announced = announce(Map.of("text", text));
        check(announced.status == 201, "status " + announced.status + ": " + announced.body);
        for (Socket socket : List.of(ada, bob)) {
            Object frame = socket.awaitText(text);
            check(Objects.equals(string(announced.body, "position"), string(frame, "position")),
                    "the position that the application got is not that of " + frame);
            check(at(frame, "entry", "userId") == null, "an API key is no user, but: " + frame);
        }
    }

    static void sameKeyIsOneEntry() throws Exception {
        String text = fresh("once");
        Answer first = announce(Map.of("text", text));
        String id = string(first.body, "id");
        Answer again = post(APP + companies() + "/announcements/" + id + "/publish", null);
        check(again.status == 200, "status " + again.status + ": " + again.body);
        check(Boolean.TRUE.equals(at(again.body, "duplicate")), "not told as a duplicate: " + again.body);
        check(Objects.equals(string(first.body, "position"), string(again.body, "position")), "another position");
        checkOneEntry(text, id);
    }

    /** Node A, which the application publishes at, is frozen for longer than the application waits for its answer. */
    static void lateAnswerAndRetryAreOneEntry() throws Exception {
        String text = fresh("late");
        signal("STOP");
        Answer announced;
        try {
            announced = announce(Map.of("text", text));
        } finally {
            signal("CONT");
        }
        check(announced.status == 202, "status " + announced.status + ": " + announced.body);
        check(at(announced.body, "position") == null, "confirmed by a frozen node: " + announced.body);
        String id = string(announced.body, "id");
        await("the retry to be confirmed",
                () -> at(get(APP + companies() + "/announcements/" + id).body, "position") != null);
        checkOneEntry(text, id);
    }

    static void newCompany() throws Exception {
        Answer announced = post(APP + "/companies/new-" + UUID.randomUUID() + "/announcements", Map.of("text", fresh("new")));
        check(announced.status == 201, "status " + announced.status + ": " + announced.body);
    }

    static void sqlOut() throws Exception {
        String text = fresh("sql");
        String id = string(say(durable(text)).body, "id");
        for (Socket socket : List.of(ada, bob)) {
            Object frame = socket.awaitText(text);
            check(string(frame, "position") != null, "an entry has a position, but: " + frame);
            check("ada".equals(string(frame, "entry", "userId")), "entry.userId of " + frame);
        }
        check(id.equals(string(ada.awaitText(text), "key")), "the message's id is not the key that its author sees");
        checkOneEntry(text, id);
    }

    static void sqlRollbackPublishesNothing() throws Exception {
        double before = offset(durable(fresh("before")));
        String text = fresh("rolled-back-sql");
        // The second one answers a message that does not exist, when the first one has been published already.
        Map<String, ?> wrong = Map.of("userId", "ada", "text", fresh("wrong"), "replyTo", UUID.randomUUID().toString());
        Answer answer = post(APP + companies() + "/messages/batch", Map.of("messages", List.of(durable(text), wrong)));
        check(answer.status == 404, "status " + answer.status + ": " + answer.body);
        double after = offset(durable(fresh("after")));
        check(after == before + 1, "offset " + after + " follows " + before);
        check(ada.count(text) == 0 && bob.count(text) == 0, "a socket heard it");
        List<?> rows = (List<?>) get(APP + companies() + "/messages").body;
        check(rows.stream().noneMatch(row -> text.equals(string(row, "text"))), "it was saved");
    }

    static void clientToListener() throws Exception {
        Answer answer = send("PUT", APP + companies() + "/listener", null, null);
        check(answer.status == 204, "status " + answer.status + ": " + answer.body);

        String text = fresh("client");
        String position = ada.sendMessage(text);
        bob.awaitText(text);
        // One after it through each node: a second copy, from whichever, would be here before them.
        passThroughListener();
        List<Object> heard = received(text);
        check(heard.size() == 1, "heard " + heard.size() + " times");
        check("CLIENT".equals(string(heard.get(0), "source")), "source of " + heard.get(0));
        check("ada".equals(string(heard.get(0), "userId")), "userId of " + heard.get(0));
        check(at(heard.get(0), "projectId") == null, "projectId of " + heard.get(0));
        check(position.equals(string(heard.get(0), "position")), "position of " + heard.get(0));
    }

    static void doesNotHearItself() throws Exception {
        String plain = fresh("own-plain");
        String http = fresh("own-http");
        String sql = fresh("own-sql");
        say(Map.of("userId", "ada", "text", plain));
        say(durable(sql));
        announce(Map.of("text", http));
        for (Socket socket : List.of(ada, bob)) {
            socket.awaitText(http);
            socket.awaitText(sql);
        }
        passThroughListener();
        check(received(plain).isEmpty(), "it heard its own message");
        check(received(http).isEmpty(), "it heard its own announcement");
        check(received(sql).isEmpty(), "it heard its own durable message");
    }

    static void listenerComesAndGoes() throws Exception {
        check(send("DELETE", APP + companies() + "/listener", null, null).status == 204, "DELETE");
        String unheard = fresh("unheard");
        ada.sendMessage(unheard);
        bob.awaitText(unheard);
        check(get(APP + companies() + "/received").status == 404, "a company that nobody listens to is a 404");
        check(send("PUT", APP + companies() + "/listener", null, null).status == 204, "PUT");
        passThroughListener();
        check(received(unheard).isEmpty(), "it heard what was said while it did not listen");
    }

    static void rollbackPublishesNothing() throws Exception {
        String text = fresh("rolled-back");
        Answer answer = post(APP + companies() + "/messages",
                Map.of("userId", "ada", "text", text, "replyTo", UUID.randomUUID().toString()));
        check(answer.status == 404, "status " + answer.status + ": " + answer.body);
        passByPlainRedis();
        check(ada.count(text) == 0 && bob.count(text) == 0, "a socket heard it");
        List<?> rows = (List<?>) get(APP + companies() + "/messages").body;
        check(rows.stream().noneMatch(row -> text.equals(string(row, "text"))), "it was saved");
    }

    static void projectReachesItsMembers() throws Exception {
        Answer member = send("PUT", NODE_A + "/api/v1/tenants/" + TENANT + "/projects/apollo/members/ada", Map.of(), API_KEY);
        check(member.status / 100 == 2, "status " + member.status + ": " + member.body);
        String plain = fresh("project-plain");
        String http = fresh("project-http");
        say(Map.of("userId", "ada", "projectId", "apollo", "text", plain));
        Answer announced = announce(Map.of("projectId", "apollo", "text", http));
        check(announced.status == 201, "status " + announced.status + ": " + announced.body);
        check("apollo".equals(string(ada.awaitText(plain), "project", "id")), "project.id of the plain message");
        check("apollo".equals(string(ada.awaitText(http), "project", "id")), "project.id of the entry");
        passByPlainRedis();
        String last = fresh("after");
        announce(Map.of("text", last));
        bob.awaitText(last);
        check(bob.count(plain) == 0 && bob.count(http) == 0, "one who is no member heard it");
    }

    /** As Spring's RestClient does on the JDK's client, unless it is told not to. */
    static void upgradeToHttp2() throws Exception {
        String text = fresh("upgrade");
        HttpRequest request = HttpRequest.newBuilder(URI.create(NODE_A + entries())).timeout(DEADLINE)
                .version(HttpClient.Version.HTTP_2).header("Authorization", "Bearer " + API_KEY)
                .header("Content-Type", "application/json")
                .POST(BodyPublishers.ofString(Json.write(Map.of("text", text)))).build();
        int status = HttpClient.newHttpClient().send(request, BodyHandlers.ofString()).statusCode();
        check(status == 201, "status " + status);
        bob.awaitText(text);
    }

    static void tooLarge() throws Exception {
        String text = fresh("large") + "x".repeat(64 * 1024);
        Answer message = post(APP + companies() + "/messages", Map.of("userId", "ada", "text", text));
        check(message.status == 413, "message: status " + message.status);
        Answer announcement = announce(Map.of("text", text));
        check(announcement.status == 413, "announcement: status " + announcement.status);
        List<?> rows = (List<?>) get(APP + companies() + "/messages").body;
        check(rows.stream().noneMatch(row -> text.equals(string(row, "text"))), "it was saved");
    }

    static void otherCompanyHearsNothing() throws Exception {
        String text = fresh("other");
        Answer answer = post(APP + "/companies/" + OTHER_TENANT + "/messages", Map.of("userId", "eve", "text", text));
        check(answer.status == 201, "status " + answer.status + ": " + answer.body);
        eve.awaitText(text);
        List<Object> heard = eve.messages();
        check(heard.size() == 1, "it heard " + heard.size() + " messages, of which one is its own: " + heard);
    }

    static void noSecretInLogs() throws Exception {
        List<String> secrets = Stream.of(API_KEY, ADA_TOKEN, EVE_TOKEN, bobToken).filter(Objects::nonNull).toList();
        try (Stream<Path> logs = Files.list(LOGS)) {
            for (Path log : logs.filter(path -> path.toString().endsWith(".log")).toList()) {
                String text = new String(Files.readAllBytes(log), StandardCharsets.UTF_8);
                for (String secret : secrets) {
                    check(!text.contains(secret), log.getFileName() + " shows a token or the API key");
                }
            }
        }
    }

    // What several of them do.

    static Answer say(Map<String, ?> message) throws Exception {
        Answer answer = post(APP + companies() + "/messages", message);
        check(answer.status == 201, "status " + answer.status + ": " + answer.body);
        return answer;
    }

    /** A message that the application publishes by SQL. */
    static Map<String, ?> durable(String text) {
        return Map.of("userId", "ada", "text", text, "durable", true);
    }

    /** Posts it and tells its offset, once it was heard at both nodes. */
    static double offset(Map<String, ?> message) throws Exception {
        say(message);
        String text = string(message, "text");
        bob.awaitText(text);
        return (Double) at(ada.awaitText(text), "offset");
    }

    static Answer announce(Map<String, ?> announcement) throws Exception {
        return post(APP + companies() + "/announcements", announcement);
    }

    /** One message of the application to everyone, by plain Redis, that both sockets have to hear. */
    static void passByPlainRedis() throws Exception {
        String text = fresh("after");
        say(Map.of("userId", "ada", "text", text));
        ada.awaitText(text);
        bob.awaitText(text);
    }

    /** A client's message through each node that the application's listener has to hear. */
    static void passThroughListener() throws Exception {
        for (Socket socket : List.of(ada, bob)) {
            String text = fresh("after");
            socket.sendMessage(text);
            await("the application to hear " + text, () -> !received(text).isEmpty());
        }
    }

    static List<Object> received(String text) throws Exception {
        Answer answer = get(APP + companies() + "/received");
        check(answer.status == 200, "status " + answer.status + ": " + answer.body);
        return ((List<?>) answer.body).stream().filter(item -> text.equals(string(item, "text")))
                .collect(Collectors.toList());
    }

    /** Heard once at each node, stored once, whichever node is asked. */
    static void checkOneEntry(String text, String key) throws Exception {
        ada.awaitText(text);
        bob.awaitText(text);
        String last = fresh("after");
        announce(Map.of("text", last));
        ada.awaitText(last);
        bob.awaitText(last);
        check(ada.count(text) == 1, "node A: heard " + ada.count(text) + " times");
        check(bob.count(text) == 1, "node B: heard " + bob.count(text) + " times");
        for (String node : List.of(NODE_A, NODE_B)) {
            Answer history = send("GET", node + entries() + "?limit=200",
                    null, API_KEY);
            check(history.status == 200, "status " + history.status + ": " + history.body);
            long entries = ((List<?>) at(history.body, "entries")).stream()
                    .filter(entry -> text.equals(string(entry, "text"))).count();
            check(entries == 1, entries + " entries of key " + key + " at " + node);
        }
    }

    static String companies() {
        return "/companies/" + URLEncoder.encode(TENANT, StandardCharsets.UTF_8);
    }

    /** Of the tenant's own topic, whose name is the tenant's id. */
    static String entries() {
        return "/api/v1/tenants/" + TENANT + "/topics/" + TENANT + "/entries";
    }

    static String fresh(String name) {
        return name + "-" + UUID.randomUUID();
    }

    static void signal(String name) throws Exception {
        Process kill = new ProcessBuilder("kill", "-" + name, NODE_A_PID).inheritIO().start();
        check(kill.waitFor() == 0, "kill -" + name + " of node A");
    }

    // A socket at a node.

    static final class Socket implements WebSocket.Listener {

        private final List<Object> frames = new ArrayList<>();
        private final StringBuilder partial = new StringBuilder();
        private String end;
        private WebSocket socket;
        private int ref;

        static Socket open(String node, String token, String tenant) throws Exception {
            Socket socket = new Socket();
            socket.socket = HTTP.newWebSocketBuilder().connectTimeout(DEADLINE)
                    .buildAsync(URI.create(node.replaceFirst("^http", "ws") + "/ws"), socket)
                    .get(DEADLINE.toSeconds(), TimeUnit.SECONDS);
            socket.send(Map.of("type", "SUBSCRIBE", "token", token));
            Object answer = socket.awaitFrame("SUBSCRIPTION_SUCCESSFUL",
                    frame -> "SUBSCRIPTION_SUCCESSFUL".equals(string(frame, "type")));
            check(tenant.equals(string(answer, "text")), "subscribed to another tenant: " + answer);
            return socket;
        }

        /** Sends a MESSAGE to the tenant's own topic and returns the position under which it was accepted. */
        String sendMessage(String text) throws Exception {
            String mine = "r" + ++ref;
            send(Map.of("type", "MESSAGE", "ref", mine, "text", text));
            Object answer = awaitFrame("the answer to MESSAGE", frame -> mine.equals(string(frame, "ref")));
            check("ACCEPTED".equals(string(answer, "type")), "MESSAGE was answered with " + answer);
            return string(answer, "position");
        }

        Object awaitText(String text) throws Exception {
            return awaitFrame("MESSAGE " + text, frame -> isMessage(frame) && text.equals(string(frame, "text")));
        }

        synchronized long count(String text) {
            return frames.stream().filter(frame -> isMessage(frame) && text.equals(string(frame, "text"))).count();
        }

        synchronized List<Object> messages() {
            return frames.stream().filter(Socket::isMessage).collect(Collectors.toList());
        }

        void close() {
            socket.abort();
        }

        private static boolean isMessage(Object frame) {
            return "MESSAGE".equals(string(frame, "type"));
        }

        private void send(Map<String, ?> frame) throws Exception {
            socket.sendText(Json.write(frame), true).get(DEADLINE.toSeconds(), TimeUnit.SECONDS);
        }

        private synchronized Object awaitFrame(String what, Predicate<Object> wanted) throws Exception {
            long until = System.nanoTime() + DEADLINE.toNanos();
            while (true) {
                for (Object frame : frames) {
                    if (wanted.test(frame)) {
                        return frame;
                    }
                }
                check(end == null, "the connection ended (" + end + ") before " + what + " came; it had: " + frames);
                long millis = (until - System.nanoTime()) / 1_000_000;
                check(millis > 0, what + " did not come within " + DEADLINE.toSeconds() + " s; there were: " + frames);
                wait(millis);
            }
        }

        @Override
        public CompletionStage<?> onText(WebSocket webSocket, CharSequence data, boolean last) {
            partial.append(data);
            if (last) {
                Object frame = Json.read(partial.toString());
                partial.setLength(0);
                synchronized (this) {
                    frames.add(frame);
                    notifyAll();
                }
            }
            webSocket.request(1);
            return null;
        }

        @Override
        public synchronized CompletionStage<?> onClose(WebSocket webSocket, int code, String reason) {
            end = "close code " + code;
            notifyAll();
            return null;
        }

        @Override
        public synchronized void onError(WebSocket webSocket, Throwable error) {
            end = error.toString();
            notifyAll();
        }
    }

    // HTTP.

    record Answer(int status, Object body) {}

    static Answer get(String url) throws Exception {
        return send("GET", url, null, null);
    }

    static Answer post(String url, Map<String, ?> body) throws Exception {
        return send("POST", url, body, null);
    }

    static Answer send(String method, String url, Map<String, ?> body, String bearer) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url)).timeout(DEADLINE)
                .method(method, body == null ? BodyPublishers.noBody() : BodyPublishers.ofString(Json.write(body)));
        if (body != null) {
            request.header("Content-Type", "application/json");
        }
        if (bearer != null) {
            request.header("Authorization", "Bearer " + bearer);
        }
        HttpResponse<String> response = HTTP.send(request.build(), BodyHandlers.ofString());
        return new Answer(response.statusCode(), response.body().isBlank() ? null : Json.read(response.body()));
    }

    // The small change of a test.

    interface Test {
        void run() throws Exception;
    }

    static void test(String name, Test test) {
        long start = System.nanoTime();
        try {
            test.run();
            passed++;
            System.out.printf("ok      %s (%d ms)%n", name, (System.nanoTime() - start) / 1_000_000);
        } catch (Exception | AssertionError e) {
            failed++;
            System.out.printf("FAILED  %s: %s%n", name, e instanceof AssertionError ? e.getMessage() : e.toString());
        }
    }

    static void check(boolean condition, String why) {
        if (!condition) {
            throw new AssertionError(why);
        }
    }

    static void await(String what, Callable<Boolean> condition) throws Exception {
        long until = System.nanoTime() + DEADLINE.toNanos();
        while (!condition.call()) {
            check(System.nanoTime() < until, what + ": not within " + DEADLINE.toSeconds() + " s");
            Thread.sleep(20);
        }
    }

    static String env(String name) {
        String value = System.getenv(name);
        if (value == null || value.isEmpty()) {
            throw new IllegalStateException(name + " is not set: run test.sh, which sets it");
        }
        return value;
    }

    static Object at(Object value, String... path) {
        for (String field : path) {
            value = value instanceof Map<?, ?> map ? map.get(field) : null;
        }
        return value;
    }

    static String string(Object value, String... path) {
        return at(value, path) instanceof String text ? text : null;
    }

    /** As much JSON as a test needs, since the JDK has none. */
    static final class Json {

        private final String text;
        private int next;

        private Json(String text) {
            this.text = text;
        }

        static Object read(String text) {
            Json json = new Json(text);
            Object value = json.value();
            json.space();
            json.require(json.next == text.length(), "nothing more");
            return value;
        }

        static String write(Object value) {
            if (value instanceof Map<?, ?> map) {
                return map.entrySet().stream().map(entry -> write(entry.getKey()) + ":" + write(entry.getValue()))
                        .collect(Collectors.joining(",", "{", "}"));
            }
            if (value instanceof List<?> list) {
                return list.stream().map(Json::write).collect(Collectors.joining(",", "[", "]"));
            }
            if (value instanceof String string) {
                StringBuilder out = new StringBuilder("\"");
                for (char c : string.toCharArray()) {
                    out.append(c < ' ' || c == '"' || c == '\\' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
                }
                return out.append('"').toString();
            }
            return String.valueOf(value);
        }

        private Object value() {
            space();
            require(next < text.length(), "a value");
            char c = text.charAt(next);
            if (c == '{') {
                return object();
            }
            if (c == '[') {
                return array();
            }
            if (c == '"') {
                return string();
            }
            int start = next;
            while (next < text.length() && ",]} \t\r\n".indexOf(text.charAt(next)) < 0) {
                next++;
            }
            String word = text.substring(start, next);
            return switch (word) {
                case "null" -> null;
                case "true" -> true;
                case "false" -> false;
                default -> Double.valueOf(word);
            };
        }

        private Map<String, Object> object() {
            Map<String, Object> map = new LinkedHashMap<>();
            next++;
            while (!ends('}')) {
                space();
                String key = string();
                space();
                require(text.charAt(next++) == ':', "a colon");
                map.put(key, value());
            }
            return map;
        }

        private List<Object> array() {
            List<Object> list = new ArrayList<>();
            next++;
            while (!ends(']')) {
                list.add(value());
            }
            return list;
        }

        /** Whether this was the last; else past the comma. */
        private boolean ends(char bracket) {
            space();
            require(next < text.length(), "" + bracket);
            if (text.charAt(next) == ',') {
                next++;
                space();
            }
            if (text.charAt(next) != bracket) {
                return false;
            }
            next++;
            return true;
        }

        private String string() {
            require(text.charAt(next++) == '"', "a string");
            StringBuilder out = new StringBuilder();
            while (text.charAt(next) != '"') {
                char c = text.charAt(next++);
                if (c != '\\') {
                    out.append(c);
                    continue;
                }
                char escape = text.charAt(next++);
                if (escape == 'u') {
                    out.append((char) Integer.parseInt(text.substring(next, next + 4), 16));
                    next += 4;
                } else {
                    int plain = "bfnrt".indexOf(escape);
                    out.append(plain < 0 ? escape : "\b\f\n\r\t".charAt(plain));
                }
            }
            next++;
            return out.toString();
        }

        private void space() {
            while (next < text.length() && " \t\r\n".indexOf(text.charAt(next)) >= 0) {
                next++;
            }
        }

        private void require(boolean condition, String wanted) {
            if (!condition) {
                throw new IllegalArgumentException("not JSON at " + next + ", where " + wanted + " should be: " + text);
            }
        }
    }
}
