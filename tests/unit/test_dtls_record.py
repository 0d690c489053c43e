"""Records of DTLS: cut from datagrams, protected and read, each once; and the pseudo-random function."""

from __future__ import annotations

import hmac
import os
from random import Random

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from lwm2m.dtls.alerts import Fatal
from lwm2m.dtls.prf import KeyBlock, prf, psk_premaster
from lwm2m.dtls.record import (
    LARGEST_PLAINTEXT,
    LARGEST_SEQUENCE,
    NO_KIND,
    WINDOW,
    Content,
    Kind,
    Reader,
    ReplayWindow,
    Writer,
    records,
)
from lwm2m.dtls.suites import Cbc, Mode, Protection, protections
from tests.vectors import tls_prf

KEYS = KeyBlock(b"m" * 32, b"n" * 32, b"k" * 16, b"l" * 16, b"ivec", b"jvec")
CBC_KEYS = KEYS._replace(client_iv=b"", server_iv=b"")
DATA = Kind.APPLICATION_DATA
NUMBER = bytes.fromhex("0001000000000005")
CID = b"cid"

ways = pytest.mark.parametrize(
    ("mode", "etm"),
    [(Mode.CCM8, False), (Mode.GCM, False), (Mode.CBC, False), (Mode.CBC, True)],
    ids=["CCM8", "GCM", "CBC", "CBC with the MAC outside"],
)
with_and_without_cid = pytest.mark.parametrize("cid", [b"", b"c", bytes(32)], ids=["none", "short", "long"])


def protection(mode: Mode, etm: bool = False) -> Protection:
    keys = CBC_KEYS if mode is Mode.CBC else KEYS
    return protections(mode, keys, encrypt_then_mac=etm)[0]


def read(reader: Reader, datagram: bytes, cid_length: int = 0) -> list[Content | None]:
    return [reader.read(record) if reader.accepts(record) else None for record in records(datagram, cid_length)]


def test_the_pseudo_random_function() -> None:
    assert prf(tls_prf.SECRET, tls_prf.LABEL, tls_prf.SEED, len(tls_prf.OUTPUT)) == tls_prf.OUTPUT


def test_the_secret_of_a_pre_shared_key() -> None:
    assert psk_premaster(b"\xaa\xbb\xcc") == bytes.fromhex("0003 000000 0003 aabbcc")


@ways
@with_and_without_cid
@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 100, LARGEST_PLAINTEXT])
def test_what_is_written_is_read_and_once_only(mode: Mode, etm: bool, cid: bytes, length: int) -> None:
    datagram = Writer(1, protection(mode, etm), cid).write(
        DATA, bytes(range(256)) * (length // 256) + bytes(length % 256)
    )
    reader = Reader(protection(mode, etm), cid)
    (content,) = read(reader, datagram, len(cid))
    assert content is not None
    assert (content.kind, len(content.plaintext)) == (DATA, length)
    assert read(reader, datagram, len(cid)) == [None]


@ways
@with_and_without_cid
def test_whatever_is_changed_is_not_read(mode: Mode, etm: bool, cid: bytes) -> None:
    datagram = Writer(1, protection(mode, etm), cid, first=3).write(DATA, b"twenty bytes of text")
    for at in range(len(datagram)):
        for bit in (0, 7):
            changed = bytearray(datagram)
            changed[at] ^= 1 << bit
            reader = Reader(protection(mode, etm), cid)
            assert not any(read(reader, bytes(changed), len(cid))), at
            assert read(reader, datagram, len(cid)) == [Content(DATA, b"twenty bytes of text")]


@ways
def test_a_record_with_an_id_is_not_taken_for_one_without_and_the_other_way_round(mode: Mode, etm: bool) -> None:
    plain, named = (Writer(1, protection(mode, etm), cid).write(DATA, b"x") for cid in (b"", CID))
    assert not any(read(Reader(protection(mode, etm), CID), plain, len(CID)))
    assert not any(read(Reader(protection(mode, etm)), named, 0))
    assert not any(read(Reader(protection(mode, etm), b"oth"), named, len(CID)))


def test_zeros_behind_the_kind_are_padding() -> None:
    sealed = protection(Mode.CCM8).seal(NUMBER, 25, b"text" + bytes((DATA, 0, 0, 0)), CID)
    datagram = b"\x19\xfe\xfd" + NUMBER + CID + len(sealed).to_bytes(2, "big") + sealed
    assert read(Reader(protection(Mode.CCM8), CID), datagram, 3) == [Content(DATA, b"text")]


def test_a_record_of_zeros_has_no_kind() -> None:
    sealed = protection(Mode.CCM8).seal(NUMBER, 25, bytes(20), CID)
    datagram = b"\x19\xfe\xfd" + NUMBER + CID + len(sealed).to_bytes(2, "big") + sealed
    assert read(Reader(protection(Mode.CCM8), CID), datagram, 3) == [Content(NO_KIND, b"")]


def test_what_is_longer_than_agreed_is_left() -> None:
    reader, writer = Reader(protection(Mode.GCM), b"", 512), Writer(1, protection(Mode.GCM))
    assert read(reader, writer.write(DATA, bytes(512))) == [Content(DATA, bytes(512))]
    assert read(reader, writer.write(DATA, bytes(513))) == [Content(NO_KIND, b"")]


def cbc_as_written_in_rfc_9146(content: bytes, *, etm: bool) -> bytes:
    """§5.1 and §5.2 put into code a second time."""
    iv, inner = os.urandom(16), content + bytes((DATA,))
    head = b"\xff" * 8 + b"\x19" + bytes((len(CID),)) + b"\x19" + b"\xfe\xfd" + NUMBER[:2] + NUMBER[2:] + CID

    def encrypted(plain: bytes) -> bytes:
        padding = 15 - len(plain) % 16
        encryptor = Cipher(algorithms.AES(KEYS.client_key), modes.CBC(iv)).encryptor()
        return encryptor.update(plain + bytes((padding,)) * (padding + 1)) + encryptor.finalize()

    def mac(what: bytes) -> bytes:
        return hmac.digest(KEYS.client_mac, head + len(what).to_bytes(2, "big") + what, "sha256")

    if etm:
        sealed = iv + encrypted(inner)
        return sealed + mac(sealed)
    return iv + encrypted(inner + mac(inner))


@pytest.mark.parametrize("etm", [False, True])
def test_block_ciphers_with_a_connection_id(etm: bool) -> None:
    assert protection(Mode.CBC, etm).open(NUMBER, 25, cbc_as_written_in_rfc_9146(b"text", etm=etm), CID) == b"text\x17"


@pytest.mark.parametrize("padding", [0, 1, 16, 100, 240])
def test_longer_padding_of_a_block_cipher(padding: int) -> None:
    content = bytes(31 - padding % 16)
    mac = hmac.digest(KEYS.client_mac, NUMBER + b"\x17\xfe\xfd" + len(content).to_bytes(2, "big") + content, "sha256")
    plain = content + mac
    fill = padding + (-(len(plain) + padding + 1)) % 16
    assert fill < 256
    for wrong in (None, 0, fill):
        padded = bytearray(plain + bytes((fill,)) * (fill + 1))
        if wrong is not None:
            padded[len(plain) + wrong] ^= 1
        encryptor = Cipher(algorithms.AES(KEYS.client_key), modes.CBC(bytes(16))).encryptor()
        sealed = bytes(16) + encryptor.update(bytes(padded)) + encryptor.finalize()
        opened = protection(Mode.CBC).open(NUMBER, DATA, sealed, None)
        assert opened == (content if wrong is None else None)


@pytest.mark.parametrize("etm", [False, True])
def test_a_block_cipher_reads_no_random_bytes(etm: bool) -> None:
    random, cipher = Random(5), Cbc(b"k" * 16, b"m" * 32, encrypt_then_mac=etm)
    for length in [*range(140), 512, 1024]:
        assert cipher.open(NUMBER, DATA, random.randbytes(length), None) is None


# The window


def test_each_number_is_new_once_in_whatever_order() -> None:
    random, window, seen = Random(3), ReplayWindow(), set()
    for at in range(2000):
        sequence = max(0, at + random.randrange(-70, 10))
        is_new = window.is_new(sequence)
        assert is_new is (sequence not in seen and sequence > max(seen, default=-1) - WINDOW)
        if is_new:
            window.add(sequence)
            seen.add(sequence)


def test_the_edges_of_the_window() -> None:
    window = ReplayWindow()
    assert window.is_new(0)
    window.add(WINDOW)
    assert not window.is_new(0)
    assert window.is_new(1)
    assert not window.is_newest(WINDOW)
    window.add(1)
    assert not window.is_new(1)
    window.add(WINDOW + 1)
    assert not window.is_new(1)
    assert window.is_new(2)
    window.add(2 * WINDOW + 1)
    assert not window.is_new(WINDOW + 1)
    assert window.is_new(WINDOW + 2)


def test_a_jump_to_the_last_number_costs_nothing() -> None:
    window = ReplayWindow()
    window.add(0)
    window.add(LARGEST_SEQUENCE)
    assert not window.is_new(LARGEST_SEQUENCE)
    assert window.is_new(LARGEST_SEQUENCE - 1)
    assert not window.is_new(1)


def test_after_the_last_number_nothing_is_written() -> None:
    writer = Writer(1, protection(Mode.CCM8), first=LARGEST_SEQUENCE)
    writer.write(DATA, b"x")
    with pytest.raises(Fatal, match="used up"):
        writer.write(DATA, b"x")


# Datagrams


def test_several_records_share_a_datagram_and_rubbish_behind_them_is_left() -> None:
    writer = Writer(0)
    datagram = writer.write(Kind.HANDSHAKE, b"one") + writer.write(Kind.ALERT, b"two")
    for rubbish in (b"", b"\x16", bytes(13), b"\x17\xfe\xfd" + bytes(8) + b"\xff\xff"):
        found = list(records(datagram + rubbish, 0))
        assert [(record.kind, record.fragment, record.sequence) for record in found] == [
            (22, b"one", 0),
            (21, b"two", 1),
        ]


def test_only_the_first_hellos_come_in_records_of_1_0() -> None:
    clear = Writer(0).write(Kind.HANDSHAKE, b"x")
    assert len(list(records(clear.replace(b"\xfe\xfd", b"\xfe\xff"), 0))) == 1
    protected = Writer(1).write(Kind.HANDSHAKE, b"x")
    assert list(records(protected.replace(b"\xfe\xfd", b"\xfe\xff"), 0)) == []
    for version in (b"\3\3", b"\xfe\xfc", b"\xfe\xfe", b"\1\0"):
        assert list(records(clear.replace(b"\xfe\xfd", version), 0)) == []
