"""What follows from the alert of a TLS or DTLS server, for the client and for people. lwm2m.md §9.6. No IO."""

from __future__ import annotations

from lwm2m.client.security import UnusableSecurity
from lwm2m.coap.endpoint import TimedOut
from lwm2m.coap.links.dtls_association import Association
from lwm2m.coap.links.dtls_link import HandshakeFailed
from lwm2m.coap.message import Peer
from lwm2m.coap.streams.tls_settings import Unfit
from lwm2m.dtls.alerts import Alert

FINAL = frozenset((*range(42, 47), 48, 49, *range(112, 117), 120))
"""Trying again is of no use until somebody changes the credentials."""
IGNORED = frozenset((30, 41, 60, 110))
"""They say nothing of us: no more than that it did not work."""

_FIXES: dict[int, str] = {
    Alert.BAD_RECORD_MAC: "compare the pre-shared key here with the server's",
    Alert.HANDSHAKE_FAILURE: "nothing suits both: compare mode, suites and keys with the server's; its log says more",
    Alert.BAD_CERTIFICATE: "it does not take our certificate or key: let it be known to the server",
    Alert.UNSUPPORTED_CERTIFICATE: "it does not take this kind of certificate: use another, or another security mode",
    Alert.CERTIFICATE_REVOKED: "our certificate was revoked: get a new one",
    Alert.CERTIFICATE_EXPIRED: "our certificate has expired, or a clock is wrong: get a new one, or set the clocks",
    Alert.CERTIFICATE_UNKNOWN: "it does not know our certificate or key: add it at the server",
    Alert.UNKNOWN_CA: "it does not trust who signed our certificate: add that authority at the server",
    Alert.ACCESS_DENIED: "it knows us and does not let us in: permit it at the server",
    Alert.DECRYPT_ERROR: "compare the keys here with those at the server",
    Alert.PROTOCOL_VERSION: "it does not speak the same version: it has to do DTLS 1.2, or TLS 1.2",
    Alert.INSUFFICIENT_SECURITY: "it wants other cipher suites: choose from those that it has",
    Alert.INTERNAL_ERROR: "something is wrong there: look at the log of the server",
    Alert.UNRECOGNIZED_NAME: "it does not know itself by this name: correct the URI, or the SNI in /0/x/14",
    Alert.CERTIFICATE_REQUIRED: "it wants to see a certificate: use the security mode 2 (certificate)",
    Alert.NO_APPLICATION_PROTOCOL: "it does not speak CoAP there: correct the port in the URI",
    Alert.UNKNOWN_PSK_IDENTITY: "it does not know our PSK identity: add it at the server, or correct it here",
}


def is_final(error: Exception) -> bool:
    """Whether trying again changes nothing."""
    return isinstance(error, (UnusableSecurity, Unfit)) or (isinstance(error, HandshakeFailed) and error.alert in FINAL)


def heard(error: Exception) -> int | None:
    """The alert that the server sent, for /1/x/11."""
    if not isinstance(error, HandshakeFailed) or not error.by_peer or error.alert in IGNORED:
        return None
    return error.alert


def heard_at_the_end(peer: Peer) -> int | None:
    """The alert that the server ended an association with, None as well for a mere good-bye."""
    closed = peer.association.closed if isinstance(peer.association, Association) else None
    if closed is None or not closed.by_peer or closed.alert in (Alert.CLOSE_NOTIFY, *IGNORED):
        return None
    return closed.alert


def begins_anew(peer: Peer) -> bool:
    """Whether its session is not one that we had before."""
    return isinstance(peer.association, Association) and not peer.association.is_resumed


def reason(error: Exception) -> str:
    """Why it did not work; where that was for lack of a secure session, in a sentence that ends with what to do."""
    if isinstance(error, OSError) and error.strerror and error.filename is None:
        return error.strerror
    if not isinstance(error, HandshakeFailed):
        return str(error) or ("no answer" if isinstance(error, TimedOut) else type(error).__name__)
    if error.alert is None:
        return f"{error}; is a server with DTLS there, and has it the same key?"
    fix = _FIXES.get(error.alert) if error.by_peer else None
    return str(error) if fix is None else f"{error}; {fix}"
