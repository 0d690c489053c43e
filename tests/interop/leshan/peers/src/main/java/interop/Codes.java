package interop;

import com.fasterxml.jackson.databind.JsonNode;
import org.eclipse.leshan.core.ResponseCode;
import org.eclipse.leshan.core.request.ContentFormat;

final class Codes {
    private Codes() {}

    static String dotted(ResponseCode code) {
        return String.format("%d.%02d", code.getCode() / 100, code.getCode() % 100);
    }

    static ContentFormat format(JsonNode number) {
        return number == null || number.isNull() ? null : ContentFormat.fromCode(number.asInt());
    }
}
