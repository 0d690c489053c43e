"""The test vectors of OSCORE: RFC 8613, appendix C.1 to C.8, https://www.rfc-editor.org/rfc/rfc8613#appendix-C"""

from __future__ import annotations

from typing import NamedTuple

SECRET = bytes.fromhex("0102030405060708090a0b0c0d0e0f10")
SALT = bytes.fromhex("9e7ca92223786340")
ID_CONTEXT = bytes.fromhex("37cbf3210017a2d3")
SEQUENCE_NUMBER = 20


class Derived(NamedTuple):
    """Of the client; the server has the same the other way round."""

    salt: bytes
    id_context: bytes | None
    sender_id: bytes
    recipient_id: bytes
    sender_key: str
    recipient_key: str
    common_iv: str


DERIVED = (
    Derived(
        SALT,
        None,
        b"",
        b"\x01",
        "f0910ed7295e6ad4b54fc793154302ff",
        "ffb14e093c94c9cac9471648b4f98710",
        "4622d4dd6d944168eefb54987c",
    ),
    Derived(
        b"",
        None,
        b"\x00",
        b"\x01",
        "321b26943253c7ffb6003b0b64d74041",
        "e57b5635815177cd679ab4bcec9d7dda",
        "be35ae297d2dace910c52e99f9",
    ),
    Derived(
        SALT,
        ID_CONTEXT,
        b"",
        b"\x01",
        "af2a1300a5e95788b356336eeecd2b92",
        "e39a0c7c77b43f03b4b39ab9a268699f",
        "2ca58fb85ff1b81c0b7181b85e",
    ),
)
"""C.1 to C.3."""

REQUESTS = (
    (
        "44015d1f00003974396c6f63616c686f737483747631",
        "44025d1f00003974396c6f63616c686f7374620914ff612f1092f1776f1c1668b3825e",
    ),
    (
        "440171c30000b932396c6f63616c686f737483747631",
        "440271c30000b932396c6f63616c686f737463091400ff4ed339a5a379b0b8bc731fffb0",
    ),
    (
        "44012f8eef9bbf7a396c6f63616c686f737483747631",
        "44022f8eef9bbf7a396c6f63616c686f73746b19140837cbf3210017a2d3ff72cd7273fd331ac45cffbe55c3",
    ),
)
"""C.4 to C.6: plain and protected, with the contexts of C.1 to C.3."""

RESPONSE = "64455d1f00003974ff48656c6c6f20576f726c6421"
PROTECTED_RESPONSE = "64445d1f0000397490ffdbaad1e9a7e7b2a813d3c31524378303cdafae119106"
"""C.7: to the request of C.4."""
NUMBERED_RESPONSE = "64445d1f00003974920100ff4d4c13669384b67354b2b6175ff4b8658c666a6cf88e"
"""C.8: the same with a Partial IV of its own, 0."""
