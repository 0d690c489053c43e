"""What a device says of itself in its CONNECT: the will that is no will but a registration. osap.md §6.1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from osap_bridge.osap.crypto import cbc_decrypt, cbc_encrypt
from osap_bridge.osap.message import MalformedMessage, from_json, to_json
from osap_bridge.osap.packets import Connect

WORKING = 1
STAND_BY = 5


@dataclass(frozen=True, slots=True)
class DeviceInformation:
    """The will of a full registration. `sdk_versions` are module versions by v2 domain number."""

    serial: str
    dev_id: str
    device_type: str
    firmware: str = ""
    display_type: str = ""
    mac: str = ""
    status: int = WORKING
    lbs_domain: str = ""
    sdk_versions: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> bytes:
        return to_json(
            {
                "DevSerial": "",
                "SubSerial": self.serial,
                "FirmwareVersion": self.firmware,
                "DevType": self.device_type,
                "DevTypeDisplay": self.display_type,
                "MAC": self.mac,
                "Status": self.status,
                "FirmwareIdentificationCode": "",
                "LbsDomain": self.lbs_domain,
                "RegMode": 1,
                "SDKMainVersion": "",
                "DeviceID": self.dev_id,
                "SDKVersion": dict(self.sdk_versions),
            }
        )


@dataclass(frozen=True, slots=True)
class LightRegistration:
    """The will of a registration after a break."""

    serial: str
    dev_id: str

    def to_json(self) -> bytes:
        return to_json({"SubSerial": self.serial, "DeviceID": self.dev_id})


def connect(
    registration: DeviceInformation | LightRegistration,
    session_key: bytes,
    *,
    keep_alive: int = 30,
    first: bool = True,
    padded: bool = True,
) -> Connect:
    """`first`: the first session since the device started. `padded`: the will topic as real devices send it."""
    full = isinstance(registration, DeviceInformation)
    occasion = "firstconnect" if full and first else "breakconnect"
    return Connect(
        user_name=registration.serial,
        will_topic=f"/Basic/pu2cenplt/{registration.serial}/{occasion}",
        will_message=cbc_encrypt(session_key, registration.to_json()),
        clean_session=full,
        keep_alive=keep_alive,
        padded=padded,
    )


def read_registration(packet: Connect, session_key: bytes) -> DeviceInformation | LightRegistration:
    """Raises crypto.DecryptionFailed and MalformedMessage."""
    content = from_json(cbc_decrypt(session_key, packet.will_message))
    if not isinstance(content, dict):
        raise MalformedMessage("a registration that is not an object")
    serial, dev_id = _text(content, "SubSerial"), _text(content, "DeviceID")
    if not packet.clean_session:
        return LightRegistration(serial, dev_id)
    status = content.get("Status", WORKING)
    versions = content.get("SDKVersion", {})
    return DeviceInformation(
        serial,
        dev_id,
        _text(content, "DevType"),
        _text(content, "FirmwareVersion", ""),
        _text(content, "DevTypeDisplay", ""),
        _text(content, "MAC", ""),
        status if isinstance(status, int) else WORKING,
        _text(content, "LbsDomain", ""),
        {str(domain): str(version) for domain, version in versions.items()} if isinstance(versions, dict) else {},
    )


def _text(content: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = content.get(name, default)
    if not isinstance(value, str):
        raise MalformedMessage(f"a registration without a text {name}")
    return value
