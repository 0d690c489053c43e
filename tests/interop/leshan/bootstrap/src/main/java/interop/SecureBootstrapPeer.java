package interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Collections;
import java.util.EnumSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.eclipse.leshan.core.SecurityMode;
import org.eclipse.leshan.core.peer.OscoreIdentity;
import org.eclipse.leshan.core.request.BindingMode;
import org.eclipse.leshan.server.bootstrap.BootstrapConfig;
import org.eclipse.leshan.server.bootstrap.InMemoryBootstrapConfigStore;
import org.eclipse.leshan.server.bootstrap.LeshanBootstrapServer;
import org.eclipse.leshan.server.bootstrap.LeshanBootstrapServerBuilder;
import org.eclipse.leshan.server.californium.bootstrap.endpoint.CaliforniumBootstrapServerEndpointsProvider;
import org.eclipse.leshan.server.californium.bootstrap.endpoint.coaps.CoapsBootstrapServerProtocolProvider;
import org.eclipse.leshan.server.security.BootstrapSecurityStore;
import org.eclipse.leshan.server.security.SecurityInfo;

/** A Leshan bootstrap server at coaps. Arguments: the port, and the folder of its keys. */
public final class SecureBootstrapPeer {
    private static final int SHORT_SERVER_ID = 123;

    private final Conversation conversation = new Conversation();
    private final InMemoryBootstrapConfigStore configurations = new InMemoryBootstrapConfigStore();
    private final Map<String, SecurityInfo> credentials = new ConcurrentHashMap<>();
    private final LeshanBootstrapServer server;

    private SecureBootstrapPeer(int port, Keys keys) throws Exception {
        LeshanBootstrapServerBuilder builder = new LeshanBootstrapServerBuilder();
        builder.setConfigStore(configurations);
        builder.setSecurityStore(new Credentials());
        builder.setPrivateKey(keys.privateKey());
        if (keys.hasCertificate()) {
            builder.setCertificateChain(keys.chain());
            builder.setTrustedCertificates(keys.trusted());
        } else {
            builder.setPublicKey(keys.publicKey());
        }
        builder.setEndpointsProviders(
                new CaliforniumBootstrapServerEndpointsProvider.Builder(new CoapsBootstrapServerProtocolProvider())
                        .addEndpoint("coaps://127.0.0.1:" + port)
                        .build());
        server = builder.build();
    }

    public static void main(String[] arguments) throws Exception {
        new SecureBootstrapPeer(Integer.parseInt(arguments[0]), new Keys(arguments[1])).serve();
        System.exit(0);
    }

    private void serve() throws Exception {
        server.start();
        conversation.on("admit", this::admit).on("configure", this::configure);
        conversation.say(conversation.event("ready"));
        conversation.run();
        server.destroy();
    }

    private void admit(JsonNode command, ObjectNode answer) throws Exception {
        String endpoint = command.get("endpoint").asText();
        if (command.hasNonNull("psk")) {
            byte[] key = Keys.bytes(command.get("psk").asText());
            credentials.put(
                    endpoint, SecurityInfo.newPreSharedKeyInfo(endpoint, command.get("identity").asText(), key));
        } else if (command.hasNonNull("rpk")) {
            byte[] key = Keys.bytes(command.get("rpk").asText());
            credentials.put(endpoint, SecurityInfo.newRawPublicKeyInfo(endpoint, Keys.publicKey(key)));
        } else {
            credentials.put(endpoint, SecurityInfo.newX509CertInfo(endpoint));
        }
    }

    /** The endpoint gets an account of a server, and keeps that of this bootstrap server, which is not written. */
    private void configure(JsonNode command, ObjectNode answer) throws Exception {
        BootstrapConfig configuration = new BootstrapConfig();
        BootstrapConfig.ServerSecurity security = new BootstrapConfig.ServerSecurity();
        security.uri = command.get("server").asText();
        security.bootstrapServer = false;
        security.serverId = SHORT_SERVER_ID;
        security.securityMode = SecurityMode.fromCode(command.get("mode").asInt());
        security.publicKeyOrId = Keys.bytes(command.get("shown").asText());
        security.serverPublicKey = Keys.bytes(command.get("expected").asText());
        security.secretKey = Keys.bytes(command.get("secret").asText());
        configuration.security.put(1, security);
        BootstrapConfig.ServerConfig account = new BootstrapConfig.ServerConfig();
        account.shortId = SHORT_SERVER_ID;
        account.lifetime = 300;
        account.binding = EnumSet.of(BindingMode.U);
        configuration.servers.put(0, account);
        configurations.add(command.get("endpoint").asText(), configuration);
    }

    private final class Credentials implements BootstrapSecurityStore {
        @Override
        public Iterator<SecurityInfo> getAllByEndpoint(String endpoint) {
            SecurityInfo info = credentials.get(endpoint);
            return info == null ? Collections.emptyIterator() : List.of(info).iterator();
        }

        @Override
        public SecurityInfo getByIdentity(String identity) {
            return credentials.values().stream()
                    .filter(info -> identity.equals(info.getPskIdentity()))
                    .findFirst()
                    .orElse(null);
        }

        @Override
        public SecurityInfo getByOscoreIdentity(OscoreIdentity identity) {
            return null;
        }
    }
}
