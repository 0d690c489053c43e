package interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.EnumSet;
import org.eclipse.leshan.core.SecurityMode;
import org.eclipse.leshan.core.request.BindingMode;
import org.eclipse.leshan.core.request.BootstrapDownlinkRequest;
import org.eclipse.leshan.core.request.ContentFormat;
import org.eclipse.leshan.core.response.LwM2mResponse;
import org.eclipse.leshan.server.bootstrap.BootstrapConfig;
import org.eclipse.leshan.server.bootstrap.BootstrapFailureCause;
import org.eclipse.leshan.server.bootstrap.BootstrapSession;
import org.eclipse.leshan.server.bootstrap.BootstrapSessionAdapter;
import org.eclipse.leshan.server.bootstrap.InMemoryBootstrapConfigStore;
import org.eclipse.leshan.server.bootstrap.LeshanBootstrapServer;
import org.eclipse.leshan.server.bootstrap.LeshanBootstrapServerBuilder;
import org.eclipse.leshan.server.californium.bootstrap.endpoint.CaliforniumBootstrapServerEndpointsProvider;
import org.eclipse.leshan.server.californium.bootstrap.endpoint.coap.CoapBootstrapServerProtocolProvider;

/** A Leshan bootstrap server. Argument: the port. */
public final class BootstrapPeer {
    private static final int SHORT_SERVER_ID = 123;

    private final Conversation conversation = new Conversation();
    private final InMemoryBootstrapConfigStore configurations = new InMemoryBootstrapConfigStore();
    private final String uri;

    private BootstrapPeer(int port) {
        uri = "coap://127.0.0.1:" + port;
    }

    public static void main(String[] arguments) throws Exception {
        new BootstrapPeer(Integer.parseInt(arguments[0])).serve();
        System.exit(0);
    }

    private void serve() throws Exception {
        LeshanBootstrapServer server = new LeshanBootstrapServerBuilder()
                .setConfigStore(configurations)
                .setEndpointsProviders(
                        new CaliforniumBootstrapServerEndpointsProvider.Builder(
                                        new CoapBootstrapServerProtocolProvider())
                                .addEndpoint(uri)
                                .build())
                .build();
        server.addListener(new Sessions());
        server.start();
        conversation.on("configure", this::configure);
        conversation.say(conversation.event("ready"));
        conversation.run();
        server.destroy();
    }

    /** The endpoint gets an account of the server, and keeps that of this bootstrap server. */
    private void configure(JsonNode command, ObjectNode answer) throws Exception {
        BootstrapConfig configuration = new BootstrapConfig();
        configuration.contentFormat = ContentFormat.fromCode(command.path("format").asInt(ContentFormat.TLV_CODE));
        command.path("delete").forEach(path -> configuration.toDelete.add(path.asText()));
        configuration.security.put(0, security(uri, true, 0));
        configuration.security.put(1, security(command.get("server").asText(), false, SHORT_SERVER_ID));
        BootstrapConfig.ServerConfig account = new BootstrapConfig.ServerConfig();
        account.shortId = SHORT_SERVER_ID;
        account.lifetime = command.path("lifetime").asInt(300);
        account.binding = EnumSet.of(BindingMode.U);
        configuration.servers.put(0, account);
        configurations.add(command.get("endpoint").asText(), configuration);
    }

    private static BootstrapConfig.ServerSecurity security(String uri, boolean bootstrap, int serverId) {
        BootstrapConfig.ServerSecurity security = new BootstrapConfig.ServerSecurity();
        security.uri = uri;
        security.bootstrapServer = bootstrap;
        security.serverId = serverId;
        security.securityMode = SecurityMode.NO_SEC;
        return security;
    }

    private final class Sessions extends BootstrapSessionAdapter {
        private ObjectNode event(String kind, BootstrapSession session) {
            return conversation.event(kind).put("endpoint", session.getEndpoint());
        }

        @Override
        public void onResponseSuccess(
                BootstrapSession session,
                BootstrapDownlinkRequest<? extends LwM2mResponse> request,
                LwM2mResponse response) {
            step(session, request, String.valueOf(response.getCode()));
        }

        @Override
        public void onResponseError(
                BootstrapSession session,
                BootstrapDownlinkRequest<? extends LwM2mResponse> request,
                LwM2mResponse response) {
            step(session, request, String.valueOf(response.getCode()));
        }

        @Override
        public void onRequestFailure(
                BootstrapSession session, BootstrapDownlinkRequest<? extends LwM2mResponse> request, Throwable cause) {
            step(session, request, String.valueOf(cause));
        }

        private void step(BootstrapSession session, BootstrapDownlinkRequest<?> request, String outcome) {
            conversation.say(event("step", session)
                    .put("operation", request.getClass().getSimpleName())
                    .put("path", String.valueOf(request.getPath()))
                    .put("outcome", outcome));
        }

        @Override
        public void end(BootstrapSession session) {
            conversation.say(event("bootstrapped", session));
        }

        @Override
        public void failed(BootstrapSession session, BootstrapFailureCause cause) {
            conversation.say(event("failed", session).put("cause", cause.toString()));
        }
    }
}
