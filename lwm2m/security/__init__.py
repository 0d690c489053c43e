"""Keys, certificates, and who may show what: the values and checks that servers and clients are given."""

from lwm2m.security.certificate_status import Revocation, RevocationPolicy
from lwm2m.security.credentials import PreSharedKey, SigningKey
from lwm2m.security.credentials_file import read_credentials
from lwm2m.security.info import CertificateName, ClientCredentials, OscoreSecurity, PublicKey, SecurityInfo
from lwm2m.security.issuing import Authority, Issued, new_authority
from lwm2m.security.paths import TrustStore
from lwm2m.security.pki import ClientCheck
from lwm2m.security.private_files import file_stem, open_to_others
from lwm2m.security.revoking import Revoking
from lwm2m.security.sequence_numbers import MemoryNumbers, SequenceNumbers
from lwm2m.security.serving import OwnCredentials, own_credentials, trusted
from lwm2m.security.sqlite_numbers import SqliteNumbers
from lwm2m.security.store import MemorySecurity, SecurityStore
from lwm2m.toml_lines import SettingsError

__all__ = [
    "Authority",
    "CertificateName",
    "ClientCheck",
    "ClientCredentials",
    "Issued",
    "MemoryNumbers",
    "MemorySecurity",
    "OscoreSecurity",
    "OwnCredentials",
    "PreSharedKey",
    "PublicKey",
    "Revocation",
    "RevocationPolicy",
    "Revoking",
    "SecurityInfo",
    "SecurityStore",
    "SequenceNumbers",
    "SettingsError",
    "SigningKey",
    "SqliteNumbers",
    "TrustStore",
    "file_stem",
    "new_authority",
    "open_to_others",
    "own_credentials",
    "read_credentials",
    "trusted",
]
