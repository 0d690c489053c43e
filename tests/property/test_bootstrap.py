"""Bootstrap sessions end whatever a client answers, tell no key, and survive being written down."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m.coap.message import Code, Response
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record
from lwm2m.operations.bootstrap import BootstrapDelete, BootstrapDiscover, BootstrapRead
from lwm2m.server import BootstrapConfig, BootstrapStep, SessionOutcome, StepOperation, WriteRecords
from lwm2m.server.bootstrap_check import problems
from lwm2m.server.bootstrap_config import in_order
from lwm2m.server.bootstrap_session import ATTEMPTS, Answered, BootstrapSession, Start, Unanswered
from lwm2m.server.store.configuration_json import configuration_from_json, configuration_to_json
from lwm2m.web.bootstrap_json import BadConfiguration, config_json, config_of

DEFINITIONS = shipped().choose({21: (2, 0)})
KEY = b"the one key of them all"

instances = st.integers(0, 5)
values = (
    st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    | st.binary(max_size=5)
    | st.builds(ObjectLink, instances, instances)
    | st.none()
)


@st.composite
def security_writes(draw: st.DrawFn) -> WriteRecords:
    base = Path(0, draw(instances))
    records = [Record(base.child(1), draw(st.booleans())), Record(base.child(5), KEY), Record(base.child(10), 7)]
    return WriteRecords(base, tuple(records))


@st.composite
def other_writes(draw: st.DrawFn) -> WriteRecords:
    base = Path(draw(st.sampled_from([1, 2, 3, 21, 9999])), draw(instances))
    numbers = draw(st.lists(instances, min_size=1, max_size=3, unique=True))
    return WriteRecords(base, tuple(Record(base.child(number), draw(values)) for number in numbers))


operations: st.SearchStrategy[StepOperation] = st.one_of(
    security_writes(),
    other_writes(),
    st.builds(BootstrapDiscover, st.sampled_from([Path(), Path(0), Path(3)])),
    st.builds(BootstrapRead, st.sampled_from([Path(1), Path(2, 0)])),
    st.builds(BootstrapDelete, st.sampled_from([Path(), Path(0), Path(1, 0)])),
)
steps = st.lists(st.builds(BootstrapStep, operations, st.booleans()), max_size=5)
configs = st.builds(
    BootstrapConfig,
    steps.map(in_order),
    st.sampled_from([None, ContentFormat.TLV, ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR]),
    st.booleans(),
)
links = st.sampled_from(
    [
        b"</>;lwm2m=1.1,</0/0>,</0/1>;ssid=7",
        b"</0/0>,</0/1>",
        b'</0/3>;uri="coap://a",</1/0>;ssid=1',
        b"",
        b"</",
        b"</x>,</0/99999>,</0/1/>",
        b"\xff",
    ]
)
answers = st.one_of(
    st.builds(Response, st.sampled_from([Code.CHANGED, Code.DELETED, Code.CREATED])),
    st.builds(Response, st.just(Code.CONTENT), links, st.just(ContentFormat.LINK)),
    st.builds(Response, st.just(Code.CONTENT), st.binary(max_size=20), st.sampled_from([None, 0, 110, 112, 11542])),
    st.builds(Response, st.sampled_from([Code.BAD_REQUEST, Code.NOT_ACCEPTABLE, Code.NOT_FOUND, Code(0xBF)])),
    st.just(None),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None, max_examples=100)
@given(configs, st.lists(answers, min_size=1, max_size=30))
def test_a_session_ends_whatever_the_client_answers(config: BootstrapConfig, told: list[Response | None]) -> None:
    session = BootstrapSession(1, "x", "peer", config, None, DEFINITIONS)
    operation, asked = session.handle(Start(), 0.0), 0
    while operation is not None:
        asked += 1
        assert asked <= ATTEMPTS * (len(config.steps) + 1)
        answer = told[asked % len(told)]
        operation = session.handle(Unanswered("gone") if answer is None else Answered(answer), float(asked))
    assert session.outcome in (SessionOutcome.FINISHED, SessionOutcome.FAILED)
    assert KEY.decode() not in repr(session.log)
    assert KEY.hex() not in repr(session.log)


@settings(deadline=None, max_examples=100)
@given(configs)
def test_a_configuration_survives_being_written_down(config: BootstrapConfig) -> None:
    assert configuration_from_json(configuration_to_json(config)) == config


@settings(deadline=None, max_examples=100)
@given(configs)
def test_an_answer_tells_no_key_and_a_check_quotes_none(config: BootstrapConfig) -> None:
    texts = [json.dumps(config_json(config)), *problems(config, DEFINITIONS)]
    for spelling in (KEY.decode(), KEY.hex(), str(list(KEY))[1:-1]):
        assert not any(spelling in text for text in texts)


MEMBERS = ["servers", "security", "oscore", "acls", "toDelete", "contentFormat", "unknown"]
ENTRY_MEMBERS = [
    *("shortId", "lifetime", "apnLink", "binding", "uri", "securityMode", "secretKey", "cipherSuite", "serverId"),
    *("acls", "objectId", "oscoreSecurityMode", "oscoreSenderId", "oscoreHmacAlgorithm"),
]


def taken_or_told(document: object) -> None:
    """Anything but a BadConfiguration is a failure."""
    try:
        config = config_of(document, DEFINITIONS)
    except BadConfiguration:
        return
    problems(config, DEFINITIONS)
    json.dumps(config_json(config))


@settings(deadline=None, max_examples=100)
@given(json_values | st.dictionaries(st.sampled_from(MEMBERS), json_values))
def test_any_json_is_a_configuration_or_told(document: object) -> None:
    taken_or_told(document)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(MEMBERS[:4]), st.dictionaries(st.sampled_from(ENTRY_MEMBERS), json_values))
def test_any_entry_is_taken_or_told(name: str, entry: dict[str, object]) -> None:
    taken_or_told({name: {"0": entry}})
