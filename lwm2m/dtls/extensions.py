"""What both ends may add to their hellos. RFC 6066, 7250, 7366, 7627, 8422, 9146, 5746."""

from __future__ import annotations

from lwm2m.dtls.alerts import Alert, Fatal
from lwm2m.dtls.messages import ECDSA_SHA256, OCSP, P256, CertificateType, Extension, Extensions
from lwm2m.dtls.reading import Fields, uint16_list, vector
from lwm2m.dtls.settings import FRAGMENT_LENGTHS, LONGEST_CID

HOST_NAME = 0
UNCOMPRESSED = 0

GROUPS = vector(2, P256.to_bytes(2, "big"))
POINT_FORMATS = vector(1, bytes((UNCOMPRESSED,)))
SIGNATURES = vector(2, ECDSA_SHA256.to_bytes(2, "big"))
OCSP_REQUEST = bytes((OCSP, 0, 0, 0, 0))
NO_RENEGOTIATION = vector(1, b"")
"""renegotiation_info of a first handshake."""


def server_name(name: str) -> bytes:
    """Raises UnicodeError for what is no host name."""
    return vector(2, bytes((HOST_NAME,)) + vector(2, name.encode("idna")))


def server_name_of(extensions: Extensions) -> str | None:
    """Raises Fatal."""
    data = extensions.get(Extension.SERVER_NAME)
    if not data:
        return None
    fields = Fields(_only(data, 2))
    found: str | None = None
    while not fields.is_at_end:
        kind, name = fields.uint(1), fields.vector(2)
        if kind == HOST_NAME and found is None:
            found = name.decode("ascii", "backslashreplace").lower()
    return found


def _only(data: bytes, size: int) -> bytes:
    """Of an extension that holds one vector. Raises Fatal."""
    fields = Fields(data)
    content = fields.vector(size)
    fields.end()
    return content


def certificate_types(extensions: Extensions, number: Extension) -> tuple[int, ...]:
    """What a client offers; X.509 where it says nothing. Raises Fatal."""
    data = extensions.get(number)
    if data is None:
        return (CertificateType.X509,)
    return tuple(_only(data, 1))


def chosen_certificate_type(extensions: Extensions, number: Extension) -> int:
    """What a server chose. Raises Fatal."""
    data = extensions.get(number, bytes((CertificateType.X509,)))
    if len(data) != 1:
        raise Fatal(Alert.DECODE_ERROR, "the server chose more than one certificate type")
    return data[0]


def connection_id(cid: bytes) -> bytes:
    return vector(1, cid)


def connection_id_of(extensions: Extensions) -> bytes | None:
    """None when the peer does not do connection ids. Raises Fatal."""
    data = extensions.get(Extension.CONNECTION_ID)
    if data is None:
        return None
    cid = _only(data, 1)
    if len(cid) > LONGEST_CID:
        raise Fatal(Alert.ILLEGAL_PARAMETER, f"a connection id of {len(cid)} bytes is too long")
    return cid


def fragment_length_of(extensions: Extensions) -> int | None:
    """Raises Fatal for a code that does not exist."""
    data = extensions.get(Extension.MAX_FRAGMENT_LENGTH)
    if data is None:
        return None
    for length, code in FRAGMENT_LENGTHS.items():
        if data == bytes((code,)):
            return length
    raise Fatal(Alert.ILLEGAL_PARAMETER, "an unknown maximum fragment length")


def does_p256(extensions: Extensions) -> bool:
    """Whether a client can use the one curve that we have. Raises Fatal."""
    data = extensions.get(Extension.SUPPORTED_GROUPS)
    return data is None or P256 in uint16_list(_only(data, 2))


def takes_our_signature(extensions: Extensions) -> bool:
    """A client that says nothing wants SHA-1 (RFC 5246 §7.4.1.4.1), which we do not do. Raises Fatal."""
    data = extensions.get(Extension.SIGNATURE_ALGORITHMS)
    return data is not None and ECDSA_SHA256 in uint16_list(_only(data, 2))


def check_point_formats(extensions: Extensions) -> None:
    """Raises Fatal when uncompressed points are not among them. RFC 8422 §5.1.2"""
    data = extensions.get(Extension.EC_POINT_FORMATS)
    if data is not None and UNCOMPRESSED not in _only(data, 1):
        raise Fatal(Alert.ILLEGAL_PARAMETER, "the peer takes no uncompressed points")


def has_flag(extensions: Extensions, number: Extension) -> bool:
    """Whether an extension without content is there. Raises Fatal when it has content."""
    data = extensions.get(number)
    if data:
        raise Fatal(Alert.DECODE_ERROR, "an extension has content that should have none")
    return data is not None


def wants_ocsp(extensions: Extensions) -> bool:
    """Whether a client asks for a stapled OCSP response."""
    return extensions.get(Extension.STATUS_REQUEST, b"")[:1] == bytes((OCSP,))


def check_no_renegotiation(extensions: Extensions) -> None:
    """Raises Fatal when the peer believes that this is a second handshake."""
    if extensions.get(Extension.RENEGOTIATION_INFO, NO_RENEGOTIATION) != NO_RENEGOTIATION:
        raise Fatal(Alert.HANDSHAKE_FAILURE, "the peer wants to renegotiate")
