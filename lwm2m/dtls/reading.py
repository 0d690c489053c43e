"""Reads the fields of a handshake message, and never beyond its end. RFC 5246 §4."""

from __future__ import annotations

from lwm2m.dtls.alerts import Alert, Fatal


class Fields:
    """Each method takes the next field. Raises Fatal (decode error) when the message is shorter than it says."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._data):
            raise Fatal(Alert.DECODE_ERROR, "a handshake message is shorter than it says")
        field, self._at = self._data[self._at : end], end
        return field

    def uint(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        """A field with its length in `size` bytes before it."""
        return self.take(self.uint(size))

    @property
    def is_at_end(self) -> bool:
        return self._at == len(self._data)

    def end(self) -> None:
        """Raises Fatal when something is left."""
        if not self.is_at_end:
            raise Fatal(Alert.DECODE_ERROR, "a handshake message is longer than it should be")


def vector(size: int, content: bytes) -> bytes:
    """`content` with its length in `size` bytes before it."""
    return len(content).to_bytes(size, "big") + content


def uint16_list(data: bytes) -> tuple[int, ...]:
    """Raises Fatal for an odd length."""
    if len(data) % 2:
        raise Fatal(Alert.DECODE_ERROR, "a list of two-byte values has an odd length")
    return tuple(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
