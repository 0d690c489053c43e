"""The content formats of LwM2M 1.1. Core 1.1.1 §7.4."""

from enum import IntEnum


class ContentFormat(IntEnum):
    TEXT = 0
    LINK = 40
    OPAQUE = 42
    CBOR = 60
    SENML_JSON = 110
    SENML_CBOR = 112
    TLV = 11542
    OMA_JSON = 11543
