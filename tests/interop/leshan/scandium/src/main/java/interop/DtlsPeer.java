package interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayInputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.Principal;
import java.security.PublicKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.HexFormat;
import java.util.Locale;
import org.eclipse.californium.elements.AddressEndpointContext;
import org.eclipse.californium.elements.DtlsEndpointContext;
import org.eclipse.californium.elements.EndpointContext;
import org.eclipse.californium.elements.MessageCallback;
import org.eclipse.californium.elements.RawData;
import org.eclipse.californium.elements.auth.RawPublicKeyIdentity;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.scandium.DTLSConnector;
import org.eclipse.californium.scandium.config.DtlsConfig;
import org.eclipse.californium.scandium.config.DtlsConfig.DtlsRole;
import org.eclipse.californium.scandium.config.DtlsConnectorConfig;
import org.eclipse.californium.scandium.dtls.CertificateType;
import org.eclipse.californium.scandium.dtls.MaxFragmentLengthExtension;
import org.eclipse.californium.scandium.dtls.SingleNodeConnectionIdGenerator;
import org.eclipse.californium.scandium.dtls.cipher.CipherSuite;
import org.eclipse.californium.scandium.dtls.pskstore.AdvancedSinglePskStore;
import org.eclipse.californium.scandium.dtls.x509.SingleCertificateProvider;
import org.eclipse.californium.scandium.dtls.x509.StaticNewAdvancedCertificateVerifier;

/** One end of DTLS. A server answers what it hears in capitals. */
public final class DtlsPeer {
    private final Conversation conversation = new Conversation();
    private DTLSConnector connector;

    public static void main(String[] arguments) throws Exception {
        DtlsConfig.register();
        new DtlsPeer().run();
    }

    private void run() throws Exception {
        conversation.on("open", this::open);
        conversation.on("send", this::send);
        conversation.on("resume", (command, answer) -> connector.forceResumeAllSessions());
        conversation.on("close", (command, answer) -> connector.destroy());
        conversation.say(conversation.event("ready"));
        conversation.run();
        if (connector != null) {
            connector.destroy();
        }
    }

    private void open(JsonNode command, ObjectNode answer) throws Exception {
        boolean serves = command.path("role").asText().equals("server");
        DtlsConnectorConfig.Builder builder = DtlsConnectorConfig.builder(Configuration.createStandardWithoutFile());
        builder.setAddress(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
        builder.set(DtlsConfig.DTLS_ROLE, serves ? DtlsRole.SERVER_ONLY : DtlsRole.CLIENT_ONLY);
        builder.set(DtlsConfig.DTLS_RECEIVER_THREAD_COUNT, 1);
        builder.set(DtlsConfig.DTLS_CONNECTOR_THREAD_COUNT, 1);
        builder.set(DtlsConfig.DTLS_RECOMMENDED_CIPHER_SUITES_ONLY, false);
        builder.set(DtlsConfig.DTLS_VERIFY_SERVER_CERTIFICATES_SUBJECT, false);
        builder.setAsList(DtlsConfig.DTLS_CIPHER_SUITES, CipherSuite.getTypeByName(command.path("suite").asText()));
        if (command.path("fragments").asInt() == 512) {
            builder.set(DtlsConfig.DTLS_MAX_FRAGMENT_LENGTH, MaxFragmentLengthExtension.Length.BYTES_512);
        }
        if (command.has("cid")) {
            builder.setConnectionIdGenerator(new SingleNodeConnectionIdGenerator(command.path("cid").asInt()));
            builder.set(DtlsConfig.DTLS_UPDATE_ADDRESS_USING_CID_ON_NEWER_RECORDS, true);
        }
        if (command.has("identity")) {
            String identity = command.path("identity").asText();
            builder.setAdvancedPskStore(new AdvancedSinglePskStore(identity, bytes(command, "key")));
        }
        if (command.has("private")) {
            show(command, builder);
        }
        connector = new DTLSConnector(builder.build());
        connector.setRawDataReceiver(data -> received(data, serves));
        connector.start();
        answer.put("port", connector.getAddress().getPort());
    }

    private static void show(JsonNode command, DtlsConnectorConfig.Builder builder) throws Exception {
        KeyFactory keys = KeyFactory.getInstance("EC");
        PrivateKey key = keys.generatePrivate(new PKCS8EncodedKeySpec(bytes(command, "private")));
        StaticNewAdvancedCertificateVerifier.Builder trusted = StaticNewAdvancedCertificateVerifier.builder();
        if (command.has("certificate")) {
            X509Certificate[] chain = {certificate(command, "certificate")};
            builder.setCertificateIdentityProvider(new SingleCertificateProvider(key, chain, CertificateType.X_509));
            trusted.setTrustedCertificates(certificate(command, "trusted"));
        } else {
            PublicKey open = keys.generatePublic(new X509EncodedKeySpec(bytes(command, "public")));
            builder.setCertificateIdentityProvider(new SingleCertificateProvider(key, open));
            if (command.has("known")) {
                PublicKey known = keys.generatePublic(new X509EncodedKeySpec(bytes(command, "known")));
                trusted.setTrustedRPKs(new RawPublicKeyIdentity(known));
            } else {
                trusted.setTrustAllRPKs();
            }
        }
        builder.setAdvancedCertificateVerifier(trusted.build());
    }

    private static X509Certificate certificate(JsonNode command, String name) throws Exception {
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        return (X509Certificate) factory.generateCertificate(new ByteArrayInputStream(bytes(command, name)));
    }

    private static byte[] bytes(JsonNode command, String name) {
        return HexFormat.of().parseHex(command.path(name).asText());
    }

    private void send(JsonNode command, ObjectNode answer) {
        byte[] text = command.path("text").asText().getBytes(StandardCharsets.UTF_8);
        InetSocketAddress to = new InetSocketAddress(InetAddress.getLoopbackAddress(), command.path("port").asInt());
        connector.send(RawData.outbound(text, new AddressEndpointContext(to), new Telling(), false));
    }

    private void received(RawData data, boolean answers) {
        EndpointContext context = data.getEndpointContext();
        Principal who = context.getPeerIdentity();
        ObjectNode event = conversation.event("received");
        event.put("text", new String(data.getBytes(), StandardCharsets.UTF_8));
        event.put("port", data.getInetSocketAddress().getPort());
        event.put("identity", who == null ? "" : who.getName());
        event.put("session", String.valueOf(context.get(DtlsEndpointContext.KEY_SESSION_ID)));
        event.put("reads", String.valueOf(context.get(DtlsEndpointContext.KEY_READ_CONNECTION_ID)));
        event.put("writes", String.valueOf(context.get(DtlsEndpointContext.KEY_WRITE_CONNECTION_ID)));
        conversation.say(event);
        if (answers) {
            byte[] loud = new String(data.getBytes(), StandardCharsets.UTF_8).toUpperCase(Locale.ROOT)
                    .getBytes(StandardCharsets.UTF_8);
            connector.send(RawData.outbound(loud, context, null, false));
        }
    }

    /** What becomes of something that is sent. */
    private final class Telling implements MessageCallback {
        @Override
        public void onConnecting() {
        }

        @Override
        public void onDtlsRetransmission(int flight) {
        }

        @Override
        public void onContextEstablished(EndpointContext context) {
        }

        @Override
        public void onSent() {
        }

        @Override
        public void onError(Throwable error) {
            conversation.say(conversation.event("failed").put("reason", error.toString()));
        }
    }
}
