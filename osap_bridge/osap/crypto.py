"""The algorithms of OSAP as its devices use them, fixed nonce and IV included. osap.md §3; its §10 says how weak."""

from __future__ import annotations

import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

KEY_LENGTH = 16
TAG_LENGTH = 16
SIGNATURE_LENGTH = 48
POINT_LENGTH = 97

_SALT = b"www.88075998.com"
_GCM_NONCE = b"012345" + bytes(6)
_CBC_IV = b"01234567" + bytes(8)
_BLOCK = 16

PrivateKey = ec.EllipticCurvePrivateKey


class DecryptionFailed(ValueError):
    """The key does not open this, or it was damaged. Says nothing about the key."""


class NotOnCurve(ValueError):
    """97 bytes that are no point of secp384r1."""


def share_key(code: str, serial: str, *, lower_case: bool = False) -> bytes:
    """32 ASCII bytes. `lower_case`: the variant that a device tries after result 1. osap.md §3.1"""
    derived = hashlib.pbkdf2_hmac("sha256", share_key_v2(code, serial, lower_case=lower_case), _SALT, 3, 32)
    return derived.hex().upper()[10:42].encode()


def share_key_v2(code: str, serial: str, *, lower_case: bool = False) -> bytes:
    """32 ASCII bytes, of devices with the older SDK; for others a step on the way. osap.md §§3.1, 9"""
    digest = hashlib.md5(code.encode() + serial.encode()).hexdigest()
    first = digest if lower_case else digest.upper()
    return _upper_md5(_upper_md5(first.encode() + _SALT))


def wrap_key(code: str, serial: str, *, lower_case: bool = False) -> bytes:
    """The 16 bytes that protect the public keys of messages 0x1 and 0x2. osap.md §3.1"""
    return share_key(code, serial, lower_case=lower_case)[:KEY_LENGTH]


def _upper_md5(data: bytes) -> bytes:
    return hashlib.md5(data).hexdigest().upper().encode()


def gcm_encrypt(key: bytes, plain: bytes) -> tuple[bytes, bytes]:
    """Tag and ciphertext, in the order of the wire. osap.md §3.2"""
    sealed = AESGCM(key).encrypt(_GCM_NONCE, plain, None)
    return sealed[-TAG_LENGTH:], sealed[:-TAG_LENGTH]


def gcm_decrypt(key: bytes, tag: bytes, cipher: bytes) -> bytes:
    """Raises DecryptionFailed."""
    try:
        return AESGCM(key).decrypt(_GCM_NONCE, cipher + tag, None)
    except InvalidTag:
        raise DecryptionFailed("the tag does not fit the ciphertext") from None


def cbc_encrypt(key: bytes, plain: bytes) -> bytes:
    """AES-128-CBC with PKCS#7 padding. osap.md §3.2"""
    padding = _BLOCK - len(plain) % _BLOCK
    encryptor = Cipher(AES(key), CBC(_CBC_IV)).encryptor()
    return encryptor.update(plain + bytes([padding]) * padding) + encryptor.finalize()


def cbc_decrypt(key: bytes, cipher: bytes) -> bytes:
    """Raises DecryptionFailed: not whole blocks, or a padding byte is wrong."""
    if not cipher or len(cipher) % _BLOCK:
        raise DecryptionFailed("the ciphertext is not a number of whole blocks")
    decryptor = Cipher(AES(key), CBC(_CBC_IV)).decryptor()
    padded = decryptor.update(cipher) + decryptor.finalize()
    padding = padded[-1]
    if not 1 <= padding <= _BLOCK or padded[-padding:] != bytes([padding]) * padding:
        raise DecryptionFailed("the padding is wrong")
    return padded[:-padding]


def random_bytes(length: int) -> bytes:
    return os.urandom(length)


def new_private_key() -> PrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


def private_key(scalar: int) -> PrivateKey:
    return ec.derive_private_key(scalar, ec.SECP384R1())


def public_point(key: PrivateKey) -> bytes:
    """97 bytes: 0x04, X, Y."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def agree_master_key(own: PrivateKey, peer_point: bytes) -> bytes:
    """16 ASCII bytes. Raises NotOnCurve. osap.md §3.3"""
    if len(peer_point) != POINT_LENGTH:
        raise NotOnCurve(f"a public key has {POINT_LENGTH} bytes, not {len(peer_point)}")
    try:
        peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), peer_point)
    except ValueError:
        raise NotOnCurve("the public key is not a point of secp384r1") from None
    shared = own.exchange(ec.ECDH(), peer)
    return _upper_md5(shared)[:KEY_LENGTH]


def sign(master_key: bytes, serial: str) -> bytes:
    """48 bytes that prove possession of the master key. osap.md §3.5"""
    return hmac.digest(master_key, hashlib.sha384(serial.encode()).digest(), "sha384")


def equal(one: bytes, other: bytes) -> bool:
    """In a time that does not depend on where they differ."""
    return hmac.compare_digest(one, other)
