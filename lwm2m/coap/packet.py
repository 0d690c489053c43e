"""One CoAP message as every transport has it: code, token, options, payload. RFC 7252 §3, RFC 8323 §3. Kind, number and
framing are the transport's own. No IO."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

Options = Mapping[int, tuple[bytes, ...]]
"""Values by option number, repeated ones in their order."""

URI_HOST, ETAG, OBSERVE, URI_PORT, LOCATION_PATH, URI_PATH, CONTENT_FORMAT = 3, 4, 6, 7, 8, 11, 12
MAX_AGE, URI_QUERY, ACCEPT, BLOCK2, BLOCK1, SIZE2, PROXY_URI, PROXY_SCHEME = 14, 15, 17, 23, 27, 28, 35, 39
SIZE1, ECHO, NO_RESPONSE, REQUEST_TAG = 60, 252, 258, 292


class Packet(NamedTuple):
    code: int
    token: bytes = b""
    options: Options = MappingProxyType({})
    payload: bytes = b""

    @property
    def is_request(self) -> bool:
        return 0 < self.code < 0x20

    def uint(self, option: int) -> int | None:
        """An option that is a number, None where it is absent. RFC 7252 §3.2"""
        values = self.options.get(option)
        return int.from_bytes(values[0], "big") if values else None


def uint_value(number: int) -> bytes:
    """As short as it goes; zero is empty."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
