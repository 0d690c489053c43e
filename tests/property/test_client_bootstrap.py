"""Whatever a bootstrap server sends, a client answers with a code, and its configuration stays one that works."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m.client import DataModel
from lwm2m.client.bootstrap_session import BootstrapSession
from lwm2m.client.consistency import inconsistency
from lwm2m.client.versions import in_force, said_versions
from lwm2m.coap.message import Code, Request
from lwm2m.errors import LwM2MError
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.operations.bootstrap import BootstrapFinish, from_coap

DEFINITIONS = in_force(shipped(), "1.1")
SAID = said_versions(DEFINITIONS, "1.1")
FACTORY = [
    *[Record(Path(0, 0, number), value) for number, value in ((0, "coap://bs"), (1, True), (2, 3))],
    *[Record(Path(0, 1, number), value) for number, value in ((0, "coap://s"), (1, False), (2, 3), (10, 1))],
    *[Record(Path(1, 0, number), value) for number, value in ((0, 1), (1, 60), (6, True), (7, "U"), (8, None))],
    *[Record(Path(3, 0, number), value) for number, value in ((0, "Acme"), (4, None), (16, "U"))],
    Record(Path(3, 0, 11, 0), 0),
]

ids = st.sampled_from(["0", "1", "2", "3", "7", "10", "11", "16", "21", "65535", "x", "31000"])
numbers = st.sampled_from([0, 1, 2, 3, 7, 10, 11, 17])
values = st.one_of(
    st.fixed_dictionaries({"v": st.integers(-2, 70_000) | st.floats(allow_nan=False, allow_infinity=False)}),
    st.fixed_dictionaries({"vs": st.text(max_size=5) | st.sampled_from(["coap://x", "U", "1:1"])}),
    st.fixed_dictionaries({"vb": st.booleans()}),
    st.fixed_dictionaries({"vd": st.sampled_from(["", "AAEC"])}),
    st.fixed_dictionaries({"vlo": st.sampled_from(["21:0", "65535:65535", "3:0"])}),
    st.just({}),
)
names = st.lists(numbers, min_size=1, max_size=4).map(lambda path: "/" + "/".join(map(str, path)))
packs = st.lists(st.tuples(names, values), max_size=6).map(
    lambda pack: json.dumps([{"n": name, **value} for name, value in pack]).encode()
)
requests = st.builds(
    Request,
    st.sampled_from([Code.GET, Code.PUT, Code.PUT, Code.POST, Code.DELETE]),
    st.lists(ids, max_size=4).map(tuple) | st.just(("bs",)),
    payload=packs | st.binary(max_size=20),
    content_format=st.sampled_from([None, 0, 110, 110, 112, 11542, 9999]),
    accept=st.sampled_from([None, 40, 110, 112, 11542, 9999]),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(requests, max_size=10))
def test_every_request_gets_a_code_and_a_finish_leaves_sense(asked: list[Request]) -> None:
    model = DataModel(FACTORY)
    session = BootstrapSession(model, DEFINITIONS, "1.1", SAID)
    before = model.read(Path())
    for request in asked:
        try:
            operation = from_coap(request)
            answer = session.perform(operation)
        except LwM2MError:
            continue
        assert answer.code.is_success
        assert model.read(Path()) == before
        if isinstance(operation, BootstrapFinish):
            adopted = model.copy()
            removed, records, _ = session.difference(adopted)
            for path in removed:
                adopted.remove(path)
            adopted.update(records)
            assert inconsistency(adopted, DEFINITIONS) is None
            assert adopted.has(Path(3, 0))
