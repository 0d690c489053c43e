package interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.eclipse.leshan.core.link.lwm2m.attributes.DefaultLwM2mAttributeParser;
import org.eclipse.leshan.core.link.lwm2m.attributes.LwM2mAttributeSet;
import org.eclipse.leshan.core.model.LwM2mModel;
import org.eclipse.leshan.core.node.LwM2mNode;
import org.eclipse.leshan.core.node.LwM2mObjectInstance;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.node.TimestampedLwM2mNodes;
import org.eclipse.leshan.core.observation.CompositeObservation;
import org.eclipse.leshan.core.observation.Observation;
import org.eclipse.leshan.core.observation.SingleObservation;
import org.eclipse.leshan.core.request.CancelCompositeObservationRequest;
import org.eclipse.leshan.core.request.CancelObservationRequest;
import org.eclipse.leshan.core.request.ContentFormat;
import org.eclipse.leshan.core.request.CreateRequest;
import org.eclipse.leshan.core.request.DeleteRequest;
import org.eclipse.leshan.core.request.DiscoverRequest;
import org.eclipse.leshan.core.request.DownlinkDeviceManagementRequest;
import org.eclipse.leshan.core.request.ExecuteRequest;
import org.eclipse.leshan.core.request.ObserveCompositeRequest;
import org.eclipse.leshan.core.request.ObserveRequest;
import org.eclipse.leshan.core.request.ReadCompositeRequest;
import org.eclipse.leshan.core.request.ReadRequest;
import org.eclipse.leshan.core.request.SendRequest;
import org.eclipse.leshan.core.request.WriteAttributesRequest;
import org.eclipse.leshan.core.request.WriteCompositeRequest;
import org.eclipse.leshan.core.request.WriteRequest;
import org.eclipse.leshan.core.response.CreateResponse;
import org.eclipse.leshan.core.response.DiscoverResponse;
import org.eclipse.leshan.core.response.LwM2mResponse;
import org.eclipse.leshan.core.response.ObserveCompositeResponse;
import org.eclipse.leshan.core.response.ObserveResponse;
import org.eclipse.leshan.core.response.ReadCompositeResponse;
import org.eclipse.leshan.core.response.ReadResponse;
import org.eclipse.leshan.server.LeshanServer;
import org.eclipse.leshan.server.LeshanServerBuilder;
import org.eclipse.leshan.server.model.VersionedModelProvider;
import org.eclipse.leshan.server.observation.ObservationListener;
import org.eclipse.leshan.server.registration.Registration;
import org.eclipse.leshan.server.registration.RegistrationListener;
import org.eclipse.leshan.server.registration.RegistrationUpdate;
import org.eclipse.leshan.server.send.SendListener;
import org.eclipse.leshan.transport.californium.server.endpoint.CaliforniumServerEndpointsProvider;
import org.eclipse.leshan.transport.californium.server.endpoint.coap.CoapServerProtocolProvider;

/** A Leshan server. Arguments: the port, and files of object definitions that Leshan does not bring along. */
public final class ServerPeer {
    private static final long PATIENCE = 5000;

    private final Conversation conversation = new Conversation();
    private final LeshanServer server;

    private ServerPeer(int port, List<String> definitions) throws Exception {
        LeshanServerBuilder builder = new LeshanServerBuilder();
        builder.setObjectModelProvider(new VersionedModelProvider(Definitions.everyVersion(definitions)));
        builder.setEndpointsProviders(new CaliforniumServerEndpointsProvider.Builder(new CoapServerProtocolProvider())
                .addEndpoint("coap://127.0.0.1:" + port)
                .build());
        server = builder.build();
    }

    public static void main(String[] arguments) throws Exception {
        new ServerPeer(Integer.parseInt(arguments[0]), Arrays.asList(arguments).subList(1, arguments.length)).serve();
        System.exit(0);
    }

    private void serve() throws Exception {
        server.getRegistrationService().addListener(new Registrations());
        server.getObservationService().addListener(new Notifications());
        server.getSendService().addListener(new Sends());
        commands();
        server.start();
        conversation.say(conversation.event("ready"));
        conversation.run();
        server.destroy();
    }

    private void commands() {
        conversation
                .on("drop", this::drop)
                .on("read", (it, answer) -> ask(it, new ReadRequest(format(it), path(it)), answer))
                .on("discover", (it, answer) -> ask(it, new DiscoverRequest(path(it)), answer))
                .on("write", this::write)
                .on("attributes", this::attributes)
                .on("execute", (it, answer) -> ask(it, new ExecuteRequest(path(it), arguments(it)), answer))
                .on("create", this::create)
                .on("delete", (it, answer) -> ask(it, new DeleteRequest(path(it)), answer))
                .on("observe", (it, answer) -> ask(it, new ObserveRequest(format(it), path(it)), answer))
                .on("cancel", this::cancel)
                .on("forget", this::forget)
                .on("read-composite", (it, answer) -> ask(it, readComposite(it), answer))
                .on("write-composite", this::writeComposite)
                .on("observe-composite", (it, answer) -> ask(it, observeComposite(it), answer));
    }

    /** Forgets the client without a word to it. */
    private void drop(JsonNode command, ObjectNode answer) {
        server.getRegistrationStore().removeRegistration(registration(command).getId());
    }

    private void write(JsonNode command, ObjectNode answer) throws Exception {
        LwM2mPath path = new LwM2mPath(path(command));
        boolean replace = command.path("replace").asBoolean(true);
        WriteRequest.Mode mode = replace ? WriteRequest.Mode.REPLACE : WriteRequest.Mode.UPDATE;
        LwM2mNode node = Nodes.node(path, command.get("records"), model(command));
        ask(command, new WriteRequest(mode, format(command), path, node, null), answer);
    }

    private void attributes(JsonNode command, ObjectNode answer) throws Exception {
        LwM2mAttributeSet attributes = new LwM2mAttributeSet(
                new DefaultLwM2mAttributeParser().parseUriQuery(command.get("query").asText()));
        ask(command, new WriteAttributesRequest(path(command), attributes), answer);
    }

    private void create(JsonNode command, ObjectNode answer) throws Exception {
        int object = new LwM2mPath(path(command)).getObjectId();
        var resources = Nodes.resources(command.get("records"), model(command)).values();
        CreateRequest request = command.hasNonNull("instance")
                ? new CreateRequest(
                        format(command), object, new LwM2mObjectInstance(command.get("instance").asInt(), resources))
                : new CreateRequest(format(command), object, resources);
        ask(command, request, answer);
    }

    /** Asks the client to end every observation of the path, or of the paths as a composite. */
    private void cancel(JsonNode command, ObjectNode answer) throws Exception {
        for (Observation observation : server.getObservationService().getObservations(registration(command))) {
            if (observation instanceof SingleObservation single
                    && single.getPath().toString().equals(path(command))) {
                ask(command, new CancelObservationRequest(single), answer);
            } else if (observation instanceof CompositeObservation composite && command.has("paths")) {
                ask(command, new CancelCompositeObservationRequest(composite), answer);
            }
        }
    }

    /** Tells the client nothing; its next notification is reset. */
    private void forget(JsonNode command, ObjectNode answer) {
        answer.put("ended", server.getObservationService().cancelObservations(registration(command)));
    }

    private ReadCompositeRequest readComposite(JsonNode command) {
        return new ReadCompositeRequest(format(command), accept(command), Nodes.texts(command.get("paths")));
    }

    private ObserveCompositeRequest observeComposite(JsonNode command) {
        String[] paths = Nodes.texts(command.get("paths")).toArray(String[]::new);
        return new ObserveCompositeRequest(format(command), accept(command), paths);
    }

    private void writeComposite(JsonNode command, ObjectNode answer) throws Exception {
        Map<LwM2mPath, LwM2mNode> nodes = new TreeMap<>();
        for (JsonNode record : command.get("records")) {
            LwM2mPath path = new LwM2mPath(record.get(0).asText());
            nodes.put(path, Nodes.node(path, List.of(record), model(command)));
        }
        ask(command, new WriteCompositeRequest(format(command), nodes, null), answer);
    }

    private <T extends LwM2mResponse> void ask(
            JsonNode command, DownlinkDeviceManagementRequest<T> request, ObjectNode answer) throws Exception {
        T response = server.send(
                registration(command), request, command.path("within").asLong(PATIENCE));
        if (response == null) {
            throw new IllegalStateException("the client did not answer");
        }
        answer.put("code", Codes.dotted(response.getCode()));
        answer.put("diagnostic", response.getErrorMessage());
        if (response.isSuccess()) {
            content(response, command, answer);
        }
    }

    private static void content(LwM2mResponse response, JsonNode command, ObjectNode answer) {
        if (response instanceof ReadResponse read && read.getContent() != null) {
            answer.set("records", Nodes.records(new LwM2mPath(path(command)), read.getContent()));
        } else if (response instanceof ObserveCompositeResponse observed && observed.getContent() != null) {
            answer.set("records", Nodes.records(observed.getContent()));
        } else if (response instanceof ReadCompositeResponse read && read.getContent() != null) {
            answer.set("records", Nodes.records(read.getContent()));
        } else if (response instanceof DiscoverResponse discovered) {
            var links = answer.putArray("links");
            Arrays.stream(discovered.getObjectLinks()).forEach(link -> links.add(link.toString()));
        } else if (response instanceof CreateResponse created) {
            answer.put("location", created.getLocation());
        }
        if (response instanceof ObserveResponse observed) {
            answer.put("observing", observed.getObservation() != null);
        }
        if (response instanceof ObserveCompositeResponse observed) {
            answer.put("observing", observed.getObservation() != null);
        }
    }

    private Registration registration(JsonNode command) {
        Registration registration =
                server.getRegistrationService().getByEndpoint(command.get("endpoint").asText());
        if (registration == null) {
            throw new IllegalStateException("not registered");
        }
        return registration;
    }

    private LwM2mModel model(JsonNode command) {
        return server.getModelProvider().getObjectModel(registration(command));
    }

    private static String path(JsonNode command) {
        return command.path("path").asText();
    }

    private static String arguments(JsonNode command) {
        return command.hasNonNull("arguments") ? command.get("arguments").asText() : null;
    }

    private static ContentFormat format(JsonNode command) {
        return Codes.format(command.get("format"));
    }

    private static ContentFormat accept(JsonNode command) {
        return Codes.format(command.get("accept"));
    }

    private static void describe(Registration registration, ObjectNode line) {
        line.put("endpoint", registration.getEndpoint());
        line.put("lifetime", registration.getLifeTimeInSec());
        line.put("version", registration.getLwM2mVersion().toString());
        line.put("queue", registration.getQueueMode());
        var links = line.putArray("links");
        Arrays.stream(registration.getSortedObjectLinks()).forEach(link -> links.add(link.toString()));
        var formats = line.putArray("formats");
        registration.getSupportedContentFormats().stream().sorted().forEach(format -> formats.add(format.getCode()));
    }

    private final class Registrations implements RegistrationListener {
        @Override
        public void registered(Registration registration, Registration before, Collection<Observation> lost) {
            say("registered", registration);
        }

        @Override
        public void updated(RegistrationUpdate update, Registration registration, Registration before) {
            say("updated", registration);
        }

        @Override
        public void unregistered(
                Registration registration, Collection<Observation> ended, boolean expired, Registration successor) {
            ObjectNode line = conversation.event("deregistered");
            describe(registration, line);
            conversation.say(line.put("expired", expired).put("replaced", successor != null));
        }

        private void say(String event, Registration registration) {
            ObjectNode line = conversation.event(event);
            describe(registration, line);
            conversation.say(line);
        }
    }

    private final class Notifications implements ObservationListener {
        @Override
        public void newObservation(Observation observation, Registration registration) {}

        @Override
        public void cancelled(Observation observation) {}

        @Override
        public void onResponse(SingleObservation observation, Registration registration, ObserveResponse response) {
            ObjectNode line = line("notified", registration);
            line.put("path", observation.getPath().toString());
            line.set("records", Nodes.records(observation.getPath(), response.getContent()));
            conversation.say(line);
        }

        @Override
        public void onResponse(
                CompositeObservation observation, Registration registration, ObserveCompositeResponse response) {
            ObjectNode line = line("notified", registration);
            var paths = line.putArray("paths");
            List<LwM2mPath> observed = new ArrayList<>(observation.getPaths());
            observed.forEach(path -> paths.add(path.toString()));
            line.set("records", Nodes.records(response.getContent()));
            conversation.say(line);
        }

        @Override
        public void onError(Observation observation, Registration registration, Exception error) {
            conversation.say(line("bad notification", registration).put("error", String.valueOf(error)));
        }
    }

    private final class Sends implements SendListener {
        @Override
        public void dataReceived(Registration registration, TimestampedLwM2mNodes data, SendRequest request) {
            ObjectNode line = line("sent", registration);
            line.set("records", Nodes.records(data));
            conversation.say(line);
        }

        @Override
        public void onError(Registration registration, String message, Exception error) {
            conversation.say(line("bad send", registration).put("error", message + ": " + error));
        }
    }

    private ObjectNode line(String event, Registration registration) {
        return conversation.event(event).put("endpoint", registration == null ? null : registration.getEndpoint());
    }
}
