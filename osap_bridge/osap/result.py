"""The result byte of the LBS's messages. osap.md §2.4"""

from __future__ import annotations

from enum import IntEnum


class Result(IntEnum):
    SUCCESS = 0
    WRONG_CODE = 1
    WRONG_ORDER = 2
    INVALID_DATA = 3
    WRONG_DEV_ID = 4
    UNKNOWN_SERIAL = 5
    STORAGE_ERROR = 6
    DECRYPTION_FAILED = 7
    ENCRYPTION_FAILED = 8
    NO_DAS = 9
    MASTER_KEY_INVALID = 10
    STUN_SESSION_KEY = 11
    STUN_WRONG_FLOW = 12
    DAS_WRONG_FLOW = 13
    HMAC_MISMATCH = 14
    KEY_GENERATION_FAILED = 15
    ECDH_FAILED = 16
    ECDH_WRONG_SIGNATURE = 17
    SESSION_KEY_MISMATCH = 18
    WRONG_SIGNATURE = 19


_EXPLANATIONS = {
    Result.SUCCESS: "success",
    Result.WRONG_CODE: "the verification code is not the one of this serial",
    Result.WRONG_ORDER: "a message out of order",
    Result.INVALID_DATA: "a malformed message",
    Result.WRONG_DEV_ID: "the dev_id is not the one on record",
    Result.UNKNOWN_SERIAL: "an unknown serial",
    Result.STORAGE_ERROR: "the platform could not store the keys",
    Result.DECRYPTION_FAILED: "the platform could not decrypt a message",
    Result.ENCRYPTION_FAILED: "the platform could not encrypt a message",
    Result.NO_DAS: "no DAS is available",
    Result.MASTER_KEY_INVALID: "the master key is no longer valid",
    Result.STUN_SESSION_KEY: "STUN: another session key",
    Result.STUN_WRONG_FLOW: "STUN: the wrong flow",
    Result.DAS_WRONG_FLOW: "DAS: the wrong flow",
    Result.HMAC_MISMATCH: "an HMAC does not match",
    Result.KEY_GENERATION_FAILED: "no key could be generated",
    Result.ECDH_FAILED: "the public key is not a point of the curve",
    Result.ECDH_WRONG_SIGNATURE: "the signature of the key agreement is wrong",
    Result.SESSION_KEY_MISMATCH: "the check of the session key failed",
    Result.WRONG_SIGNATURE: "the signature is wrong",
}


def explain(code: int) -> str:
    """What a person is told, for unknown codes too."""
    try:
        return _EXPLANATIONS[Result(code)]
    except ValueError:
        return "a result that has no name"
