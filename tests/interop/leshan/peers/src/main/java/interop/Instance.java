package interop;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.function.BiConsumer;
import org.eclipse.leshan.client.resource.BaseInstanceEnabler;
import org.eclipse.leshan.client.servers.LwM2mServer;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.model.ResourceModel;
import org.eclipse.leshan.core.node.LwM2mMultipleResource;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.node.LwM2mResource;
import org.eclipse.leshan.core.request.argument.Arguments;
import org.eclipse.leshan.core.response.ExecuteResponse;
import org.eclipse.leshan.core.response.ReadResponse;
import org.eclipse.leshan.core.response.WriteResponse;

/** An object instance that holds what it is given and tells of what is executed. */
final class Instance extends BaseInstanceEnabler {
    private final Map<Integer, LwM2mResource> resources;
    private final BiConsumer<LwM2mPath, String> executed;

    Instance(int id, Map<Integer, LwM2mResource> resources, BiConsumer<LwM2mPath, String> executed) {
        super(id);
        this.resources = new ConcurrentSkipListMap<>(resources);
        this.executed = executed;
    }

    /** As from a sensor. */
    void set(Map<Integer, LwM2mResource> values) {
        resources.putAll(values);
        fireResourcesChange(values.keySet().stream().map(this::path).toArray(LwM2mPath[]::new));
    }

    private LwM2mPath path(int resource) {
        return new LwM2mPath(getModel().id, getId(), resource);
    }

    @Override
    public ReadResponse read(LwM2mServer server, int id) {
        LwM2mResource resource = resources.get(id);
        return resource == null ? ReadResponse.notFound() : ReadResponse.success(resource);
    }

    @Override
    public WriteResponse write(LwM2mServer server, boolean replace, int id, LwM2mResource value) {
        resources.merge(id, value, (before, after) -> replace ? after : merged(before, after));
        fireResourceChange(id);
        return WriteResponse.success();
    }

    private static LwM2mResource merged(LwM2mResource before, LwM2mResource after) {
        if (!after.isMultiInstances()) {
            return after;
        }
        var instances = new TreeMap<>(before.getInstances());
        instances.putAll(after.getInstances());
        return new LwM2mMultipleResource(after.getId(), after.getType(), instances.values());
    }

    @Override
    public ExecuteResponse execute(LwM2mServer server, int id, Arguments arguments) {
        executed.accept(path(id), arguments.serialize());
        return ExecuteResponse.success();
    }

    @Override
    public void reset(int id) {
        resources.remove(id);
    }

    @Override
    public List<Integer> getAvailableResourceIds(ObjectModel model) {
        var ids = new TreeSet<>(resources.keySet());
        for (ResourceModel resource : model.resources.values()) {
            if (resource.operations.isExecutable()) {
                ids.add(resource.id);
            }
        }
        return new ArrayList<>(ids);
    }

    static Map<LwM2mPath, List<JsonNode>> byInstance(Iterable<JsonNode> records) {
        Map<LwM2mPath, List<JsonNode>> instances = new TreeMap<>();
        for (JsonNode record : records) {
            LwM2mPath instance = new LwM2mPath(record.get(0).asText()).toObjectInstancePath();
            instances.computeIfAbsent(instance, path -> new ArrayList<>()).add(record);
        }
        return instances;
    }
}
