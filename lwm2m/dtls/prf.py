"""The pseudo-random function and what is derived with it. RFC 5246 §5, §6.3, §8.1; RFC 7627 §4; RFC 4279 §2."""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

MASTER_SECRET_LENGTH = 48
VERIFY_DATA_LENGTH = 12
BLOCK = 64
INNER, OUTER = (bytes(octet ^ pad for octet in range(256)) for pad in (0x36, 0x5C))
"""What HMAC does to each octet of its key. RFC 2104 §2"""


def prf(secret: bytes, label: bytes, seed: bytes, length: int) -> bytes:
    """P_SHA256 over label and seed. Its HMAC has one key for all rounds: the two halves of it are hashed once."""
    seed = label + seed
    key = (sha256(secret).digest() if len(secret) > BLOCK else secret).ljust(BLOCK, b"\0")
    inner, outer = sha256(key.translate(INNER)), sha256(key.translate(OUTER))

    def keyed(data: bytes) -> bytes:
        within, around = inner.copy(), outer.copy()
        within.update(data)
        around.update(within.digest())
        return around.digest()

    output, chained = b"", seed
    while len(output) < length:
        chained = keyed(chained)
        output += keyed(chained + seed)
    return output[:length]


def psk_premaster(key: bytes) -> bytes:
    length = len(key).to_bytes(2, "big")
    return length + bytes(len(key)) + length + key


def extended_master_secret(premaster: bytes, transcript: bytes) -> bytes:
    """`transcript` ends with the ClientKeyExchange."""
    return prf(premaster, b"extended master secret", sha256(transcript).digest(), MASTER_SECRET_LENGTH)


def master_secret(premaster: bytes, client_random: bytes, server_random: bytes) -> bytes:
    """Without the extension: only where the settings allow it."""
    return prf(premaster, b"master secret", client_random + server_random, MASTER_SECRET_LENGTH)


def verify_data(secret: bytes, *, by_client: bool, transcript: bytes) -> bytes:
    label = b"client finished" if by_client else b"server finished"
    return prf(secret, label, sha256(transcript).digest(), VERIFY_DATA_LENGTH)


class KeyBlock(NamedTuple):
    """The keys of both directions; a MAC key and an IV are empty where the cipher has none."""

    client_mac: bytes
    server_mac: bytes
    client_key: bytes
    server_key: bytes
    client_iv: bytes
    server_iv: bytes

    def __repr__(self) -> str:
        return "KeyBlock(...)"


def key_block(secret: bytes, client_random: bytes, server_random: bytes, lengths: tuple[int, int, int]) -> KeyBlock:
    """`lengths` of MAC key, key and IV."""
    block = prf(secret, b"key expansion", server_random + client_random, 2 * sum(lengths))
    parts, at = [], 0
    for length in lengths:
        for _ in range(2):
            parts.append(block[at : at + length])
            at += length
    return KeyBlock(*parts)
