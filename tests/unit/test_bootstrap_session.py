"""The bootstrap session: which request comes next, whatever the client answers, and what the log says of it."""

from __future__ import annotations

from lwm2m.coap.message import Code, Response
from lwm2m.codec import decode, encode
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations.bootstrap import (
    BootstrapDelete,
    BootstrapDiscover,
    BootstrapFinish,
    BootstrapOperation,
    BootstrapRead,
    BootstrapWrite,
)
from lwm2m.server.bootstrap_accounts import PreSharedKey, ServerAccount, account_config
from lwm2m.server.bootstrap_config import BootstrapConfig, BootstrapStep, WriteRecords, in_order
from lwm2m.server.bootstrap_log import SessionEvent, SessionOutcome
from lwm2m.server.bootstrap_session import Answered, BootstrapSession, Ended, Start, Unanswered

KEY = b"sixteen secrets!"
ACCOUNT = ServerAccount("coaps://a", 101, PreSharedKey("dev1", KEY))
DELETED, CHANGED = Response(Code.DELETED), Response(Code.CHANGED)
REFUSED = Response(Code.BAD_REQUEST, b"no")
NOT_ACCEPTABLE = Response(Code.NOT_ACCEPTABLE)


def links(text: str) -> Response:
    return Response(Code.CONTENT, text.encode(), ContentFormat.LINK)


def session_of(config: BootstrapConfig, preferred: int | None = None) -> BootstrapSession:
    return BootstrapSession(1, "dev1", "127.0.0.1:40000", config, preferred, shipped())


def conversation(session: BootstrapSession, *answers: Response) -> list[BootstrapOperation | None]:
    """What the client is asked, one item more than the answers."""
    asked = [session.handle(Start(), 0.0)]
    for number, answer in enumerate(answers, 1):
        asked.append(session.handle(Answered(answer), float(number)))
    return asked


def written(operation: BootstrapOperation | None) -> tuple[Path, dict[Path, object]]:
    assert isinstance(operation, BootstrapWrite)
    assert operation.body.content_format is not None
    records = decode(operation.body.payload, operation.body.content_format, operation.path, shipped())
    return operation.path, {record.path: record.value for record in records}


def test_an_account_is_deleted_written_and_finished() -> None:
    session = session_of(account_config([ACCOUNT], auto_id=False))
    asked = conversation(session, DELETED, DELETED, CHANGED, CHANGED, CHANGED)
    assert asked[:2] == [BootstrapDelete(Path(0)), BootstrapDelete(Path(1))]
    path, security = written(asked[2])
    assert (path, security[Path(0, 1, 10)], security[Path(0, 1, 5)]) == (Path(0, 1), 101, KEY)
    assert written(asked[3])[0] == Path(1, 0)
    assert asked[4:] == [BootstrapFinish(), None]
    assert session.outcome is SessionOutcome.FINISHED


def test_writes_are_in_the_format_that_is_configured_or_preferred_or_in_tlv() -> None:
    def used(content_format: ContentFormat | None, preferred: int | None) -> int | None:
        config = account_config([ACCOUNT], content_format=content_format, auto_id=False)
        operation = conversation(session_of(config, preferred), DELETED, DELETED)[-1]
        assert isinstance(operation, BootstrapWrite)
        return operation.body.content_format

    assert used(None, None) == ContentFormat.TLV
    assert used(None, 110) == ContentFormat.SENML_JSON
    assert used(None, 112) == ContentFormat.SENML_CBOR
    assert used(ContentFormat.TLV, 112) == ContentFormat.TLV


def test_the_bootstrap_account_of_the_client_is_not_written_over() -> None:
    session = session_of(account_config([ACCOUNT, ServerAccount("coap://b", 102)]))
    discovered = links('</>;lwm2m=1.1,</0/0>;ssid=7;uri="coap://old",</0/1>,</1/0>;ssid=7')
    asked = conversation(session, discovered, DELETED, DELETED, CHANGED)
    assert asked[0] == BootstrapDiscover(Path(0))
    assert {written(operation)[0] for operation in asked[3:5]} == {Path(0, 0), Path(0, 2)}
    path, values = written(asked[3])
    assert values[path.child(10)] == 101


def test_a_new_bootstrap_account_takes_the_place_of_the_old_one() -> None:
    own = WriteRecords(Path(0, 0), (Record(Path(0, 0, 0), "coap://bs"), Record(Path(0, 0, 1), True)))
    server = WriteRecords(Path(0, 5), ACCOUNT.security_records(5))
    config = BootstrapConfig(in_order([server, own]), auto_id=True)
    asked = conversation(session_of(config), links("</>;lwm2m=1.1,</0/5>"), CHANGED)
    assert [written(operation)[0] for operation in asked[1:3]] == [Path(0, 1), Path(0, 5)]


def test_a_client_that_does_not_tell_its_bootstrap_account_keeps_it() -> None:
    """An LwM2M 1.0 client may list its accounts without short server ids: none of them is written over."""
    asked = conversation(session_of(account_config([ACCOUNT])), links("</0/0>,</0/1>"), DELETED, DELETED)
    assert written(asked[3])[0] == Path(0, 2)

    own = WriteRecords(Path(0, 0), (Record(Path(0, 0, 0), "coap://bs"), Record(Path(0, 0, 1), True)))
    session = session_of(BootstrapConfig(in_order([own]), auto_id=True))
    assert conversation(session, links("</0/0>,</0/1>"))[-1] is None
    assert "does not tell" in session.log.entries[-1].message


def test_a_version_before_the_links_is_read_as_one() -> None:
    session = session_of(account_config([ACCOUNT]))
    asked = conversation(session, links('lwm2m="1.0",</0/0>;ssid=7,</0/1>'), DELETED, DELETED)
    assert written(asked[3])[0] == Path(0, 0)
    values = {str(value.path): value.text for value in session.log.entries[1].values}
    assert values["/"] == '</>;lwm2m="1.0"'


def test_the_first_refusal_ends_the_session() -> None:
    session = session_of(account_config([ACCOUNT], auto_id=False))
    assert conversation(session, REFUSED)[-1] is None
    assert session.outcome is SessionOutcome.FAILED
    assert session.log.entries[-1].message == "the client refused the delete with 4.00"
    assert session.handle(Answered(DELETED), 2.0) is None


def test_a_step_may_fail_that_says_so() -> None:
    steps = (BootstrapStep(BootstrapRead(Path(2)), continue_on_error=True), *in_order([BootstrapDelete(Path(0))]))
    session = session_of(BootstrapConfig(steps))
    assert conversation(session, Response(Code.NOT_FOUND), DELETED, CHANGED)[1:] == [
        BootstrapDelete(Path(0)),
        BootstrapFinish(),
        None,
    ]
    assert session.outcome is SessionOutcome.FINISHED


def test_an_answer_that_cannot_be_read_is_an_error_of_its_step() -> None:
    read = BootstrapRead(Path(1), ContentFormat.TLV)
    garbage = Response(Code.CONTENT, b"\xff\xff", ContentFormat.TLV)
    tolerant = session_of(BootstrapConfig((BootstrapStep(read, continue_on_error=True), *in_order([]))))
    assert conversation(tolerant, garbage)[-1] == BootstrapFinish()
    strict = session_of(BootstrapConfig(in_order([read])))
    assert conversation(strict, garbage)[-1] is None
    assert strict.outcome is SessionOutcome.FAILED
    assert conversation(session_of(BootstrapConfig(in_order([read]))), CHANGED)[-1] is None


def test_a_client_that_finds_it_inconsistent_gets_all_of_it_once_more() -> None:
    session = session_of(BootstrapConfig(in_order([BootstrapDelete(Path(1))])))
    asked = conversation(session, DELETED, NOT_ACCEPTABLE, DELETED, CHANGED)
    assert asked == [BootstrapDelete(Path(1)), BootstrapFinish(), BootstrapDelete(Path(1)), BootstrapFinish(), None]
    assert session.outcome is SessionOutcome.FINISHED


def test_a_client_that_finds_it_inconsistent_twice_is_reported() -> None:
    session = session_of(BootstrapConfig(in_order([])))
    assert conversation(session, NOT_ACCEPTABLE, NOT_ACCEPTABLE) == [BootstrapFinish(), BootstrapFinish(), None]
    assert session.outcome is SessionOutcome.FAILED
    assert "inconsistent" in session.log.entries[-1].message


def test_a_refused_finish_is_not_tried_again_for_another_reason() -> None:
    session = session_of(BootstrapConfig(in_order([])))
    assert conversation(session, REFUSED) == [BootstrapFinish(), None]
    assert session.outcome is SessionOutcome.FAILED


def test_silence_ends_the_session_even_where_a_refusal_would_not() -> None:
    session = session_of(
        BootstrapConfig((BootstrapStep(BootstrapDelete(Path(0)), continue_on_error=True), *in_order([])))
    )
    session.handle(Start(), 0.0)
    assert session.handle(Unanswered("nothing arrived"), 93.0) is None
    assert session.outcome is SessionOutcome.FAILED
    assert [entry.event for entry in session.log.entries[-2:]] == [SessionEvent.REQUEST_FAILURE, SessionEvent.FAILED]


def test_a_value_that_cannot_be_encoded_ends_the_session_with_a_sentence() -> None:
    wrong = WriteRecords(Path(1, 0), (Record(Path(1, 0, 1), "an hour"),))
    session = session_of(BootstrapConfig(in_order([wrong])))
    assert conversation(session) == [None]
    assert session.outcome is SessionOutcome.FAILED
    assert "/1/0" in session.log.entries[-1].message


def test_a_session_that_was_replaced_says_nothing_more() -> None:
    session = session_of(BootstrapConfig(in_order([BootstrapDelete(Path(0))])))
    session.handle(Start(), 0.0)
    session.handle(Ended(SessionOutcome.RESTARTED), 1.0)
    assert session.handle(Answered(DELETED), 2.0) is None
    assert session.log.outcome is SessionOutcome.RESTARTED


def test_the_log_has_every_step_and_no_key() -> None:
    session = session_of(account_config([ACCOUNT], more=[BootstrapRead(Path(1)), BootstrapDiscover(Path())]))
    payload = encode([Record(Path(1, 0, 0), 101)], ContentFormat.TLV, Path(1), shipped())
    conversation(
        session,
        links("</>;lwm2m=1.1,</0/0>"),
        DELETED,
        DELETED,
        CHANGED,
        CHANGED,
        Response(Code.CONTENT, payload, ContentFormat.TLV),
        links('</>;lwm2m=1.1,</0/0>,</0/1>;ssid=101;uri="coaps://a",</1/0>;ssid=101'),
        CHANGED,
    )
    log = session.log
    sent = [str(entry.event) for entry in log.entries if entry.event.startswith("send")]
    assert sent == [
        f"send {name}" for name in ["discover", "delete", "delete", "write", "write", "read", "discover", "finish"]
    ]
    shown = {str(value.path): value.text for entry in log.entries for value in entry.values}
    assert shown["/0/1/5"] == f"({len(KEY)} bytes)"
    assert shown["/0/1/3"] == "(4 bytes)"
    assert shown["/1/0/0"] == "101"
    assert shown["/1/0"] == "</1/0>;ssid=101"
    assert [entry.time for entry in log.entries] == sorted(entry.time for entry in log.entries)
    assert KEY.decode() not in repr(log)
    assert KEY.hex() not in repr(log)


def test_news_are_told_once() -> None:
    session = session_of(BootstrapConfig(in_order([])))
    session.handle(Start(), 0.0)
    assert [entry.event for entry in session.news()] == [SessionEvent.SEND_FINISH]
    assert session.news() == ()
