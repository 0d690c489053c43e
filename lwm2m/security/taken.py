"""Whose certificates were taken, so that those who lose theirs later can be put out. lwm2m.md §9.7. No IO."""

from __future__ import annotations

from collections import OrderedDict

from lwm2m.security.certificate_status import Revocation
from lwm2m.security.certificates import fingerprint
from lwm2m.security.paths import Path

MOST_PATHS = 100_000


class TakenPaths:
    """The paths of certificates that a check has taken, by the identity that they stand for; the latest `MOST_PATHS`.
    Nothing is kept where revocation is not checked."""

    def __init__(self) -> None:
        self._paths: OrderedDict[tuple[str, str], Path] = OrderedDict()

    def keep(self, identity: str, path: Path, revocation: Revocation) -> None:
        if not revocation.is_checked:
            return
        key = identity, fingerprint(path[0])
        self._paths[key] = path
        self._paths.move_to_end(key)
        if len(self._paths) > MOST_PATHS:
            self._paths.popitem(last=False)

    def revoked(self, revocation: Revocation, wall: float | None) -> set[str]:
        """The identities that were taken with a certificate that would be refused today, because it was revoked since;
        once for each certificate, so that the next one of the same name is left alone. What is not known today, as when
        a list is out of date, changes nothing. Safe to call in a thread."""
        found = [key for key, path in list(self._paths.items()) if revocation.is_revoked(path, wall)]
        for key in found:
            self._paths.pop(key, None)
        return {identity for identity, _ in found}
