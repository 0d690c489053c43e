"""The handshake messages as values. RFC 5246 §7.4, RFC 6347 §4.2, RFC 4279, RFC 8422, RFC 7250."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from lwm2m.dtls.alerts import Alert, Fatal
from lwm2m.dtls.reading import Fields, uint16_list, vector
from lwm2m.dtls.suites import VERSION

RANDOM_LENGTH = 32
P256 = 23
NAMED_CURVE = 3
POINT_LENGTH = 65
UNCOMPRESSED_POINT = 4
OCSP = 1
ECDSA_SHA256 = 0x0403
ECDSA_SIGN = 64
NULL_COMPRESSION = b"\0"
RENEGOTIATION_SIGNAL = 0x00FF
"""The suite that stands for an empty renegotiation_info. RFC 5746 §3.3"""


class MessageType(IntEnum):
    HELLO_REQUEST = 0
    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    HELLO_VERIFY_REQUEST = 3
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14
    CERTIFICATE_VERIFY = 15
    CLIENT_KEY_EXCHANGE = 16
    FINISHED = 20
    CERTIFICATE_STATUS = 22


class Extension(IntEnum):
    SERVER_NAME = 0
    MAX_FRAGMENT_LENGTH = 1
    STATUS_REQUEST = 5
    SUPPORTED_GROUPS = 10
    EC_POINT_FORMATS = 11
    SIGNATURE_ALGORITHMS = 13
    CLIENT_CERTIFICATE_TYPE = 19
    SERVER_CERTIFICATE_TYPE = 20
    ENCRYPT_THEN_MAC = 22
    EXTENDED_MASTER_SECRET = 23
    CONNECTION_ID = 54
    RENEGOTIATION_INFO = 0xFF01


class CertificateType(IntEnum):
    X509 = 0
    RAW_PUBLIC_KEY = 2


Extensions = Mapping[int, bytes]


class ClientHello(NamedTuple):
    random: bytes
    session_id: bytes
    cookie: bytes
    suites: tuple[int, ...]
    extensions: Extensions

    @classmethod
    def decode(cls, body: bytes) -> ClientHello:
        """Raises Fatal."""
        fields = Fields(body)
        version = fields.take(2)
        if version[0] != VERSION[0] or version[1] > VERSION[1]:
            raise Fatal(Alert.PROTOCOL_VERSION, "the client speaks no DTLS 1.2")
        hello = cls(
            fields.take(RANDOM_LENGTH),
            _session_id(fields),
            fields.vector(1),
            uint16_list(fields.vector(2)),
            _after_compression(fields),
        )
        fields.end()
        return hello

    @staticmethod
    def random_of(body: bytes) -> bytes:
        return body[2 : 2 + RANDOM_LENGTH]

    @staticmethod
    def session_id_of(body: bytes) -> bytes:
        """Of a body that has one."""
        at = 2 + RANDOM_LENGTH + 1
        return body[at : at + body[at - 1]]

    @staticmethod
    def around_cookie(body: bytes) -> tuple[bytes, bytes, bytes]:
        """What is before the cookie, the cookie, and what is behind it. Raises Fatal when there is no place for one."""
        fields = Fields(body)
        fields.take(2 + RANDOM_LENGTH)
        head = body[: 2 + RANDOM_LENGTH] + vector(1, fields.vector(1))
        cookie = fields.vector(1)
        return head, cookie, body[len(head) + 1 + len(cookie) :]

    def encode(self) -> bytes:
        suites = b"".join(suite.to_bytes(2, "big") for suite in self.suites)
        return b"".join(
            (
                VERSION,
                self.random,
                vector(1, self.session_id),
                vector(1, self.cookie),
                vector(2, suites),
                vector(1, NULL_COMPRESSION),
                _encoded(self.extensions),
            )
        )


class ServerHello(NamedTuple):
    random: bytes
    session_id: bytes
    suite: int
    extensions: Extensions

    @classmethod
    def decode(cls, body: bytes) -> ServerHello:
        """Raises Fatal."""
        fields = Fields(body)
        if fields.take(2) != VERSION:
            raise Fatal(Alert.PROTOCOL_VERSION, "the server speaks no DTLS 1.2")
        random, session_id, suite = fields.take(RANDOM_LENGTH), _session_id(fields), fields.uint(2)
        if fields.take(1) != NULL_COMPRESSION:
            raise Fatal(Alert.ILLEGAL_PARAMETER, "the server wants compression")
        extensions = _extensions(fields)
        fields.end()
        return cls(random, session_id, suite, extensions)

    def encode(self) -> bytes:
        head = VERSION + self.random + vector(1, self.session_id) + self.suite.to_bytes(2, "big")
        return head + NULL_COMPRESSION + _encoded(self.extensions)


def _session_id(fields: Fields) -> bytes:
    session_id = fields.vector(1)
    if len(session_id) > 32:
        raise Fatal(Alert.DECODE_ERROR, "a session id has at most 32 bytes")
    return session_id


def _after_compression(fields: Fields) -> Extensions:
    if 0 not in fields.vector(1):
        raise Fatal(Alert.ILLEGAL_PARAMETER, "the client insists on compression")
    return _extensions(fields)


def _extensions(fields: Fields) -> Extensions:
    if fields.is_at_end:
        return {}
    inner = Fields(fields.vector(2))
    found: dict[int, bytes] = {}
    while not inner.is_at_end:
        number = inner.uint(2)
        if number in found:
            raise Fatal(Alert.DECODE_ERROR, "an extension comes twice")
        found[number] = inner.vector(2)
    return found


def _encoded(extensions: Extensions) -> bytes:
    if not extensions:
        return b""
    return vector(2, b"".join(number.to_bytes(2, "big") + vector(2, data) for number, data in extensions.items()))


def hello_verify_request(cookie: bytes) -> bytes:
    return b"\xfe\xff" + vector(1, cookie)


def cookie_of(body: bytes) -> bytes:
    """Of a HelloVerifyRequest. Raises Fatal."""
    fields = Fields(body)
    fields.take(2)
    cookie = fields.vector(1)
    fields.end()
    return cookie


def certificates(chain: Sequence[bytes]) -> bytes:
    return vector(3, b"".join(vector(3, certificate) for certificate in chain))


def certificates_of(body: bytes) -> tuple[bytes, ...]:
    """Raises Fatal."""
    fields = Fields(body)
    inner, found = Fields(fields.vector(3)), []
    fields.end()
    while not inner.is_at_end:
        found.append(inner.vector(3))
    return tuple(found)


def raw_public_key(spki: bytes) -> bytes:
    return vector(3, spki)


def raw_public_key_of(body: bytes) -> bytes:
    """Empty when the peer has none. Raises Fatal."""
    fields = Fields(body)
    spki = fields.vector(3)
    fields.end()
    return spki


class EcdheParameters(NamedTuple):
    """The server's ephemeral point with its signature."""

    point: bytes
    signature: bytes

    @property
    def signed(self) -> bytes:
        """What the signature goes over, after both randoms."""
        return bytes((NAMED_CURVE,)) + P256.to_bytes(2, "big") + vector(1, self.point)

    def encode(self) -> bytes:
        return self.signed + signature(self.signature)

    @classmethod
    def decode(cls, body: bytes) -> EcdheParameters:
        """Raises Fatal."""
        fields = Fields(body)
        if fields.uint(1) != NAMED_CURVE or fields.uint(2) != P256:
            raise Fatal(Alert.ILLEGAL_PARAMETER, "the server uses another curve than P-256")
        return cls(_uncompressed(fields), _signature_of(fields))


def _uncompressed(fields: Fields) -> bytes:
    point = fields.vector(1)
    if len(point) != POINT_LENGTH or point[0] != UNCOMPRESSED_POINT:
        raise Fatal(Alert.ILLEGAL_PARAMETER, "the peer's ephemeral key is no uncompressed point on P-256")
    return point


def signature(value: bytes) -> bytes:
    """Also the whole CertificateVerify."""
    return ECDSA_SHA256.to_bytes(2, "big") + vector(2, value)


def signature_of(body: bytes) -> bytes:
    """Of a CertificateVerify. Raises Fatal."""
    return _signature_of(Fields(body))


def _signature_of(fields: Fields) -> bytes:
    if fields.uint(2) != ECDSA_SHA256:
        raise Fatal(Alert.ILLEGAL_PARAMETER, "the peer signs with another algorithm than ECDSA with SHA-256")
    value = fields.vector(2)
    fields.end()
    return value


def certificate_request() -> bytes:
    return vector(1, bytes((ECDSA_SIGN,))) + vector(2, ECDSA_SHA256.to_bytes(2, "big")) + vector(2, b"")


def check_certificate_request(body: bytes) -> None:
    """Raises Fatal when what we can do is not asked for."""
    fields = Fields(body)
    types, algorithms = fields.vector(1), uint16_list(fields.vector(2))
    fields.vector(2)
    fields.end()
    if ECDSA_SIGN not in types or ECDSA_SHA256 not in algorithms:
        raise Fatal(Alert.HANDSHAKE_FAILURE, "the server takes no ECDSA certificate with SHA-256")


def check_psk_hint(body: bytes) -> None:
    """The hint is for nothing: a client has one key for each server. Raises Fatal."""
    fields = Fields(body)
    fields.vector(2)
    fields.end()


def psk_key_exchange(identity: bytes) -> bytes:
    return vector(2, identity)


def psk_identity_of(body: bytes) -> bytes:
    """Raises Fatal."""
    fields = Fields(body)
    identity = fields.vector(2)
    fields.end()
    return identity


def ecdhe_key_exchange(point: bytes) -> bytes:
    return vector(1, point)


def ecdhe_point_of(body: bytes) -> bytes:
    """Raises Fatal."""
    fields = Fields(body)
    point = _uncompressed(fields)
    fields.end()
    return point


def ocsp_response(response: bytes) -> bytes:
    return bytes((OCSP,)) + vector(3, response)


def ocsp_response_of(body: bytes) -> bytes:
    """Of a CertificateStatus, RFC 6066 §8. Raises Fatal."""
    fields = Fields(body)
    if fields.uint(1) != OCSP:
        raise Fatal(Alert.DECODE_ERROR, "a certificate status of an unknown kind")
    response = fields.vector(3)
    fields.end()
    return response
