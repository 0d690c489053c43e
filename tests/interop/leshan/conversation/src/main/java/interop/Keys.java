package interop;

import java.io.ByteArrayInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.HexFormat;

/**
 * The keys of a server, from a folder of files in DER: server.key, and server.crt with ca.crt, or server.pub where it
 * has no certificate.
 */
public final class Keys {
    private final Path folder;

    public Keys(String folder) {
        this.folder = Path.of(folder);
    }

    public boolean hasCertificate() {
        return Files.exists(folder.resolve("server.crt"));
    }

    public PrivateKey privateKey() throws Exception {
        return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(read("server.key")));
    }

    public PublicKey publicKey() throws Exception {
        return publicKey(read("server.pub"));
    }

    public X509Certificate[] chain() throws Exception {
        return new X509Certificate[] {certificate("server.crt")};
    }

    public X509Certificate[] trusted() throws Exception {
        return new X509Certificate[] {certificate("ca.crt")};
    }

    public static PublicKey publicKey(byte[] der) throws Exception {
        return KeyFactory.getInstance("EC").generatePublic(new X509EncodedKeySpec(der));
    }

    public static byte[] bytes(String digits) {
        return HexFormat.of().parseHex(digits);
    }

    private X509Certificate certificate(String name) throws Exception {
        return (X509Certificate) CertificateFactory.getInstance("X.509")
                .generateCertificate(new ByteArrayInputStream(read(name)));
    }

    private byte[] read(String name) throws Exception {
        return Files.readAllBytes(folder.resolve(name));
    }
}
