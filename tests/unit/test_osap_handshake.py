"""Authentication at the LBS, both ends, byte by byte and result by result. osap.md §§2.4-5"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator

import pytest

from osap_bridge.osap import crypto
from osap_bridge.osap import lbs_messages as messages
from osap_bridge.osap.device.handshake import (
    Admitted,
    DeviceHandshake,
    Flow,
    Identity,
    Malformed,
    NoMatch,
    Offer,
    Refused,
    Rematch,
)
from osap_bridge.osap.directory import DeviceKeys, SessionGrant
from osap_bridge.osap.frame import Frame
from osap_bridge.osap.handshake import LbsHandshake, LbsState, LbsStep
from osap_bridge.osap.lbs_messages import Control, DasAddress
from osap_bridge.osap.result import Result, explain
from tests.osap_directory import MemoryDirectory
from tests.vectors import osap_handshake as vector

DAS = DasAddress("127.0.0.1", 18883, 18884, "das.local", "das-1")
KEYS = DeviceKeys(vector.DEV_ID, vector.MASTER_KEY)
IDENTITY = Identity(vector.SERIAL, vector.CODE)


class FullDirectory(MemoryDirectory):
    def keep_keys(self, _serial: str, _keys: DeviceKeys) -> None:
        raise sqlite3.OperationalError("database or disk is full")


def drawing(*parts: bytes) -> Callable[[int], bytes]:
    """A random source that gives these."""
    source: Iterator[bytes] = iter(parts)

    def draw(length: int) -> bytes:
        part = next(source)
        assert len(part) == length
        return part

    return draw


def directory(keys: DeviceKeys | None = KEYS) -> MemoryDirectory:
    return MemoryDirectory({vector.SERIAL: vector.CODE}, {vector.SERIAL: keys} if keys else None)


def lbs(kept: MemoryDirectory | None = None, *draws: bytes, das: DasAddress | None = DAS) -> LbsHandshake:
    return LbsHandshake(
        kept or directory(),
        lambda: das,
        draw=drawing(*draws or (vector.SESSION_KEY,)),
        new_key=lambda: crypto.private_key(vector.LBS_SCALAR),
    )


def device(
    keys: DeviceKeys | None = None, *, confirm_dev_id: bool = False, always_ecdh: bool = False
) -> DeviceHandshake:
    return DeviceHandshake(
        IDENTITY,
        keys,
        always_ecdh=always_ecdh,
        confirm_dev_id=confirm_dev_id,
        draw=drawing(vector.RAND1),
        new_key=lambda: crypto.private_key(vector.DEVICE_SCALAR),
    )


def only(steps: list[LbsStep]) -> LbsStep:
    (step,) = steps
    return step


def refused(step: LbsStep, result: Result) -> None:
    """The step ends the connection with this result on the wire."""
    assert step.close
    assert step.result == result
    assert step.answer[-1] == result
    assert explain(result) == step.reason


def keyed() -> LbsHandshake:
    """An LBS whose device has its session key."""
    platform = lbs()
    platform.receive(vector.ECDH_REQUEST, 0.0)
    platform.receive(vector.APPLY_REQUEST, 0.0)
    assert platform.state is LbsState.KEYED
    return platform


class TestWorkedExample:
    def test_the_lbs_answers_a_first_authentication(self) -> None:
        platform = lbs()
        assert only(platform.receive(vector.ECDH_REQUEST, 0.0)).answer == vector.ECDH_RESPONSE
        keyed = only(platform.receive(vector.APPLY_REQUEST, 5.0))
        assert keyed.answer == vector.APPLY_RESPONSE
        assert keyed.grant == SessionGrant(vector.SERIAL, vector.DEV_ID, vector.SESSION_KEY, 5.0)
        done = only(platform.receive(vector.DAS_REQUEST, 6.0))
        assert (done.answer, done.result, done.close) == (vector.DAS_RESPONSE, 0, False)

    def test_the_lbs_answers_a_re_authentication_without_master_key(self) -> None:
        kept = directory(DeviceKeys(vector.DEV_ID, None))
        platform = lbs(kept)
        platform.receive(vector.ECDH_REQUEST, 0.0)
        assert only(platform.receive(vector.REFRESH_REQUEST, 0.0)).answer == vector.REFRESH_RESPONSE
        assert kept.keys(vector.SERIAL) == KEYS

    def test_the_lbs_answers_a_re_authentication_with_master_key(self) -> None:
        platform = lbs(None, vector.RAND2, vector.SESSION_KEY)
        assert only(platform.receive(vector.ORIGINAL_1, 0.0)).answer == vector.ORIGINAL_2
        key_checked, redirected = platform.receive(vector.ORIGINAL_3 + vector.DAS_REQUEST, 7.0)
        assert key_checked.answer == b""
        assert key_checked.grant == SessionGrant(vector.SERIAL, vector.DEV_ID, vector.SESSION_KEY, 7.0)
        assert redirected.answer == vector.DAS_RESPONSE

    def test_the_device_asks_for_a_first_authentication(self) -> None:
        end = device()
        assert end.start() == vector.ECDH_REQUEST
        assert end.receive(vector.ECDH_RESPONSE).request == vector.APPLY_REQUEST
        assert end.receive(vector.APPLY_RESPONSE).request == vector.DAS_REQUEST
        assert end.receive(vector.DAS_RESPONSE).outcome == Admitted(Flow.FIRST, KEYS, vector.SESSION_KEY, DAS)

    def test_the_device_asks_for_a_re_authentication_without_master_key(self) -> None:
        end = device(DeviceKeys(vector.DEV_ID, None))
        assert end.start() == vector.ECDH_REQUEST
        assert end.receive(vector.ECDH_RESPONSE).request == vector.REFRESH_REQUEST
        assert end.receive(vector.REFRESH_RESPONSE).request == vector.DAS_REQUEST
        assert end.receive(vector.DAS_RESPONSE).outcome == Admitted(Flow.REFRESH, KEYS, vector.SESSION_KEY, DAS)

    def test_the_device_asks_for_a_re_authentication_with_master_key(self) -> None:
        end = device(KEYS)
        assert end.start() == vector.ORIGINAL_1
        assert end.receive(vector.ORIGINAL_2).request == vector.ORIGINAL_3 + vector.DAS_REQUEST
        assert end.receive(vector.DAS_RESPONSE).outcome == Admitted(Flow.ORIGINAL, KEYS, vector.SESSION_KEY, DAS)

    def test_a_device_may_always_use_the_key_agreement(self) -> None:
        end = device(KEYS, always_ecdh=True)
        assert end.start() == vector.ECDH_REQUEST
        assert end.receive(vector.ECDH_RESPONSE).request == vector.REFRESH_REQUEST

    def test_messages_may_come_byte_by_byte(self) -> None:
        platform = lbs()
        steps = [step for byte in vector.ECDH_REQUEST for step in platform.receive(bytes([byte]), 0.0)]
        assert only(steps).answer == vector.ECDH_RESPONSE
        end = device()
        end.start()
        requests = b"".join(end.receive(bytes([byte])).request for byte in vector.ECDH_RESPONSE)
        assert requests == vector.APPLY_REQUEST


class TestLbs:
    def test_the_first_message_of_a_real_device_is_accepted(self) -> None:
        kept = MemoryDirectory({vector.CAPTURED_SERIAL: vector.CAPTURED_CODE})
        step = only(lbs(kept).receive(vector.CAPTURED_ECDH_REQUEST, 0.0))
        assert step.answer[:7] == bytes.fromhex("2a760101020000")
        point = crypto.gcm_decrypt(vector.CAPTURED_SHARE_KEY[:16], step.answer[7:23], step.answer[23:])
        assert point == vector.LBS_POINT

    def test_a_new_device_gets_a_dev_id_and_keeps_it(self) -> None:
        kept = directory(None)
        platform = lbs(kept, bytes(range(16)), vector.SESSION_KEY)
        platform.receive(vector.ECDH_REQUEST, 0.0)
        first = only(platform.receive(vector.APPLY_REQUEST, 0.0)).grant
        assert first is not None
        assert len(first.dev_id) == 32
        assert kept.keys(vector.SERIAL) == DeviceKeys(first.dev_id, vector.MASTER_KEY)
        again = lbs(kept)
        again.receive(vector.ECDH_REQUEST, 0.0)
        second = only(again.receive(vector.APPLY_REQUEST, 0.0)).grant
        assert second is not None
        assert second.dev_id == first.dev_id

    def test_a_device_with_the_lower_case_share_key_is_answered_with_it(self) -> None:
        end = DeviceHandshake(IDENTITY, None, lower_case=True)
        step = only(lbs().receive(end.start(), 0.0))
        assert end.receive(step.answer).request[0] == Control.APPLY_REQUEST

    def test_a_wrong_verification_code_is_result_1(self) -> None:
        end = DeviceHandshake(Identity(vector.SERIAL, "ABCDEG"), None)
        step = only(lbs().receive(end.start(), 0.0))
        assert step.answer == bytes.fromhex("2a05 01 010200 01")
        refused(step, Result.WRONG_CODE)
        assert end.receive(step.answer).outcome == Refused(1)

    def test_an_unknown_serial_is_result_5_in_both_flows(self) -> None:
        refused(only(lbs(MemoryDirectory({})).receive(vector.ECDH_REQUEST, 0.0)), Result.UNKNOWN_SERIAL)
        refused(only(lbs(MemoryDirectory({})).receive(vector.ORIGINAL_1, 0.0)), Result.UNKNOWN_SERIAL)

    def test_a_public_key_off_the_curve_is_result_16(self) -> None:
        tag, cipher = crypto.gcm_encrypt(vector.WRAP_KEY, b"\x04" + bytes(96))
        request = messages.EcdhRequest(1, (1,), 0, vector.SERIAL, tag, cipher)
        refused(only(lbs().receive(messages.ecdh_request(request), 0.0)), Result.ECDH_FAILED)

    @pytest.mark.parametrize("request_", [vector.APPLY_REQUEST, vector.REFRESH_REQUEST])
    def test_a_wrong_signature_is_result_19(self, request_: bytes) -> None:
        platform = lbs()
        platform.receive(vector.ECDH_REQUEST, 0.0)
        step = only(platform.receive(request_[:-1] + b"\x00", 0.0))
        refused(step, Result.WRONG_SIGNATURE)
        assert step.answer[0] == request_[0] + 0x10 + (0x10 if request_[0] == Control.REFRESH_REQUEST else 0)

    def test_a_wrong_dev_id_is_result_4_in_both_flows(self) -> None:
        platform = lbs(directory(DeviceKeys("f" * 32, vector.MASTER_KEY)))
        platform.receive(vector.ECDH_REQUEST, 0.0)
        refused(only(platform.receive(vector.REFRESH_REQUEST, 0.0)), Result.WRONG_DEV_ID)
        platform = lbs(directory(DeviceKeys("f" * 32, vector.MASTER_KEY)))
        refused(only(platform.receive(vector.ORIGINAL_1, 0.0)), Result.WRONG_DEV_ID)

    @pytest.mark.parametrize("master_key", [None, b"0123456789ABCDEF"])
    def test_a_master_key_that_is_missing_or_another_is_result_10(self, master_key: bytes | None) -> None:
        platform = lbs(directory(DeviceKeys(vector.DEV_ID, master_key)))
        step = only(platform.receive(vector.ORIGINAL_1, 0.0))
        assert step.answer == bytes.fromhex("8004 010100 0a")
        refused(step, Result.MASTER_KEY_INVALID)

    def test_a_wrong_second_random_byte_closes_without_answer(self) -> None:
        platform = lbs(None, b"\x5b", vector.SESSION_KEY)
        platform.receive(vector.ORIGINAL_1, 0.0)
        step = only(platform.receive(vector.ORIGINAL_3 + vector.DAS_REQUEST, 0.0))
        assert (step.answer, step.grant, step.close) == (b"", None, True)

    def test_a_directory_that_cannot_store_is_result_6_and_nothing_is_granted(self) -> None:
        platform = lbs(FullDirectory({vector.SERIAL: vector.CODE}, {vector.SERIAL: KEYS}))
        platform.receive(vector.ECDH_REQUEST, 0.0)
        step = only(platform.receive(vector.APPLY_REQUEST, 0.0))
        refused(step, Result.STORAGE_ERROR)
        assert step.grant is None

    def test_a_das_query_that_does_not_decrypt_is_result_7(self) -> None:
        query = messages.encrypted(Control.DAS_REQUEST, bytes(16), messages.das_query(vector.SERIAL, hub=False))
        step = only(keyed().receive(query, 0.0))
        assert step.answer == bytes.fromhex("b004 010100 07")
        refused(step, Result.DECRYPTION_FAILED)

    @pytest.mark.parametrize(
        "plain",
        [
            b"",
            b"{",
            b"[]",
            b"{}",
            b'{"Type":"STUN","DevSerial":"K12345678"}',
            b'{"Type":"DAS","DevSerial":"K12345679"}',
        ],
    )
    def test_a_das_query_that_says_something_else_is_result_3(self, plain: bytes) -> None:
        query = messages.encrypted(Control.DAS_REQUEST, vector.SESSION_KEY, plain)
        refused(only(keyed().receive(query, 0.0)), Result.INVALID_DATA)

    def test_no_das_is_result_9(self) -> None:
        platform = lbs(das=None)
        platform.receive(vector.ECDH_REQUEST, 0.0)
        platform.receive(vector.APPLY_REQUEST, 0.0)
        refused(only(platform.receive(vector.DAS_REQUEST, 0.0)), Result.NO_DAS)

    @pytest.mark.parametrize(
        ("before", "message"),
        [
            ([], vector.APPLY_REQUEST),
            ([], vector.REFRESH_REQUEST),
            ([], vector.DAS_REQUEST),
            ([], vector.ORIGINAL_3),
            ([], bytes(Frame(0xC0, b""))),
            ([], bytes(Frame(0xF0, b""))),
            ([vector.ECDH_REQUEST], vector.ECDH_REQUEST),
            ([vector.ECDH_REQUEST], vector.DAS_REQUEST),
            ([vector.ECDH_REQUEST], vector.ORIGINAL_1),
            ([vector.ECDH_REQUEST, vector.APPLY_REQUEST], vector.APPLY_REQUEST),
            ([vector.ECDH_REQUEST, vector.APPLY_REQUEST, vector.DAS_REQUEST], vector.DAS_REQUEST),
        ],
    )
    def test_a_message_out_of_order_is_result_2(self, before: list[bytes], message: bytes) -> None:
        platform = lbs()
        for earlier in before:
            platform.receive(earlier, 0.0)
        refused(only(platform.receive(message, 0.0)), Result.WRONG_ORDER)
        assert platform.receive(message, 0.0) == []

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\x01",
            b"\x01\x00",
            bytes([1, 65]) + bytes([1]) * 65,
            bytes.fromhex("010101 020200 00 00"),
            bytes.fromhex("010101 010200 02 01 41") + bytes(113),
            bytes.fromhex("010101 010200 00 00") + bytes(113),
            bytes.fromhex("010101 010200 00 48") + b"A" * 72 + bytes(113),
            bytes.fromhex("010101 010200 00 01 ff") + bytes(113),
            bytes.fromhex("010101 010200 00 01 41") + bytes(112),
            bytes.fromhex("010101 010200 00 01 41") + bytes(114),
        ],
    )
    def test_a_malformed_first_message_is_result_3_with_the_variable_header(self, content: bytes) -> None:
        step = only(lbs().receive(bytes(Frame(Control.ECDH_REQUEST, content)), 0.0))
        refused(step, Result.INVALID_DATA)
        assert step.answer == bytes.fromhex("2a05 01 010200 03")

    def test_a_length_that_cannot_be_is_result_3(self) -> None:
        refused(only(lbs().receive(bytes.fromhex("70ffffffff7f"), 0.0)), Result.INVALID_DATA)

    def test_a_confirmation_is_taken_without_answer_and_verified(self) -> None:
        step = only(keyed().receive(messages.signed(Control.APPLY_CONFIRM, vector.SIGNATURE), 0.0))
        assert step == LbsStep()
        refused(only(keyed().receive(messages.signed(Control.APPLY_CONFIRM, bytes(48)), 0.0)), Result.WRONG_SIGNATURE)


class TestOlderSdk:
    """osap.md §9. No vector of it is published: these are made of the parts that the others prove."""

    SHARE_KEY = b"057BFBE9A3D6180456084CE01E77E202"
    WRAP_KEY = SHARE_KEY[:16]

    def request(self, wrap_key: bytes = WRAP_KEY, point: bytes = vector.DEVICE_POINT) -> bytes:
        identity = bytes([0, len(vector.SERIAL)]) + vector.SERIAL.encode()
        return bytes(Frame(0x12, b"\x01\x01\x00" + identity + crypto.cbc_encrypt(wrap_key, point)))

    @pytest.mark.parametrize(
        ("second", "answer"), [(vector.APPLY_REQUEST, 0x82), (vector.REFRESH_REQUEST, 0x62)], ids=["first", "refresh"]
    )
    def test_it_authenticates_with_cbc_and_without_variable_header(self, second: bytes, answer: int) -> None:
        platform = lbs()
        first = only(platform.receive(self.request(), 0.0)).answer
        assert first[:6] == bytes.fromhex("2274 010100 00")
        assert crypto.cbc_decrypt(self.WRAP_KEY, first[6:]) == vector.LBS_POINT
        assigned = only(platform.receive(second, 0.0))
        content = assigned.answer[3:]
        assert (assigned.answer[0], len(content), content[4], content[53]) == (answer, 134, 0x30, 0x20)
        assert crypto.cbc_decrypt(vector.MASTER_KEY, content[5:53]).decode() == vector.DEV_ID
        assert crypto.cbc_decrypt(vector.MASTER_KEY, content[54:86]) == vector.SESSION_KEY
        assert content[86:] == vector.SIGNATURE
        assert assigned.grant is not None
        assert only(platform.receive(vector.DAS_REQUEST, 0.0)).answer == vector.DAS_RESPONSE

    def test_its_refusals_have_no_variable_header_either(self) -> None:
        wrong_code = only(lbs().receive(self.request(wrap_key=bytes(16)), 0.0))
        assert wrong_code.answer == bytes.fromhex("2204 010100 01")
        refused(only(lbs().receive(self.request(point=bytes(97)), 0.0)), Result.ECDH_FAILED)
        refused(only(lbs().receive(self.request(point=bytes(96)), 0.0)), Result.WRONG_CODE)
        refused(only(lbs(MemoryDirectory({})).receive(self.request(), 0.0)), Result.UNKNOWN_SERIAL)
        refused(only(lbs().receive(bytes(Frame(0x12, b"")), 0.0)), Result.INVALID_DATA)

    def test_it_is_refused_where_it_is_not_wanted(self) -> None:
        platform = LbsHandshake(directory(), lambda: DAS, accept_v2=False)
        refused(only(platform.receive(self.request(), 0.0)), Result.WRONG_ORDER)


class TestNegotiation:
    @staticmethod
    def first_message(offer: Offer) -> bytes:
        return DeviceHandshake(IDENTITY, None, offer=offer).start()

    def test_a_stronger_common_type_is_answered_instead_of_the_used_one(self) -> None:
        platform = LbsHandshake(directory(), lambda: DAS, supported=(2, 1))
        step = only(platform.receive(self.first_message(Offer(1, (1, 2))), 0.0))
        assert step.answer == bytes.fromhex("2a03 02 01 02")[:1] + bytes.fromhex("04 02 02 02 01")
        assert step.close

    def test_without_a_common_type_the_lbs_answers_its_own(self) -> None:
        platform = LbsHandshake(directory(), lambda: DAS, supported=(2,))
        step = only(platform.receive(self.first_message(Offer(1, (1,))), 0.0))
        assert step.answer == bytes.fromhex("2a03 02 01 02")
        assert step.close

    def test_a_type_outside_of_the_group_is_not_proceeded_with(self) -> None:
        step = only(lbs().receive(self.first_message(Offer(3, (3, 1))), 0.0))
        assert step.answer == bytes.fromhex("2a03 01 01 01")

    def test_the_device_connects_again_with_a_type_of_its_group(self) -> None:
        end = DeviceHandshake(IDENTITY, None, offer=Offer(1, (1, 2)))
        end.start()
        assert end.receive(bytes.fromhex("2a03 02 01 02")).outcome == Rematch(2)

    def test_the_device_gives_up_on_a_foreign_type(self) -> None:
        end = device()
        end.start()
        assert end.receive(bytes.fromhex("2a03 02 01 02")).outcome == NoMatch()

    def test_the_type_is_compared_before_the_result_is_looked_at(self) -> None:
        end = device()
        end.start()
        assert end.receive(bytes.fromhex("2a05 02 010200 01")).outcome == NoMatch()


class TestDevice:
    def test_an_answer_without_variable_header_is_malformed(self) -> None:
        end = device()
        end.start()
        assert isinstance(end.receive(bytes([0x22]) + vector.ECDH_RESPONSE[1:]).outcome, Malformed)

    @pytest.mark.parametrize("code", [*range(1, 20), 77])
    def test_every_result_ends_every_request(self, code: int) -> None:
        first = device()
        first.start()
        assert first.receive(messages.ecdh_refusal(1, code)).outcome == Refused(code)
        second = device()
        second.start()
        second.receive(vector.ECDH_RESPONSE)
        assert second.receive(messages.refusal(0x82, code)).outcome == Refused(code)
        third = device(KEYS)
        third.start()
        assert third.receive(messages.refusal(0x80, code)).outcome == Refused(code)
        fourth = device(KEYS)
        fourth.start()
        fourth.receive(vector.ORIGINAL_2)
        assert fourth.receive(messages.refusal(0xB0, code)).outcome == Refused(code)

    def test_an_lbs_that_does_not_send_the_random_byte_back_is_not_believed(self) -> None:
        end = DeviceHandshake(IDENTITY, KEYS, draw=drawing(b"\x12"))
        end.start()
        assert isinstance(end.receive(vector.ORIGINAL_2).outcome, Malformed)

    def test_an_lbs_that_cannot_sign_is_not_believed(self) -> None:
        end = device()
        end.start()
        end.receive(vector.ECDH_RESPONSE)
        assert isinstance(end.receive(vector.APPLY_RESPONSE[:-1] + b"\x00").outcome, Malformed)

    def test_the_confirmation_goes_out_in_front_of_the_query_if_wanted(self) -> None:
        end = device(confirm_dev_id=True)
        end.start()
        end.receive(vector.ECDH_RESPONSE)
        confirmation = bytes.fromhex("9233 010100") + vector.SIGNATURE
        assert end.receive(vector.APPLY_RESPONSE).request == confirmation + vector.DAS_REQUEST

    @pytest.mark.parametrize("member", ["Address", "Port", "UdpPort", "Domain", "ServerID"])
    def test_a_das_without_one_of_its_members_is_malformed(self, member: str) -> None:
        found = {name: value for name, value in vector.DAS_ADDRESS.items() if name != member}
        with pytest.raises(messages.BadMessage, match=member):
            messages.read_das_answer(str({"Type": "DAS", "DasInfo": found}).replace("'", '"').encode())

    @pytest.mark.parametrize(("serial", "code"), [("", "A"), ("A" * 72, "A"), ("A/B", "A"), ("A", ""), ("A", "A" * 48)])
    def test_an_identity_that_cannot_be_sent_is_refused(self, serial: str, code: str) -> None:
        with pytest.raises(ValueError, match="has 1 to"):
            Identity(serial, code)


def test_nothing_prints_a_key() -> None:
    admitted = Admitted(Flow.FIRST, KEYS, vector.SESSION_KEY, DAS)
    grant = SessionGrant(vector.SERIAL, vector.DEV_ID, vector.SESSION_KEY, 0.0)
    for shown in (repr(admitted), repr(grant), repr(IDENTITY)):
        assert vector.MASTER_KEY.decode() not in shown
        assert repr(vector.SESSION_KEY) not in shown
        assert vector.CODE not in shown
