"""What lengths the values of options may have."""

from __future__ import annotations

LENGTHS: dict[int, tuple[int, int]] = {
    1: (0, 8),
    3: (1, 255),
    4: (1, 8),
    5: (0, 0),
    6: (0, 3),
    7: (0, 2),
    8: (0, 255),
    11: (0, 255),
    12: (0, 2),
    14: (0, 4),
    15: (0, 255),
    17: (0, 2),
    20: (0, 255),
    23: (0, 3),
    27: (0, 3),
    28: (0, 4),
    35: (1, 1034),
    39: (1, 255),
    60: (0, 4),
    252: (1, 40),
    258: (0, 1),
    292: (0, 8),
}
"""Shortest and longest value by option number: RFC 7252 §5.10, 7641, 7959, 7967, 9175. Others may have any length."""

PAYLOAD_MARKER = 0xFF
LARGEST_NUMBER = 0xFFFF
