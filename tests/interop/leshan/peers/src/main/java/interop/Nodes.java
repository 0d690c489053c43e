package interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Date;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.eclipse.leshan.core.model.LwM2mModel;
import org.eclipse.leshan.core.model.ResourceModel;
import org.eclipse.leshan.core.model.ResourceModel.Type;
import org.eclipse.leshan.core.node.LwM2mMultipleResource;
import org.eclipse.leshan.core.node.LwM2mNode;
import org.eclipse.leshan.core.node.LwM2mObject;
import org.eclipse.leshan.core.node.LwM2mObjectInstance;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.node.LwM2mResource;
import org.eclipse.leshan.core.node.LwM2mResourceInstance;
import org.eclipse.leshan.core.node.LwM2mRoot;
import org.eclipse.leshan.core.node.LwM2mSingleResource;
import org.eclipse.leshan.core.node.ObjectLink;
import org.eclipse.leshan.core.node.TimestampedLwM2mNodes;
import org.eclipse.leshan.core.util.datatype.ULong;

/** Leshan's trees of nodes as lists of [path, value] or [path, value, seconds], and back. */
final class Nodes {
    private Nodes() {}

    static ArrayNode records(LwM2mPath path, LwM2mNode node) {
        ArrayNode records = Conversation.JSON.createArrayNode();
        add(records, path, node, null);
        return records;
    }

    static ArrayNode records(Map<LwM2mPath, LwM2mNode> nodes) {
        ArrayNode records = Conversation.JSON.createArrayNode();
        new TreeMap<>(nodes).forEach((path, node) -> add(records, path, node, null));
        return records;
    }

    static ArrayNode records(TimestampedLwM2mNodes nodes) {
        ArrayNode records = Conversation.JSON.createArrayNode();
        for (Instant time : nodes.getTimestamps()) {
            new TreeMap<>(nodes.getNodesAt(time)).forEach((path, node) -> add(records, path, node, time));
        }
        return records;
    }

    private static void add(ArrayNode records, LwM2mPath path, LwM2mNode node, Instant time) {
        if (node instanceof LwM2mRoot root) {
            root.getObjects().forEach((id, child) -> add(records, new LwM2mPath(id), child, time));
        } else if (node instanceof LwM2mObject object) {
            object.getInstances().forEach((id, child) -> add(records, path.append(id), child, time));
        } else if (node instanceof LwM2mObjectInstance instance) {
            new TreeMap<>(instance.getResources()).forEach((id, child) -> add(records, path.append(id), child, time));
        } else if (node instanceof LwM2mResource resource && resource.isMultiInstances()) {
            new TreeMap<>(resource.getInstances()).forEach((id, child) -> add(records, path.append(id), child, time));
        } else if (node instanceof LwM2mResource resource) {
            add(records, path, resource.getValue(), time);
        } else if (node instanceof LwM2mResourceInstance instance) {
            add(records, path, instance.getValue(), time);
        }
    }

    private static void add(ArrayNode records, LwM2mPath path, Object value, Instant time) {
        ArrayNode record = records.addArray().add(path.toString()).add(json(value));
        if (time != null) {
            record.add(time.toEpochMilli() / 1000.0);
        }
    }

    private static JsonNode json(Object value) {
        if (value instanceof byte[] bytes) {
            return Conversation.JSON.createObjectNode().put("bytes", HexFormat.of().formatHex(bytes));
        } else if (value instanceof ObjectLink link) {
            return Conversation.JSON.createObjectNode().put("link", link.encodeToString());
        } else if (value instanceof Date date) {
            return Conversation.JSON.getNodeFactory().numberNode(date.getTime() / 1000);
        } else if (value instanceof ULong number) {
            return Conversation.JSON.getNodeFactory().numberNode(number.toBigInteger());
        }
        return Conversation.JSON.valueToTree(value);
    }

    /** The node at the path, which holds these records. */
    static LwM2mNode node(LwM2mPath path, Iterable<JsonNode> records, LwM2mModel model) {
        Map<Integer, LwM2mResource> resources = resources(records, model);
        if (path.isObjectInstance()) {
            return new LwM2mObjectInstance(path.getObjectInstanceId(), resources.values());
        }
        LwM2mResource resource = resources.get(path.getResourceId());
        return path.isResource() ? resource : resource.getInstance(path.getResourceInstanceId());
    }

    /** The resources of one instance. */
    static Map<Integer, LwM2mResource> resources(Iterable<JsonNode> records, LwM2mModel model) {
        Map<Integer, LwM2mResource> resources = new LinkedHashMap<>();
        Map<Integer, Map<Integer, Object>> multiple = new LinkedHashMap<>();
        Map<Integer, Type> types = new LinkedHashMap<>();
        for (JsonNode record : records) {
            LwM2mPath path = new LwM2mPath(record.get(0).asText());
            ResourceModel resource = model.getResourceModel(path.getObjectId(), path.getResourceId());
            Object value = value(record.get(1), resource.type);
            if (path.isResource()) {
                resources.put(resource.id, LwM2mSingleResource.newResource(resource.id, value, resource.type));
            } else {
                types.put(resource.id, resource.type);
                multiple.computeIfAbsent(resource.id, id -> new TreeMap<>()).put(path.getResourceInstanceId(), value);
            }
        }
        multiple.forEach((id, values) ->
                resources.put(id, LwM2mMultipleResource.newResource(id, values, types.get(id))));
        return resources;
    }

    private static Object value(JsonNode value, Type type) {
        return switch (type) {
            case INTEGER -> value.asLong();
            case UNSIGNED_INTEGER -> ULong.valueOf(value.asText());
            case FLOAT -> value.asDouble();
            case BOOLEAN -> value.asBoolean();
            case TIME -> new Date(value.asLong() * 1000);
            case OPAQUE -> HexFormat.of().parseHex(value.get("bytes").asText());
            case OBJLNK -> ObjectLink.decodeFromString(value.get("link").asText());
            default -> value.asText();
        };
    }

    static List<String> texts(JsonNode array) {
        List<String> texts = new ArrayList<>();
        array.forEach(text -> texts.add(text.asText()));
        return texts;
    }
}
