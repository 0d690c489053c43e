"""What strangers send that is of no use, in the log, but not all of a flood. No IO, `now` is an argument."""

from __future__ import annotations

import logging
from math import inf

PERIOD = 60.0
"""Seconds."""


class Complaints:
    """Lines about who `did` something: the first of each host in a period, `most` of all hosts. The others are counted,
    and the next line says how many there were."""

    __slots__ = ("_did", "_hosts", "_left_out", "_log", "_most", "_until")

    def __init__(self, log: logging.Logger, did: str, most: int) -> None:
        self._log = log
        self._did = did
        self._most = most
        self._hosts: set[str] = set()
        self._until = -inf
        self._left_out = 0

    def tell(self, who: object, host: str, what: object, now: float) -> None:
        """`who` is at this host."""
        hosts = self._hosts
        if now >= self._until:
            self._until = now + PERIOD
            hosts.clear()
        if host in hosts or len(hosts) >= self._most:
            self._left_out += 1
            return
        hosts.add(host)
        left_out, self._left_out = self._left_out, 0
        if left_out:
            self._log.info("%s %s: %s; %d more were left out before", who, self._did, what, left_out)
        else:
            self._log.info("%s %s: %s", who, self._did, what)

    def end(self) -> None:
        """Say what was left out since: no line follows that would."""
        left_out, self._left_out = self._left_out, 0
        if left_out:
            self._log.info("%d more times somebody %s", left_out, self._did)
