"""Which servers a client registers with, in which order, and when all of that has failed. No IO.

Servers with a priority come one after another, the lowest first; those without one come afterwards, all at once.
Core 1.1.1 §6.2.1.2; lwm2m.md §5.7.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple, TypeAlias


class Turn(NamedTuple):
    """What object 1 says of a server: Registration Priority Order, Registration Failure Block, Bootstrap on
    Registration Failure."""

    short_server_id: int
    priority: int | None = None
    blocks: bool = False
    bootstraps: bool = True


@dataclass(frozen=True, slots=True)
class Begin:
    """Register with this server."""

    short_server_id: int


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """No server is left to try, and bootstrap is wanted then."""


OrderAction: TypeAlias = Begin | Bootstrap


class RegistrationOrder:
    def __init__(self) -> None:
        self._turns: dict[int, Turn] = {}
        self._waiting: list[list[Turn]] = []
        self._trying: set[int] = set()
        self._failed: set[int] = set()

    def begin(self, turns: Iterable[Turn]) -> tuple[OrderAction, ...]:
        """From the start, whatever was before."""
        self._turns = {turn.short_server_id: turn for turn in turns}
        self._waiting = _in_order(self._turns.values())
        self._trying.clear()
        self._failed.clear()
        return self._next()

    def join(self, turn: Turn) -> tuple[OrderAction, ...]:
        """A server that came later waits for nobody."""
        self._turns[turn.short_server_id] = turn
        self._trying.add(turn.short_server_id)
        return (Begin(turn.short_server_id),)

    def registered(self, short_server_id: int) -> tuple[OrderAction, ...]:
        self._failed.discard(short_server_id)
        return self._settle(short_server_id)

    def failed(self, short_server_id: int) -> tuple[OrderAction, ...]:
        """All tries and sequences of it are used up, before it was registered or after."""
        turn = self._turns.get(short_server_id)
        if turn is None:
            return ()
        self._failed.add(short_server_id)
        if turn.blocks:
            self._waiting.clear()
            self._trying.discard(short_server_id)
            return (Bootstrap(),) if turn.bootstraps else ()
        following = self._settle(short_server_id)
        if following or not self._all_failed():
            return following
        return (Bootstrap(),) if any(turn.bootstraps for turn in self._turns.values()) else ()

    def gone(self, short_server_id: int) -> tuple[OrderAction, ...]:
        """The account was removed."""
        self._turns.pop(short_server_id, None)
        self._failed.discard(short_server_id)
        self._waiting = [kept for group in self._waiting if (kept := _without(group, short_server_id))]
        return self._settle(short_server_id)

    def _settle(self, short_server_id: int) -> tuple[OrderAction, ...]:
        if short_server_id not in self._trying:
            return ()
        self._trying.discard(short_server_id)
        return () if self._trying else self._next()

    def _next(self) -> tuple[OrderAction, ...]:
        if not self._waiting:
            return ()
        group = self._waiting.pop(0)
        self._trying = {turn.short_server_id for turn in group}
        return tuple(Begin(turn.short_server_id) for turn in group)

    def _all_failed(self) -> bool:
        return self._failed >= self._turns.keys()


def _in_order(turns: Iterable[Turn]) -> list[list[Turn]]:
    """Groups of servers to be tried at once."""
    ordered = sorted(turns, key=lambda turn: (turn.priority is None, turn.priority or 0, turn.short_server_id))
    groups = groupby(ordered, key=lambda turn: None if turn.priority is None else turn.short_server_id)
    return [list(group) for _, group in groups]


def _without(group: list[Turn], short_server_id: int) -> list[Turn]:
    return [turn for turn in group if turn.short_server_id != short_server_id]
