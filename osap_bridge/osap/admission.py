"""Who may connect to the DAS: session keys granted by the LBS against the registration in the CONNECT. osap.md §6.1."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from osap_bridge.osap.crypto import DecryptionFailed
from osap_bridge.osap.directory import SessionGrant
from osap_bridge.osap.message import MalformedMessage
from osap_bridge.osap.packets import ConnackCode, Connect
from osap_bridge.osap.registration import DeviceInformation, read_registration
from osap_bridge.osap.session import Binding


@dataclass(frozen=True, slots=True)
class Admitted:
    """`information` is there for a full registration."""

    serial: str
    binding: Binding
    information: DeviceInformation | None


@dataclass(frozen=True, slots=True)
class Refused:
    code: ConnackCode
    reason: str


class Admission:
    """`session_life` in seconds; 0 is for ever."""

    def __init__(self, session_life: float, black_list: Container[str]) -> None:
        self._session_life = session_life
        self._black_list = black_list
        self._grants: dict[str, SessionGrant] = {}

    def grant(self, grant: SessionGrant) -> None:
        self._grants[grant.serial] = grant

    def revoke(self, serial: str) -> None:
        self._grants.pop(serial, None)

    def knows(self, serial: str) -> bool:
        return serial in self._grants

    def judge(self, connect: Connect, has_session: bool, now: float) -> Admitted | Refused:
        """`has_session`: this serial has registered fully, so there is something to resume. Without it a light
        registration is refused, which makes the device register fully."""
        serial = connect.user_name
        if serial in self._black_list:
            return Refused(ConnackCode.BLACK_LISTED, "it is on the black list")
        grant = self._grants.get(serial)
        if grant is None:
            return _invalid("it has no session key from the LBS")
        expires_at = grant.granted_at + self._session_life if self._session_life else None
        if expires_at is not None and expires_at <= now:
            return _invalid("its session key expired")
        try:
            registration = read_registration(connect, grant.session_key)
        except DecryptionFailed:
            return _invalid("its registration does not decrypt with its session key")
        except MalformedMessage as error:
            return _invalid(f"its registration cannot be read: {error}")
        if (registration.serial, registration.dev_id) != (grant.serial, grant.dev_id):
            return _invalid("its registration names another serial or device ID")
        information = registration if isinstance(registration, DeviceInformation) else None
        if information is None and not has_session:
            return _invalid("there is no session to go on with")
        return Admitted(serial, Binding(grant.session_key, connect.keep_alive, expires_at), information)


def _invalid(reason: str) -> Refused:
    return Refused(ConnackCode.SESSION_INVALID, reason)
