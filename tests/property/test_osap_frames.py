"""Whatever comes, in every state, neither end of the authentication fails otherwise than the protocol says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osap_bridge.osap import crypto
from osap_bridge.osap.device.handshake import DeviceHandshake, Identity, Malformed, Refused
from osap_bridge.osap.directory import DeviceKeys
from osap_bridge.osap.frame import Frame, FrameError, FrameReader
from osap_bridge.osap.handshake import LbsHandshake, LbsState
from osap_bridge.osap.lbs_messages import DasAddress
from tests.osap_directory import MemoryDirectory
from tests.vectors import osap_handshake as vector

DAS = DasAddress("127.0.0.1", 18883, 18884, "das.local", "das-1")
KEYS = DeviceKeys(vector.DEV_ID, vector.MASTER_KEY)
IDENTITY = Identity(vector.SERIAL, vector.CODE)
DEVICE_KEY, LBS_KEY = crypto.private_key(vector.DEVICE_SCALAR), crypto.private_key(vector.LBS_SCALAR)

FIRST = [vector.ECDH_REQUEST, vector.APPLY_REQUEST, vector.DAS_REQUEST]
AGAIN = [vector.ECDH_REQUEST, vector.REFRESH_REQUEST, vector.DAS_REQUEST]
ORIGINAL = [vector.ORIGINAL_1, vector.ORIGINAL_3, vector.DAS_REQUEST]
REQUESTS = sorted({*FIRST, *AGAIN, *ORIGINAL})
ANSWERS = {
    "first": [vector.ECDH_RESPONSE, vector.APPLY_RESPONSE, vector.DAS_RESPONSE],
    "refresh": [vector.ECDH_RESPONSE, vector.REFRESH_RESPONSE, vector.DAS_RESPONSE],
    "original": [vector.ORIGINAL_2, vector.DAS_RESPONSE],
}
KEPT = {"first": None, "refresh": DeviceKeys(vector.DEV_ID, None), "original": KEYS}

controls = st.sampled_from([0x12, *(message[0] for message in REQUESTS)]) | st.integers(0, 255)
frames = st.builds(lambda control, content: bytes(Frame(control, content)), controls, st.binary(max_size=200))


@st.composite
def damaged(draw: st.DrawFn, messages: list[bytes]) -> bytes:
    """One of the messages with a byte changed, or cut short with its length kept true."""
    message = draw(st.sampled_from(messages))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(message) - 1))
        return message[:at] + bytes([draw(st.integers(0, 255))]) + message[at + 1 :]
    start = 3 if message[1] & 0x80 else 2
    return bytes(Frame(message[0], message[start : draw(st.integers(start, len(message)))]))


noise = frames | st.binary(max_size=300) | damaged(REQUESTS)


def lbs() -> LbsHandshake:
    directory = MemoryDirectory({vector.SERIAL: vector.CODE}, {vector.SERIAL: KEYS})
    return LbsHandshake(directory, lambda: DAS, draw=lambda n: vector.SESSION_KEY[:n], new_key=lambda: LBS_KEY)


@pytest.mark.parametrize("path", [FIRST, AGAIN, ORIGINAL], ids=["first", "refresh", "original"])
@pytest.mark.parametrize("reached", range(4))
@settings(max_examples=60, deadline=None)
@given(data=st.lists(noise, min_size=1, max_size=4))
def test_the_lbs_answers_anything_in_every_state(path: list[bytes], reached: int, data: list[bytes]) -> None:
    end = lbs()
    for message in path[:reached]:
        end.receive(message, 0.0)
    for piece in data:
        for step in end.receive(piece, 0.0):
            if step.answer:
                assert _is_one_frame(step.answer)
            assert step.close == (end.state is LbsState.CLOSED) or not step.close
    if end.state is LbsState.CLOSED:
        assert end.receive(vector.ECDH_REQUEST, 0.0) == []


@pytest.mark.parametrize("path", ["first", "refresh", "original"])
@pytest.mark.parametrize("reached", range(3))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_device_takes_anything_in_every_state(path: str, reached: int, data: st.DataObject) -> None:
    answers = ANSWERS[path]
    reached = min(reached, len(answers) - 1)
    end = DeviceHandshake(IDENTITY, KEPT[path], draw=lambda _: vector.RAND1, new_key=lambda: DEVICE_KEY)
    end.start()
    for message in answers[:reached]:
        assert end.receive(message).outcome is None
    piece = data.draw(frames | st.binary(max_size=300) | damaged(answers))
    step = end.receive(piece)
    if step.outcome is None and not step.request:
        return
    if isinstance(step.outcome, Malformed | Refused):
        assert vector.CODE not in repr(step.outcome)


@settings(max_examples=200, deadline=None)
@given(parts=st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=400)), max_size=6), cut=st.integers(1, 64))
def test_frames_survive_any_cutting(parts: list[tuple[int, bytes]], cut: int) -> None:
    sent = [Frame(*part) for part in parts]
    stream = b"".join(map(bytes, sent))
    reader, seen = FrameReader(), []
    for at in range(0, len(stream), cut):
        reader.feed(stream[at : at + cut])
        while (frame := reader.next()) is not None:
            seen.append(frame)
    assert seen == sent


@settings(max_examples=200, deadline=None)
@given(stream=st.binary(max_size=600))
def test_the_reader_follows_or_refuses_any_stream(stream: bytes) -> None:
    reader = FrameReader()
    reader.feed(stream)
    taken = 0
    try:
        while (frame := reader.next()) is not None:
            taken += 2 + len(frame.content)
    except FrameError:
        pass
    assert taken <= len(stream)


def _is_one_frame(data: bytes) -> bool:
    reader = FrameReader()
    reader.feed(data)
    return reader.next() is not None and reader.next() is None
