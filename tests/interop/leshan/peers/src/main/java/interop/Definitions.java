package interop;

import java.io.FileInputStream;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import org.eclipse.leshan.core.model.ObjectLoader;
import org.eclipse.leshan.core.model.ObjectModel;

final class Definitions {
    private Definitions() {}

    /** For a server: clients register with versions of their own. */
    static List<ObjectModel> everyVersion(List<String> files) throws Exception {
        return with(ObjectLoader.loadAllDefault(), files);
    }

    /** For a client, which has one version of an object. */
    static List<ObjectModel> oneVersion(List<String> files) throws Exception {
        return with(ObjectLoader.loadDefault(), files);
    }

    private static List<ObjectModel> with(List<ObjectModel> defaults, List<String> files) throws Exception {
        List<ObjectModel> models = new ArrayList<>(defaults);
        for (String file : files) {
            try (InputStream content = new FileInputStream(file)) {
                models.addAll(ObjectLoader.loadDdfFile(content, file));
            }
        }
        return models;
    }
}
