"""Which of two notifications is the newer. RFC 7641 §3.4."""

HALF_OF_24_BITS = 1 << 23
FORGET_AFTER = 128.0


def is_newer(number: int, at: float, than: int, than_at: float) -> bool:
    """The 24-bit numbers wrap; after 128 s the later one counts whatever its number. Times in monotonic seconds."""
    if at > than_at + FORGET_AFTER:
        return True
    ahead = number - than
    return 0 < ahead < HALF_OF_24_BITS or ahead < -HALF_OF_24_BITS
