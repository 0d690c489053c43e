"""Reports that could not be delivered, kept until their observation begins anew. No IO. lwm2m.md §7.8."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from lwm2m.client.observation import Observed
from lwm2m.model.record import Record

MOST_REPORTS = 100
"""Of one server; beyond that the oldest are lost."""


class StoredReports:
    def __init__(self, most: int = MOST_REPORTS) -> None:
        self._reports: deque[tuple[Observed, tuple[Record, ...]]] = deque(maxlen=most)

    def __len__(self) -> int:
        return len(self._reports)

    def keep(self, observed: Observed, records: Iterable[Record]) -> None:
        """The records have the times at which they were true."""
        self._reports.append((observed, tuple(records)))

    def take(self, observed: Observed) -> Sequence[tuple[Record, ...]]:
        """Those of these targets, the oldest first; they are kept no longer."""
        taken = [records for about, records in self._reports if about == observed]
        others = [report for report in self._reports if report[0] != observed]
        self._reports.clear()
        self._reports.extend(others)
        return taken
