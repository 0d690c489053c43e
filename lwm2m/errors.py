"""One exception for each CoAP response code that LwM2M uses. Raise one to refuse; catch one to learn of a refusal."""

from __future__ import annotations

from typing import ClassVar

from lwm2m.coap.message import Code


class LwM2MError(Exception):
    """A refusal with its code; the text goes on the wire as the diagnostic payload, so it never holds a secret."""

    code: ClassVar[Code]
    max_age: ClassVar[int | None] = None
    """Seconds after which to ask again, where that may help. RFC 7252 §5.9.3.4"""

    def __init__(self, diagnostic: str = "") -> None:
        super().__init__(diagnostic)
        self.diagnostic = diagnostic

    def __str__(self) -> str:
        return f"{self.code.dotted} {self.diagnostic}".rstrip()


class BadRequest(LwM2MError):
    code = Code.BAD_REQUEST


class Unauthorized(LwM2MError):
    code = Code.UNAUTHORIZED


class BadOption(LwM2MError):
    code = Code.BAD_OPTION


class Forbidden(LwM2MError):
    code = Code.FORBIDDEN


class NotFound(LwM2MError):
    code = Code.NOT_FOUND


class MethodNotAllowed(LwM2MError):
    code = Code.METHOD_NOT_ALLOWED


class NotAcceptable(LwM2MError):
    code = Code.NOT_ACCEPTABLE


class RequestEntityIncomplete(LwM2MError):
    code = Code.REQUEST_ENTITY_INCOMPLETE


class Conflict(LwM2MError):
    code = Code.CONFLICT


class PreconditionFailed(LwM2MError):
    code = Code.PRECONDITION_FAILED


class RequestEntityTooLarge(LwM2MError):
    code = Code.REQUEST_ENTITY_TOO_LARGE


class UnsupportedContentFormat(LwM2MError):
    code = Code.UNSUPPORTED_CONTENT_FORMAT


class InternalServerError(LwM2MError):
    code = Code.INTERNAL_SERVER_ERROR


class NotImplementedByPeer(LwM2MError):
    code = Code.NOT_IMPLEMENTED


class ServiceUnavailable(LwM2MError):
    code = Code.SERVICE_UNAVAILABLE
    max_age = 60


class GatewayTimeout(LwM2MError):
    code = Code.GATEWAY_TIMEOUT


BY_CODE: dict[Code, type[LwM2MError]] = {error.code: error for error in LwM2MError.__subclasses__()}


def refusal(code: Code, diagnostic: str = "") -> LwM2MError:
    """The exception for a refusing code; a code of no class of its own becomes its class's general error."""
    general = BadRequest if code >> 5 == 4 else InternalServerError
    return BY_CODE.get(code, general)(diagnostic)
