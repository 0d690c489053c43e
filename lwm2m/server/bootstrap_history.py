"""The sessions that a bootstrap server remembers: the newest of each endpoint, and what it refused."""

from __future__ import annotations

from collections import OrderedDict, deque

from lwm2m.server.bootstrap_log import SessionLog
from lwm2m.server.bootstrap_session import BootstrapSession


class History:
    """Refused requests have a place of their own: strangers cannot push out what happened to devices."""

    def __init__(self, max_endpoints: int, max_per_endpoint: int, max_refused: int) -> None:
        self._max_endpoints = max_endpoints
        self._max_per_endpoint = max_per_endpoint
        self._sessions: OrderedDict[str, deque[BootstrapSession]] = OrderedDict()
        self._refused: deque[SessionLog] = deque(maxlen=max_refused)

    def add(self, session: BootstrapSession) -> None:
        kept = self._sessions.setdefault(session.endpoint, deque(maxlen=self._max_per_endpoint))
        kept.append(session)
        self._sessions.move_to_end(session.endpoint)
        if len(self._sessions) > self._max_endpoints:
            self._sessions.popitem(last=False)

    def refuse(self, log: SessionLog) -> None:
        self._refused.append(log)

    def all(self) -> list[SessionLog]:
        """The oldest first."""
        logs = [session.log for sessions in self._sessions.values() for session in sessions]
        return sorted([*logs, *self._refused], key=_number)

    def of(self, endpoint: str) -> list[SessionLog]:
        logs = [session.log for session in self._sessions.get(endpoint, ())]
        return sorted([*logs, *(log for log in self._refused if log.endpoint == endpoint)], key=_number)


def _number(log: SessionLog) -> int:
    return log.number
