package benchmark;

import java.util.Collection;
import java.util.concurrent.atomic.LongAdder;
import org.eclipse.leshan.core.observation.Observation;
import org.eclipse.leshan.server.LeshanServer;
import org.eclipse.leshan.server.LeshanServerBuilder;
import org.eclipse.leshan.server.registration.Registration;
import org.eclipse.leshan.server.registration.RegistrationListener;
import org.eclipse.leshan.server.registration.RegistrationUpdate;
import org.eclipse.leshan.transport.californium.server.endpoint.CaliforniumServerEndpointsProvider;
import org.eclipse.leshan.transport.californium.server.endpoint.coap.CoapServerProtocolProvider;

/** A Leshan server with its own defaults and one listener, until standard input ends. Argument: the port. */
public final class Server {
    private Server() {}

    public static void main(String[] arguments) throws Exception {
        LeshanServerBuilder builder = new LeshanServerBuilder();
        builder.setEndpointsProviders(new CaliforniumServerEndpointsProvider.Builder(new CoapServerProtocolProvider())
                .addEndpoint("coap://127.0.0.1:" + arguments[0])
                .build());
        LeshanServer server = builder.build();
        server.getRegistrationService().addListener(new Counting());
        server.start();
        System.out.println("{\"port\": " + arguments[0] + "}");
        while (System.in.read() >= 0) {}
        server.destroy();
        System.exit(0);
    }

    private static final class Counting implements RegistrationListener {
        private final LongAdder happened = new LongAdder();

        @Override
        public void registered(Registration now, Registration before, Collection<Observation> observations) {
            happened.increment();
        }

        @Override
        public void updated(RegistrationUpdate update, Registration now, Registration before) {
            happened.increment();
        }

        @Override
        public void unregistered(
                Registration gone, Collection<Observation> observations, boolean expired, Registration now) {
            happened.increment();
        }
    }
}
