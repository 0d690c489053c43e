"""What an OSAP session asks its shell to do, and what it tells of the device."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from osap_bridge.osap.bodies import Child
from osap_bridge.osap.directory import KeptEvent
from osap_bridge.osap.message import Message, Reply
from osap_bridge.osap.packets import Packet
from osap_bridge.osap.topic import CommandTopic, Topic
from osap_bridge.protocol import Report


@dataclass(frozen=True, slots=True)
class Send:
    packet: Packet


@dataclass(frozen=True, slots=True)
class Respond:
    """A message of the platform, not yet encrypted."""

    topic: Topic | CommandTopic
    message: Message


@dataclass(frozen=True, slots=True)
class Keep:
    """Make the event durable before anything that follows; tell of it unless it is known."""

    event: KeptEvent


@dataclass(frozen=True, slots=True)
class Reported:
    report: Report


@dataclass(frozen=True, slots=True)
class ListedChildren:
    children: tuple[Child, ...]


class Failure(Enum):
    OFFLINE = auto()
    SILENT = auto()


@dataclass(frozen=True, slots=True)
class Answered:
    """The request of that Seq is over."""

    seq: int
    outcome: Reply | Failure


@dataclass(frozen=True, slots=True)
class Close:
    """`orderly`: the device said goodbye. `malformed`: it broke the rules of MQTT."""

    reason: str
    orderly: bool = False
    malformed: bool = False


@dataclass(frozen=True, slots=True)
class Dropped:
    """A message that is not taken further, as a sentence for the log."""

    reason: str


@dataclass(frozen=True, slots=True)
class Noted:
    """A message that is accepted and only logged."""

    text: str


Action: TypeAlias = Send | Respond | Keep | Reported | ListedChildren | Answered | Close | Dropped | Noted
