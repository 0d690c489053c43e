"""Inputs from valid ones: damaged, cut, doubled, spliced, nested, with other lengths. The same seed makes the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeAlias

from tests.fuzz.target import Target

MAX_INPUT = 64 * 1024
MAX_CORPUS = 512
A_LARGE_ONE_IN = 200

BOUNDARIES = (0x00, 0x01, 0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0x7F, 0x80, 0xFE, 0xFF)
WIDE_BOUNDARIES = (0, 1, 12, 13, 268, 269, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF)
BRACKETS = ((b"[", b"]"), (b'{"a":', b"}"), (b"\x81", b""), (b"\xc6", b""), (b"\x5f", b"\xff"), (b"<a>", b"</a>"))
STRANGE_TEXTS = ("é", "\ud7ff", "😀", "\u202e", "\0", "\x7f", "\u2028", "１", "²")

Mutation: TypeAlias = Callable[[Random, bytes], bytes]


def _range(random: Random, data: bytes) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + random.choice((1, 2, 4, 8, 32, 256)))


def flip_a_bit(random: Random, data: bytes) -> bytes:
    if not data:
        return data
    changed = bytearray(data)
    changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(changed)


def put_a_byte(random: Random, data: bytes) -> bytes:
    if not data:
        return data
    changed = bytearray(data)
    changed[random.randrange(len(data))] = random.randrange(256)
    return bytes(changed)


def put_a_boundary(random: Random, data: bytes) -> bytes:
    """Where a length stands, as likely as not."""
    if not data:
        return data
    changed, at = bytearray(data), random.randrange(len(data))
    if random.random() < 0.5:
        changed[at] = random.choice(BOUNDARIES)
    else:
        changed[at : at + 2] = random.choice(WIDE_BOUNDARIES).to_bytes(2, "big")
    return bytes(changed)


def shift_a_byte(random: Random, data: bytes) -> bytes:
    """A length that is off by a few."""
    if not data:
        return data
    changed, at = bytearray(data), random.randrange(len(data))
    changed[at] = (changed[at] + random.choice((-2, -1, 1, 2))) & 0xFF
    return bytes(changed)


def cut_short(random: Random, data: bytes) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def cut_out(random: Random, data: bytes) -> bytes:
    start, end = _range(random, data)
    return data[:start] + data[end:]


def double(random: Random, data: bytes) -> bytes:
    start, end = _range(random, data)
    return data[:end] + data[start:end] * random.choice((1, 1, 2, 15)) + data[end:]


def move(random: Random, data: bytes) -> bytes:
    start, end = _range(random, data)
    rest = data[:start] + data[end:]
    at = random.randrange(len(rest) + 1)
    return rest[:at] + data[start:end] + rest[at:]


def insert_bytes(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.randbytes(random.choice((1, 2, 4, 16))) + data[at:]


def insert_text(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice(STRANGE_TEXTS).encode() + data[at:]


def put_a_number(random: Random, data: bytes) -> bytes:
    """In place of digits, where there are some."""
    digits = [at for at, byte in enumerate(data[:4096]) if byte in b"0123456789"]
    at = random.choice(digits) if digits else random.randrange(len(data) + 1)
    return data[:at] + _number(random) + data[at + 1 :]


def nest(random: Random, data: bytes) -> bytes:
    before, after = random.choice(BRACKETS)
    depth = random.choice((2, 17, 65, 1000, 20_000))
    start, end = _range(random, data)
    return data[:start] + before * depth + data[start:end] + after * depth + data[end:]


def blow_up(random: Random, data: bytes) -> bytes:
    start, end = _range(random, data)
    piece = data[start:end] or b"0"
    return data[:end] + piece * (random.randrange(MAX_INPUT) // len(piece)) + data[end:]


def _number(random: Random) -> bytes:
    kind = random.randrange(7)
    if kind < 2:
        edge = 1 << random.choice((7, 8, 15, 16, 31, 32, 53, 63, 64, 128, 1024))
        return str(random.choice((-1, 1)) * edge + random.randrange(-2, 3)).encode()
    if kind == 2:
        return b"%d.%d" % (random.randrange(1000), random.randrange(10**9))
    if kind == 3:
        return b"1e%d" % random.choice((-400, -324, 9, 22, 308, 309, 5000))
    return (b"-0", b"00", b"9" * 4400, b"0x10")[kind - 4 if kind < 6 else random.randrange(4)]


SMALL: tuple[Mutation, ...] = (
    flip_a_bit,
    put_a_byte,
    put_a_boundary,
    shift_a_byte,
    cut_short,
    cut_out,
    double,
    move,
    insert_bytes,
    insert_text,
    put_a_number,
)
LARGE: tuple[Mutation, ...] = (nest, blow_up)


class Inputs:
    """The inputs of one target, without end."""

    def __init__(self, target: Target, seed: str) -> None:
        self._random = Random(seed)
        self._target = target
        self._corpus: list[bytes] = list(target.seeds)
        self._next_seed = 0

    def next(self) -> bytes:
        """The seeds come first, as they are."""
        if self._next_seed < len(self._target.seeds):
            self._next_seed += 1
            return self._target.seeds[self._next_seed - 1]
        kind = self._random.random()
        if kind < 0.05:
            return self._random.randbytes(self._random.choice((1, 2, 4, 8, 16, 40, 200)))
        if self._target.grammar is not None and kind < 0.35:
            made = self._target.grammar(self._random)
            return made if kind < 0.2 else self._mutated(made)[:MAX_INPUT]
        chosen = self._random.choice(self._corpus) if self._corpus else b""
        if self._target.reshape is not None and self._random.random() < 0.6:
            for _ in range(self._random.choice((1, 1, 2, 4))):
                chosen = self._target.reshape(self._random, chosen)
            if kind < 0.9:
                return chosen[:MAX_INPUT]
        return self._mutated(chosen)[:MAX_INPUT]

    def keep(self, data: bytes) -> None:
        """Something new happened: make more of it."""
        if len(data) <= 4096:
            if len(self._corpus) >= MAX_CORPUS:
                del self._corpus[self._random.randrange(len(self._target.seeds), len(self._corpus))]
            self._corpus.append(data)

    def _mutated(self, data: bytes) -> bytes:
        for _ in range(self._random.choice((1, 1, 1, 2, 3, 6))):
            if self._random.random() < 0.2:
                data = self._with_a_word(data)
            elif self._random.random() < 0.1:
                data = self._spliced(data)
            else:
                data = self._random.choice(SMALL)(self._random, data)
        if self._random.randrange(A_LARGE_ONE_IN) == 0:
            data = self._random.choice(LARGE)(self._random, data)
        return data

    def _with_a_word(self, data: bytes) -> bytes:
        """Put between, or in place of what is there."""
        words: Sequence[bytes] = self._target.words
        if not words:
            return put_a_boundary(self._random, data)
        word, at = self._random.choice(words), self._random.randrange(len(data) + 1)
        return data[:at] + word + data[at + self._random.choice((0, 1, len(word))) :]

    def _spliced(self, data: bytes) -> bytes:
        other = self._random.choice(self._corpus) if self._corpus else data
        return data[: self._random.randrange(len(data) + 1)] + other[self._random.randrange(len(other) + 1) :]
