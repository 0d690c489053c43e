package interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Collection;
import org.eclipse.leshan.core.observation.Observation;
import org.eclipse.leshan.core.request.ReadRequest;
import org.eclipse.leshan.server.LeshanServer;
import org.eclipse.leshan.server.LeshanServerBuilder;
import org.eclipse.leshan.server.registration.Registration;
import org.eclipse.leshan.server.registration.RegistrationListener;
import org.eclipse.leshan.server.registration.RegistrationUpdate;
import org.eclipse.leshan.servers.security.InMemorySecurityStore;
import org.eclipse.leshan.servers.security.SecurityInfo;
import org.eclipse.leshan.transport.californium.server.endpoint.CaliforniumServerEndpointsProvider;
import org.eclipse.leshan.transport.californium.server.endpoint.coaps.CoapsServerProtocolProvider;

/** A Leshan server at coaps. Arguments: the port, and the folder of its keys. */
public final class SecureServerPeer {
    private static final long PATIENCE = 5000;

    private final Conversation conversation = new Conversation();
    private final InMemorySecurityStore credentials = new InMemorySecurityStore();
    private final LeshanServer server;

    private SecureServerPeer(int port, Keys keys) throws Exception {
        LeshanServerBuilder builder = new LeshanServerBuilder();
        builder.setSecurityStore(credentials);
        builder.setPrivateKey(keys.privateKey());
        if (keys.hasCertificate()) {
            builder.setCertificateChain(keys.chain());
            builder.setTrustedCertificates(keys.trusted());
        } else {
            builder.setPublicKey(keys.publicKey());
        }
        builder.setEndpointsProviders(new CaliforniumServerEndpointsProvider.Builder(new CoapsServerProtocolProvider())
                .addEndpoint("coaps://127.0.0.1:" + port)
                .build());
        server = builder.build();
    }

    public static void main(String[] arguments) throws Exception {
        new SecureServerPeer(Integer.parseInt(arguments[0]), new Keys(arguments[1])).serve();
        System.exit(0);
    }

    private void serve() throws Exception {
        server.getRegistrationService().addListener(new Registrations());
        conversation.on("admit", this::admit).on("read", this::read);
        server.start();
        conversation.say(conversation.event("ready"));
        conversation.run();
        server.destroy();
    }

    /** By a pre-shared key, a raw public key, or whatever certificate has the name of the endpoint. */
    private void admit(JsonNode command, ObjectNode answer) throws Exception {
        String endpoint = command.get("endpoint").asText();
        if (command.hasNonNull("psk")) {
            byte[] key = Keys.bytes(command.get("psk").asText());
            credentials.add(SecurityInfo.newPreSharedKeyInfo(endpoint, command.get("identity").asText(), key));
        } else if (command.hasNonNull("rpk")) {
            byte[] key = Keys.bytes(command.get("rpk").asText());
            credentials.add(SecurityInfo.newRawPublicKeyInfo(endpoint, Keys.publicKey(key)));
        } else {
            credentials.add(SecurityInfo.newX509CertInfo(endpoint));
        }
    }

    private void read(JsonNode command, ObjectNode answer) throws Exception {
        Registration registration =
                server.getRegistrationService().getByEndpoint(command.get("endpoint").asText());
        var response = server.send(registration, new ReadRequest(command.get("path").asText()), PATIENCE);
        answer.put("code", response == null ? "silence" : Codes.dotted(response.getCode()));
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
            say("deregistered", registration);
        }

        private void say(String event, Registration registration) {
            conversation.say(conversation.event(event).put("endpoint", registration.getEndpoint()));
        }
    }
}
