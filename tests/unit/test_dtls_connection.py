"""An association of DTLS once it stands, what a stranger can do to it, and what comes before: cookies and pieces."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lwm2m.dtls.alerts import Alert, Fatal
from lwm2m.dtls.connection import Closed, Received
from lwm2m.dtls.fragments import LARGEST_MESSAGE, MOST_HELD, Assembly, Message, fragments_of
from lwm2m.dtls.listener import MOST_HELLOS, MOST_RECORDS, Accepted, Answer, Listener
from lwm2m.dtls.messages import ClientHello, MessageType, cookie_of
from lwm2m.dtls.record import CLEAR_EPOCH, Kind, Writer, records
from lwm2m.dtls.settings import Sessions
from tests.dtls_pair import ADDRESS, Pair, any_server, endings, psk_client, rpk_client


@pytest.fixture
def pair() -> Pair:
    return Pair(psk_client(connection_id=b"cc"), any_server(cid_length=4)).shake_hands()


@pytest.fixture
def plain() -> Pair:
    """Without connection ids."""
    return Pair(psk_client(connection_id=None), any_server()).shake_hands()


def protected(pair: Pair, kind: int, content: bytes) -> bytes:
    """From the client, of whatever kind."""
    return pair.client._writer.write(kind, content)


def handshake_message(kind: MessageType, number: int = 9, body: bytes = b"") -> bytes:
    return b"".join(Message(kind, number, body).fragments(1000))


# What arrives


def test_what_comes_twice_is_taken_once(pair: Pair) -> None:
    datagram = pair.client.send(b"x")
    assert pair.serving_side.receive(datagram, 0) == [Received(b"x")]
    assert pair.serving_side.was_read
    assert pair.serving_side.receive(datagram, 0) == []
    assert not pair.serving_side.was_read


def test_what_overtakes_is_not_the_newest(pair: Pair) -> None:
    older, newer = pair.client.send(b"1"), pair.client.send(b"2")
    assert pair.serving_side.receive(newer, 0) == [Received(b"2")]
    assert pair.serving_side.is_newest
    assert pair.serving_side.receive(older, 0) == [Received(b"1")]
    assert (pair.serving_side.was_read, pair.serving_side.is_newest) == (True, False)


def test_several_records_in_a_datagram_all_count(pair: Pair) -> None:
    datagram = pair.client.send(b"1") + pair.client.send(b"2")
    assert pair.serving_side.receive(datagram, 0) == [Received(b"1"), Received(b"2")]


def test_the_records_bear_the_ids_that_the_other_side_wants(pair: Pair) -> None:
    assert pair.client.send(b"x")[:1] + pair.client.send(b"x")[11:15] == b"\x19abcd"
    assert pair.serving_side.send(b"x")[11:13] == b"cc"
    assert pair.talk()


@pytest.mark.parametrize(
    ("client_id", "length", "there", "back"),
    [(None, 4, 23, 23), (b"", 4, 25, 23), (b"cc", 0, 23, 25), (b"", 0, 23, 23), (b"c" * 32, 32, 25, 25)],
)
def test_ids_go_either_way_alone(client_id: bytes | None, length: int, there: int, back: int) -> None:
    pair = Pair(psk_client(connection_id=client_id), any_server(cid_length=length), cid=bytes(32)).shake_hands()
    assert (pair.client.send(b"x")[0], pair.serving_side.send(b"x")[0]) == (there, back)
    assert pair.talk()


def test_forgeries_leave_no_trace(plain: Pair) -> None:
    datagram = plain.client.send(b"x")
    changed = datagram[:-1] + bytes((datagram[-1] ^ 1,))
    for forged in (changed, datagram[:20], b"", b"\x17", bytes(100), b"\x17\xfe\xfd\0\1" + bytes(40)):
        assert plain.serving_side.receive(forged, 0) == []
    assert plain.serving_side.take() == []
    assert plain.serving_side.receive(datagram, 0) == [Received(b"x")]


@pytest.mark.parametrize("alert", [Alert.CLOSE_NOTIFY, Alert.HANDSHAKE_FAILURE, Alert.BAD_RECORD_MAC])
@pytest.mark.parametrize("level", [1, 2])
def test_an_alert_in_the_clear_does_not_end_what_stands(pair: Pair, level: int, alert: int) -> None:
    forged = Writer(0, first=77).write(Kind.ALERT, bytes((level, alert)))
    assert pair.serving_side.receive(forged, 0) == []
    assert pair.client.receive(forged, 0) == []
    assert pair.talk()


def test_nor_does_any_other_record_in_the_clear(pair: Pair) -> None:
    for kind in MessageType:
        forged = Writer(0, first=77).write(Kind.HANDSHAKE, handshake_message(kind, 0))
        assert pair.serving_side.receive(forged, 0) == []
        assert pair.serving_side.take() == []
    assert pair.serving_side.receive(Writer(0).write(Kind.APPLICATION_DATA, b"forged"), 0) == []
    assert pair.talk()


def test_data_in_the_clear_is_not_taken_during_the_handshake_either() -> None:
    pair = Pair(psk_client(), any_server())
    pair.client.start(pair.handshake.start(), pair.now)
    assert pair.client.receive(Writer(0).write(Kind.APPLICATION_DATA, b"forged"), pair.now) == []
    assert pair.run().are_connected


def test_later_epochs_do_not_exist(pair: Pair) -> None:
    assert pair.serving_side.receive(Writer(2).write(Kind.APPLICATION_DATA, bytes(40)), 0) == []
    assert pair.talk()


# Renegotiation, ends


@pytest.mark.parametrize("kind", [MessageType.CLIENT_HELLO, MessageType.HELLO_REQUEST])
def test_renegotiation_is_refused_and_the_association_goes_on(pair: Pair, kind: MessageType) -> None:
    assert pair.serving_side.receive(protected(pair, Kind.HANDSHAKE, handshake_message(kind)), 0) == []
    (answer,) = pair.serving_side.take()
    assert pair.client._reader is not None
    (record,) = records(answer, 2)
    content = pair.client._reader.read(record)
    assert content is not None
    assert (content.kind, content.plaintext) == (Kind.ALERT, bytes((1, Alert.NO_RENEGOTIATION)))
    assert pair.talk()


def test_saying_good_bye(pair: Pair) -> None:
    pair.client.close()
    (farewell,) = pair.client.take()
    assert endings(pair.serving_side.receive(farewell, 0)) == [(Alert.CLOSE_NOTIFY, True)]
    (answer,) = pair.serving_side.take()
    assert pair.client.receive(answer, 0) == []
    for side in (pair.client, pair.serving_side):
        assert side.is_closed
        with pytest.raises(Fatal, match="does not stand"):
            side.send(b"x")
        side.close()
        assert side.take() == []
        assert side.deadline() is None


def test_a_fatal_alert_under_protection_ends_it(pair: Pair) -> None:
    alert = protected(pair, Kind.ALERT, bytes((2, Alert.ACCESS_DENIED)))
    assert pair.serving_side.receive(alert, 0) == [Closed(49, "the peer says: access denied", by_peer=True)]


@pytest.mark.parametrize("content", [b"", b"\1", b"\2\0\0", bytes((1, Alert.NO_RENEGOTIATION)), bytes((1, 200))])
def test_warnings_and_what_is_no_alert_do_not(pair: Pair, content: bytes) -> None:
    assert pair.serving_side.receive(protected(pair, Kind.ALERT, content), 0) == []
    assert pair.talk()


def test_a_spoiled_handshake_message_under_protection_ends_it(pair: Pair) -> None:
    assert endings(pair.serving_side.receive(protected(pair, Kind.HANDSHAKE, b"\x14\0"), 0)) == [
        (Alert.DECODE_ERROR, False)
    ]


def test_an_end_for_a_reason_outside(pair: Pair) -> None:
    pair.serving_side.abort(Alert.ACCESS_DENIED)
    pair.serving_side.abort(Alert.ACCESS_DENIED)
    (said,) = pair.serving_side.take()
    assert endings(pair.client.receive(said, 0)) == [(Alert.ACCESS_DENIED, True)]


def test_nothing_is_sent_before_the_association_stands() -> None:
    with pytest.raises(Fatal, match="does not stand"):
        Pair(psk_client(), any_server()).client.send(b"x")


# Small records


@pytest.mark.parametrize("length", [512, 1024, 2048, 4096])
def test_no_record_is_longer_than_the_client_asked_for(length: int) -> None:
    pair = Pair(rpk_client(fragment_length=length), any_server()).shake_hands()
    for datagram in pair.to_client:
        assert all(len(record.fragment) <= length + 80 for record in records(datagram, 0))
    for side in (pair.client, pair.serving_side):
        assert side.fragment_length == length
        side.send(bytes(length))
        with pytest.raises(ValueError, match="more than the peer takes"):
            side.send(bytes(length + 1))


def test_without_such_a_wish_a_record_has_16_kib() -> None:
    pair = Pair(psk_client(), any_server()).shake_hands()
    assert pair.serving_side.receive(pair.client.send(bytes(1 << 14)), 0) == [Received(bytes(1 << 14))]
    with pytest.raises(ValueError, match="16385 bytes"):
        pair.client.send(bytes((1 << 14) + 1))


# Cookies


def hello_of(pair: Pair) -> bytes:
    pair.client.start(pair.handshake.start(), pair.now)
    return pair.client.take()[0]


@pytest.fixture
def listener() -> Listener:
    return Listener(any_server(), Sessions())


def accepted_hello(listener: Listener, now: float = 0.0) -> bytes:
    """A hello with the cookie that the listener gave."""
    pair = Pair(psk_client(), any_server())
    answer = listener.receive(hello_of(pair), ADDRESS, now)
    assert isinstance(answer, Answer)
    pair.client.receive(answer.datagram, now)
    return pair.client.take()[0]


def test_a_cookie_is_good_for_its_address_and_for_a_while(listener: Listener) -> None:
    hello = accepted_hello(listener)
    assert isinstance(listener.receive(hello, ADDRESS, 0), Accepted)
    assert isinstance(listener.receive(hello, ADDRESS, 119), Accepted)
    assert isinstance(listener.receive(hello, ADDRESS, 121), Answer)
    assert isinstance(listener.receive(hello, b"198.51.100.1:40000", 0), Answer)
    assert isinstance(Listener(any_server(), Sessions()).receive(hello, ADDRESS, 0), Answer)


def test_a_cookie_is_good_for_its_hello_only(listener: Listener) -> None:
    hello = accepted_hello(listener)
    for at in range(13 + 12 + 2, len(hello)):
        changed = bytearray(hello)
        changed[at] ^= 1
        assert not isinstance(listener.receive(bytes(changed), ADDRESS, 0), Accepted), at


def test_the_answer_to_a_hello_is_smaller_than_the_hello(listener: Listener) -> None:
    pair = Pair(psk_client(), any_server())
    hello = hello_of(pair)
    answer = listener.receive(hello, ADDRESS, 0)
    assert isinstance(answer, Answer)
    assert len(answer.datagram) < len(hello)
    assert answer.datagram[1:3] == b"\xfe\xff"
    assert answer.datagram[3:11] == hello[3:11]


def numbered(hello: bytes, message: int, record: int) -> bytes:
    return hello[:5] + record.to_bytes(6, "big") + hello[11:17] + message.to_bytes(2, "big") + hello[19:]


@pytest.mark.parametrize(
    ("message", "record"), [(MOST_HELLOS + 1, 0), (0xFFFF, 0), (1, MOST_RECORDS + 1), (1, (1 << 48) - 1)]
)
def test_who_begins_with_the_last_numbers_is_not_heard(listener: Listener, message: int, record: int) -> None:
    assert listener.receive(numbered(accepted_hello(listener), message, record), ADDRESS, 0) is None


def test_the_numbers_of_a_hello_are_taken_up(listener: Listener) -> None:
    verdict = listener.receive(numbered(accepted_hello(listener), 2, 77), ADDRESS, 0)
    assert isinstance(verdict, Accepted)
    verdict.connection.receive(numbered(accepted_hello(listener), 2, 77), 0)
    (record, *_) = records(verdict.connection.take()[0], 0)
    assert record.sequence == 77
    assert next(fragments_of(record.fragment)).number == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda hello: b"\x17" + hello[1:],
        lambda hello: hello[:3] + b"\0\1" + hello[5:],
        lambda hello: hello[:13] + b"\2" + hello[14:],
        lambda hello: hello[:-1],
        lambda hello: hello[:13],
        lambda _: b"",
    ],
    ids=["data", "another epoch", "another message", "cut short", "header only", "nothing"],
)
def test_what_is_no_hello_is_not_answered(listener: Listener, change: Callable[[bytes], bytes]) -> None:
    assert listener.receive(change(accepted_hello(listener)), ADDRESS, 0) is None


def test_dtls_1_0_is_refused(listener: Listener) -> None:
    """With the cookie that such a hello would get."""
    hello = accepted_hello(listener)
    older = hello[:25] + b"\xfe\xff" + hello[27:]
    answer = listener.receive(older, ADDRESS, 0)
    assert isinstance(answer, Answer)
    (record,) = records(answer.datagram, 0)
    cookie = cookie_of(next(fragments_of(record.fragment)).part)
    at = older.index(ClientHello.around_cookie(hello[25:])[1])
    older = older[:at] + cookie + older[at + len(cookie) :]
    verdict = listener.receive(older, ADDRESS, 0)
    assert isinstance(verdict, Accepted)
    assert endings(verdict.connection.receive(older, 0)) == [(Alert.PROTOCOL_VERSION, False)]
    assert verdict.connection.take()[0][-2:] == bytes((2, Alert.PROTOCOL_VERSION))


# Pieces of messages


def pieces(number: int, length: int, size: int) -> list[bytes]:
    return list(Message(MessageType.CERTIFICATE, number, bytes(n % 251 for n in range(length))).fragments(size))


def put(assembly: Assembly, *plaintexts: bytes) -> list[Message]:
    found = []
    for plaintext in plaintexts:
        for fragment in fragments_of(plaintext):
            assembly.add(fragment)
        while (message := assembly.next()) is not None:
            found.append(message)
    return found


@pytest.mark.parametrize("size", [1, 7, 500])
@pytest.mark.parametrize("backwards", [False, True])
def test_pieces_in_any_order_become_a_message(size: int, backwards: bool) -> None:
    parts = pieces(0, 60, size)
    (message,) = put(Assembly(), *(reversed(parts) if backwards else parts))
    assert message.body == bytes(n % 251 for n in range(60))


def test_pieces_that_overlap_and_come_twice() -> None:
    parts = [*pieces(0, 100, 30), *pieces(0, 100, 70)]
    assert [len(message.body) for message in put(Assembly(), parts[0], parts[0], parts[5], parts[4])] == [100]


def test_messages_come_in_their_order() -> None:
    first, second = pieces(0, 10, 100), pieces(1, 20, 100)
    assert [message.number for message in put(Assembly(), *second, *first)] == [0, 1]
    assert put(Assembly(), *pieces(8, 10, 100)) == []


@pytest.mark.parametrize(
    ("plaintext", "sentence"),
    [
        (pieces(0, 20, 100)[0][:-1], "shorter than it says"),
        (b"\x0b\0\0\x05\0\0\0\0\3\0\0\3abc", "beyond its message"),
        (b"\x0b\1\0\0\0\0\0\0\0\0\0\1x", "too large"),
    ],
)
def test_what_is_no_piece(plaintext: bytes, sentence: str) -> None:
    with pytest.raises(Fatal, match=sentence):
        put(Assembly(), plaintext)


def test_pieces_that_contradict_one_another() -> None:
    with pytest.raises(Fatal, match="do not fit together"):
        put(Assembly(), pieces(0, 20, 10)[0], pieces(0, 21, 10)[1])


def test_too_many_holes() -> None:
    with pytest.raises(Fatal, match="too many pieces"):
        put(Assembly(), *pieces(0, 1000, 1)[::2])


def test_what_is_held_of_messages_ahead_has_an_end() -> None:
    assembly = Assembly()
    for number in range(1, 8):
        put(assembly, pieces(number, LARGEST_MESSAGE, 10)[0])
        assert sum(incomplete.length for incomplete in assembly._incomplete.values()) <= MOST_HELD
    assert len(put(assembly, *pieces(0, LARGEST_MESSAGE, 1000))) == 1


def test_a_hello_in_pieces_is_not_put_together_before_the_cookie(listener: Listener) -> None:
    hello = accepted_hello(listener)
    (record,) = records(hello, 0)
    (whole,) = put(Assembly(1), record.fragment)
    for piece in whole.fragments(50):
        assert listener.receive(Writer(0).write(Kind.HANDSHAKE, piece), ADDRESS, 0) is None
    assert record.number[:2] == CLEAR_EPOCH
