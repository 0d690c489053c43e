"""Why TLS failed, out of what OpenSSL says of it: the alert that was sent or came, and a sentence for people. No IO."""

from __future__ import annotations

import re
import ssl

from lwm2m.dtls.alerts import Alert, alert_name
from lwm2m.dtls.connection import Closed

_HEARD = re.compile(r"\](?: \w+)? (?:sslv3|tlsv1|tlsv13) (?:alert )?([a-z ]+?) \(")
_UNTRUSTED = "the peer's certificate leads to nobody who is trusted here: add its authority to the trusted certificates"
_CERTIFICATE_FAULTS: dict[int, tuple[Alert, str]] = {
    2: (Alert.UNKNOWN_CA, _UNTRUSTED),
    18: (Alert.UNKNOWN_CA, _UNTRUSTED),
    19: (Alert.UNKNOWN_CA, _UNTRUSTED),
    20: (Alert.UNKNOWN_CA, _UNTRUSTED),
    21: (Alert.UNKNOWN_CA, _UNTRUSTED),
    7: (Alert.BAD_CERTIFICATE, "the signature of the peer's certificate is wrong: it was changed, or is of another CA"),
    9: (Alert.BAD_CERTIFICATE, "the peer's certificate is not valid yet: check the clocks"),
    10: (Alert.CERTIFICATE_EXPIRED, "the peer's certificate has expired: issue a new one"),
    23: (Alert.CERTIFICATE_REVOKED, "the peer's certificate was revoked: issue a new one"),
    24: (Alert.UNKNOWN_CA, "a certificate that signs the peer's is no authority's (basicConstraints)"),
    26: (Alert.UNSUPPORTED_CERTIFICATE, "the peer's certificate is not for this use: look at its extended key usage"),
}
"""By the codes of X509_verify_cert, with the alert that OpenSSL sends."""
_FAULTS: dict[str, tuple[Alert, str]] = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": (
        Alert.CERTIFICATE_REQUIRED,
        "the client shows no certificate: give it one, with its private key",
    ),
    "UNSUPPORTED_PROTOCOL": (Alert.PROTOCOL_VERSION, "the peer speaks neither TLS 1.2 nor TLS 1.3"),
    "NO_SHARED_CIPHER": (Alert.HANDSHAKE_FAILURE, "the peer has no cipher suite for the credentials that are here"),
    "NO_SUITABLE_SIGNATURE_ALGORITHM": (
        Alert.HANDSHAKE_FAILURE,
        "the peer takes no signature of the credentials that are here",
    ),
    "NO_SUITABLE_KEY_SHARE": (Alert.HANDSHAKE_FAILURE, "the peer knows none of the curves that are used here"),
    "PSK_IDENTITY_NOT_FOUND": (Alert.UNKNOWN_PSK_IDENTITY, "the client does not say whose pre-shared key it has"),
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC": (Alert.BAD_RECORD_MAC, "a record of the peer is not authentic"),
    "WRONG_VERSION_NUMBER": (Alert.PROTOCOL_VERSION, "the peer does not speak TLS"),
    "HTTP_REQUEST": (Alert.PROTOCOL_VERSION, "the peer does not speak TLS but HTTP"),
}
_KEY_FAULTS: dict[str, tuple[Alert, str]] = {
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC": (
        Alert.BAD_RECORD_MAC,
        "the peer's Finished cannot be read, the two keys are not the same: compare them on both sides",
    ),
}
"""The same in a handshake with a pre-shared key."""
_NUMBERS = {alert_name(alert): alert for alert in Alert}


class TlsFailed(Exception):
    """The connection cannot go on."""

    def __init__(self, closed: Closed) -> None:
        super().__init__(closed.reason)
        self.closed = closed


def failure(error: ssl.SSLError, *, has_key: bool = False) -> TlsFailed:
    """`has_key`: while hands are shaken with a pre-shared key."""
    heard = _HEARD.search(str(error))
    if heard is not None and heard[1] in _NUMBERS:
        return TlsFailed(Closed(int(_NUMBERS[heard[1]]), f"the peer says: {heard[1]}", by_peer=True))
    if isinstance(error, ssl.SSLCertVerificationError):
        alert, sentence = _CERTIFICATE_FAULTS.get(
            error.verify_code, (Alert.CERTIFICATE_UNKNOWN, f"the peer's certificate is no good: {error.verify_message}")
        )
    else:
        unknown = Alert.INTERNAL_ERROR, f"TLS went wrong: {_plain(error)}"
        faults = {**_FAULTS, **_KEY_FAULTS} if has_key else _FAULTS
        alert, sentence = faults.get(error.reason or "", unknown)
    return TlsFailed(Closed(alert, sentence, by_peer=False))


def _plain(error: ssl.SSLError) -> str:
    return (error.reason or "without a reason").replace("_", " ").lower()
