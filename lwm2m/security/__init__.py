"""Keys, certificates, and who may show what: the values and checks that servers and clients are given."""

from lwm2m.security.credentials import PreSharedKey
from lwm2m.security.info import CertificateName, OscoreSecurity, PublicKey, SecurityInfo
from lwm2m.security.issuing import Authority, Issued, new_authority
from lwm2m.security.pki import ClientCheck
from lwm2m.security.sequence_numbers import MemoryNumbers, SequenceNumbers
from lwm2m.security.serving import OwnCredentials, own_credentials, trusted
from lwm2m.security.store import MemorySecurity, SecurityStore

__all__ = [
    "Authority",
    "CertificateName",
    "ClientCheck",
    "Issued",
    "MemoryNumbers",
    "MemorySecurity",
    "OscoreSecurity",
    "OwnCredentials",
    "PreSharedKey",
    "PublicKey",
    "SecurityInfo",
    "SecurityStore",
    "SequenceNumbers",
    "new_authority",
    "own_credentials",
    "trusted",
]
