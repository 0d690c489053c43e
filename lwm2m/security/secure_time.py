"""What time it is for certificates, where the device's own clock cannot be trusted. lwm2m.md §9.4, §9.7. No IO: `now`
is in monotonic seconds, times of day in seconds since 1970."""

from __future__ import annotations

from dataclasses import dataclass, field

BUILD_DATE = 1_795_305_600.0
"""2026-11-22: no device runs this earlier, so a clock that says so is wrong. Moves with every release."""


JITTER = 60.0
"""Seconds by which a time may be earlier than the known one without being wrong: then the known one stays."""


@dataclass(frozen=True, slots=True)
class SecureTime:
    """A clock that somebody trusted has set, and that never runs backwards: a server that writes /3/0/13 over an
    association in which both ends have shown who they are, or the platform where that can be relied on."""

    earliest: float = BUILD_DATE
    _told: float | None = field(default=None, repr=False)
    _at: float = field(default=0.0, repr=False)

    def wall(self, now: float) -> float | None:
        """None until it was set."""
        return None if self._told is None else self._told + now - self._at

    def told(self, wall: float, now: float) -> SecureTime:
        """This clock, set. Raises ValueError with a sentence for a time that cannot be."""
        if wall < self.earliest:
            raise ValueError(
                "the time is earlier than this program was made: it is not taken as the time for certificates"
            )
        known = self.wall(now)
        if known is not None and known - JITTER <= wall <= known:
            return self
        if known is not None and wall < known:
            raise ValueError(
                f"the time is {known - wall:.0f} s earlier than what was known: the time for certificates never runs "
                "backwards"
            )
        return SecureTime(self.earliest, wall, now)
