"""The share key, the ciphers, the key agreement and the signature, against the worked vectors. osap.md §3."""

from __future__ import annotations

import pytest

from osap_bridge.osap import crypto
from tests.vectors import osap_handshake as vector


def test_the_share_key_of_the_worked_example() -> None:
    assert crypto.share_key(vector.CODE, vector.SERIAL) == vector.SHARE_KEY
    assert crypto.wrap_key(vector.CODE, vector.SERIAL) == vector.WRAP_KEY


def test_the_lower_case_variant_lowers_the_first_digest_only() -> None:
    assert crypto.share_key(vector.CODE, vector.SERIAL, lower_case=True) == vector.SHARE_KEY_LOWER


def test_the_share_key_of_a_real_licence() -> None:
    assert crypto.share_key(vector.CAPTURED_CODE, vector.CAPTURED_SERIAL) == vector.CAPTURED_SHARE_KEY


def test_the_point_that_a_real_device_sent() -> None:
    message = vector.CAPTURED_ECDH_REQUEST
    point = crypto.gcm_decrypt(vector.CAPTURED_SHARE_KEY[:16], message[46:62], message[62:])
    assert point.hex().startswith("0419e8e6e21d216c9fa369c9")
    assert point.hex().endswith("64a2630b")
    assert len(crypto.agree_master_key(crypto.new_private_key(), point)) == 16


def test_both_ends_agree_on_the_master_key() -> None:
    device = crypto.private_key(vector.DEVICE_SCALAR)
    lbs = crypto.private_key(vector.LBS_SCALAR)
    assert crypto.public_point(device) == vector.DEVICE_POINT
    assert crypto.public_point(lbs) == vector.LBS_POINT
    assert crypto.agree_master_key(device, vector.LBS_POINT) == vector.MASTER_KEY
    assert crypto.agree_master_key(lbs, vector.DEVICE_POINT) == vector.MASTER_KEY


def test_the_signature_covers_the_serial() -> None:
    assert crypto.sign(vector.MASTER_KEY, vector.SERIAL) == vector.SIGNATURE
    assert crypto.sign(vector.MASTER_KEY, "K12345679") != vector.SIGNATURE


@pytest.mark.parametrize("plain", [b"", b"x", bytes(15), bytes(16), bytes(17), b"\x10" * 16])
def test_cbc_always_pads_and_comes_back(plain: bytes) -> None:
    cipher = crypto.cbc_encrypt(vector.MASTER_KEY, plain)
    assert len(cipher) == (len(plain) // 16 + 1) * 16
    assert crypto.cbc_decrypt(vector.MASTER_KEY, cipher) == plain


@pytest.mark.parametrize("cipher", [b"", bytes(15), bytes(17)])
def test_cbc_refuses_what_is_not_whole_blocks(cipher: bytes) -> None:
    with pytest.raises(crypto.DecryptionFailed):
        crypto.cbc_decrypt(vector.MASTER_KEY, cipher)


def test_cbc_verifies_every_byte_of_the_padding() -> None:
    cipher = bytearray(crypto.cbc_encrypt(vector.MASTER_KEY, bytes(16)))
    cipher[0] ^= 1  # damages byte 0 of the second block's plain text, which is padding
    with pytest.raises(crypto.DecryptionFailed):
        crypto.cbc_decrypt(vector.MASTER_KEY, bytes(cipher))


def test_gcm_refuses_a_damaged_tag() -> None:
    tag, cipher = crypto.gcm_encrypt(vector.WRAP_KEY, b"secret")
    assert crypto.gcm_decrypt(vector.WRAP_KEY, tag, cipher) == b"secret"
    with pytest.raises(crypto.DecryptionFailed):
        crypto.gcm_decrypt(vector.WRAP_KEY, bytes(16), cipher)


@pytest.mark.parametrize(
    "point",
    [
        b"",
        bytes(97),
        b"\x04" + bytes(96),
        b"\x02" + vector.DEVICE_POINT[1:49],
        vector.DEVICE_POINT[:-1] + b"\x00",
        vector.DEVICE_POINT + b"\x00",
    ],
)
def test_what_is_not_a_point_of_the_curve_is_refused(point: bytes) -> None:
    with pytest.raises(crypto.NotOnCurve):
        crypto.agree_master_key(crypto.new_private_key(), point)
