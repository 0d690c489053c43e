package interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;
import org.eclipse.leshan.client.LeshanClient;
import org.eclipse.leshan.client.LeshanClientBuilder;
import org.eclipse.leshan.client.engine.DefaultRegistrationEngineFactory;
import org.eclipse.leshan.client.object.Security;
import org.eclipse.leshan.client.object.Server;
import org.eclipse.leshan.client.observer.LwM2mClientObserverAdapter;
import org.eclipse.leshan.client.resource.ObjectsInitializer;
import org.eclipse.leshan.client.servers.LwM2mServer;
import org.eclipse.leshan.core.ResponseCode;
import org.eclipse.leshan.core.model.LwM2mModel;
import org.eclipse.leshan.core.model.StaticModel;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.node.LwM2mResource;
import org.eclipse.leshan.core.request.BootstrapRequest;
import org.eclipse.leshan.core.request.DeregisterRequest;
import org.eclipse.leshan.core.request.RegisterRequest;
import org.eclipse.leshan.core.request.UpdateRequest;
import org.eclipse.leshan.transport.californium.client.endpoint.CaliforniumClientEndpointsProvider;
import org.eclipse.leshan.transport.californium.client.endpoint.coap.CoapClientProtocolProvider;
import org.eclipse.leshan.transport.californium.client.endpoint.coaps.CoapsClientProtocolProvider;

/** As many Leshan clients as are asked for. Arguments: files of object definitions that Leshan does not bring along. */
public final class ClientPeer {
    private static final int SHORT_SERVER_ID = 123;
    private static final long PATIENCE = 5000;

    private final Conversation conversation = new Conversation();
    private final Map<String, LeshanClient> clients = new ConcurrentHashMap<>();
    private final Map<String, Map<LwM2mPath, Instance>> instances = new ConcurrentHashMap<>();
    private final LwM2mModel model;

    private ClientPeer(List<String> definitions) throws Exception {
        model = new StaticModel(Definitions.oneVersion(definitions));
    }

    public static void main(String[] arguments) throws Exception {
        new ClientPeer(Arrays.asList(arguments)).serve();
        System.exit(0);
    }

    private void serve() throws Exception {
        conversation
                .on("start", this::start)
                .on("stop", this::stop)
                .on("set", this::set)
                .on("update", (command, answer) -> client(command).triggerRegistrationUpdate())
                .on("send", this::send);
        conversation.say(conversation.event("ready"));
        conversation.run();
        clients.values().forEach(client -> client.destroy(false));
    }

    private void start(JsonNode command, ObjectNode answer) {
        String endpoint = command.get("endpoint").asText();
        ObjectsInitializer objects = new ObjectsInitializer(model);
        accounts(command, objects);
        own(endpoint, command, objects);
        DefaultRegistrationEngineFactory engine = new DefaultRegistrationEngineFactory();
        engine.setQueueMode(command.path("queue").asBoolean(false));
        LeshanClient client = new LeshanClientBuilder(endpoint)
                .setObjects(objects.createAll())
                .setRegistrationEngineFactory(engine)
                .setEndpointsProviders(
                        new CaliforniumClientEndpointsProvider.Builder(
                                        new CoapClientProtocolProvider(), new CoapsClientProtocolProvider())
                                .build())
                .build();
        client.addObserver(new Life(endpoint));
        clients.put(endpoint, client);
        client.start();
    }

    private static void accounts(JsonNode command, ObjectsInitializer objects) {
        if (command.has("bootstrap")) {
            objects.setInstancesForObject(
                    0, Security.noSecBootstrap(command.get("bootstrap").asText()));
            objects.setClassForObject(1, Server.class);
        } else {
            objects.setInstancesForObject(0, security(command.get("server").asText(), command.path("security")));
            objects.setInstancesForObject(
                    1, new Server(SHORT_SERVER_ID, command.path("lifetime").asLong(300)));
        }
    }

    /** Modes as in object 0; keys in hexadecimal. */
    private static Security security(String server, JsonNode keys) {
        if (keys.isMissingNode()) {
            return Security.noSec(server, SHORT_SERVER_ID);
        }
        byte[] shown = Keys.bytes(keys.get("shown").asText());
        byte[] secret = Keys.bytes(keys.get("secret").asText());
        byte[] expected = Keys.bytes(keys.get("expected").asText());
        return switch (keys.get("mode").asInt()) {
            case 0 -> Security.psk(server, SHORT_SERVER_ID, shown, secret);
            case 1 -> Security.rpk(server, SHORT_SERVER_ID, shown, secret, expected);
            default -> Security.x509(server, SHORT_SERVER_ID, shown, secret, expected);
        };
    }

    private void own(String endpoint, JsonNode command, ObjectsInitializer objects) {
        Map<LwM2mPath, Instance> own = new ConcurrentHashMap<>();
        Map<Integer, List<Instance>> byObject = new TreeMap<>();
        Instance.byInstance(command.get("records")).forEach((path, records) -> {
            Instance instance = instance(endpoint, path.getObjectInstanceId(), Nodes.resources(records, model));
            own.put(path, instance);
            byObject.merge(path.getObjectId(), List.of(instance), (first, second) -> concatenated(first, second));
        });
        instances.put(endpoint, own);
        byObject.forEach((object, of) -> {
            objects.setInstancesForObject(object, of.toArray(Instance[]::new));
            objects.setFactoryForObject(object, (model, id, used) -> {
                int next = used.stream().mapToInt(Integer::intValue).max().orElse(-1) + 1;
                Instance created = instance(endpoint, id == null ? next : id, Map.of());
                created.setModel(model);
                return created;
            });
        });
    }

    private static <T> List<T> concatenated(List<T> first, List<T> second) {
        return Stream.concat(first.stream(), second.stream()).toList();
    }

    private Instance instance(
            String endpoint, int id, Map<Integer, LwM2mResource> resources) {
        return new Instance(
                id,
                resources,
                (path, arguments) -> conversation.say(conversation
                        .event("executed")
                        .put("endpoint", endpoint)
                        .put("path", path.toString())
                        .put("arguments", arguments)));
    }

    private void stop(JsonNode command, ObjectNode answer) {
        LeshanClient client = clients.remove(command.get("endpoint").asText());
        client.destroy(command.path("deregister").asBoolean(true));
    }

    private void set(JsonNode command, ObjectNode answer) {
        Map<LwM2mPath, Instance> own = instances.get(command.get("endpoint").asText());
        Instance.byInstance(command.get("records"))
                .forEach((path, records) -> own.get(path).set(Nodes.resources(records, model)));
    }

    private void send(JsonNode command, ObjectNode answer) throws Exception {
        LeshanClient client = client(command);
        LwM2mServer server = client.getRegisteredServers().values().iterator().next();
        var response = client.getSendService()
                .sendData(
                        server,
                        Codes.format(command.get("format")),
                        Nodes.texts(command.get("paths")),
                        PATIENCE);
        if (response == null) {
            throw new IllegalStateException("the server did not answer");
        }
        answer.put("code", Codes.dotted(response.getCode()));
    }

    private LeshanClient client(JsonNode command) {
        return clients.get(command.get("endpoint").asText());
    }

    /** Tells of what becomes of the client's own requests. */
    private final class Life extends LwM2mClientObserverAdapter {
        private final String endpoint;

        private Life(String endpoint) {
            this.endpoint = endpoint;
        }

        private ObjectNode event(String kind) {
            return conversation.event(kind).put("endpoint", endpoint);
        }

        private void failed(String kind, ResponseCode code, String message, Exception cause) {
            String text = code == null ? String.valueOf(cause) : Codes.dotted(code);
            conversation.say(event(kind).put("code", text).put("diagnostic", message));
        }

        @Override
        public void onBootstrapSuccess(LwM2mServer server, BootstrapRequest request) {
            conversation.say(event("bootstrapped"));
        }

        @Override
        public void onBootstrapFailure(
                LwM2mServer server, BootstrapRequest request, ResponseCode code, String message, Exception cause) {
            failed("bootstrap refused", code, message, cause);
        }

        @Override
        public void onRegistrationSuccess(LwM2mServer server, RegisterRequest request, String id) {
            conversation.say(event("registered").put("server", server.getUri()));
        }

        @Override
        public void onRegistrationFailure(
                LwM2mServer server, RegisterRequest request, ResponseCode code, String message, Exception cause) {
            failed("registration refused", code, message, cause);
        }

        @Override
        public void onUpdateSuccess(LwM2mServer server, UpdateRequest request) {
            conversation.say(event("updated"));
        }

        @Override
        public void onUpdateFailure(
                LwM2mServer server, UpdateRequest request, ResponseCode code, String message, Exception cause) {
            failed("update refused", code, message, cause);
        }

        @Override
        public void onDeregistrationSuccess(LwM2mServer server, DeregisterRequest request) {
            conversation.say(event("deregistered"));
        }

        @Override
        public void onUnexpectedError(Throwable error) {
            conversation.say(event("trouble").put("error", String.valueOf(error)));
        }
    }
}
