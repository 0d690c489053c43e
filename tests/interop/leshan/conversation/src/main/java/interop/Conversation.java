package interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * Commands come in as lines of JSON, {"id": 1, "do": "read", ...}, and are answered in lines with the same id, in
 * whatever order they are done; {"event": "registered", ...} tells of what happened by itself.
 */
public final class Conversation {
    /** Fills in the answer; what it throws is answered as "error". */
    public interface Command {
        void run(JsonNode command, ObjectNode answer) throws Exception;
    }

    public static final ObjectMapper JSON = new ObjectMapper();

    private final Map<String, Command> commands = new HashMap<>();
    private final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    public Conversation on(String verb, Command command) {
        commands.put(verb, command);
        return this;
    }

    public ObjectNode event(String kind) {
        return JSON.createObjectNode().put("event", kind);
    }

    public synchronized void say(ObjectNode line) {
        out.println(line);
    }

    /** Until the other side closes our standard input. */
    public void run() throws IOException {
        ExecutorService working = Executors.newCachedThreadPool();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode command = JSON.readTree(line);
            working.execute(() -> answer(command));
        }
        working.shutdownNow();
    }

    private void answer(JsonNode command) {
        ObjectNode answer = JSON.createObjectNode().put("id", command.path("id").asInt());
        Command known = commands.get(command.path("do").asText());
        try {
            if (known == null) {
                throw new IllegalArgumentException("no such command");
            }
            known.run(command, answer);
        } catch (Exception error) {
            answer.put("error", error.toString());
        }
        say(answer);
    }
}
