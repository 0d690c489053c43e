"""What strangers make of protected messages: nothing of it verifies, raises or stays."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m.coap.carrier import Incoming
from lwm2m.coap.message import Code
from lwm2m.coap.object_security.context import Context
from lwm2m.coap.object_security.contexts import Oscore
from lwm2m.coap.object_security.freshness import Freshness
from lwm2m.coap.object_security.option import OSCORE, OscoreOption
from lwm2m.coap.oscore import OscoreCarrier
from lwm2m.coap.packet import BLOCK1, BLOCK2, OBSERVE, URI_PATH, Packet
from lwm2m.security.info import OscoreSecurity
from lwm2m.security.sequence_numbers import MemoryNumbers
from tests.unit.fake_carrier import FakeCarrier, FakeIncoming

OURS = OscoreSecurity(bytes(range(16)), b"s", b"c")
THEIRS = OscoreSecurity(bytes(range(16)), b"c", b"s")
GET = Packet(Code.GET, b"t", {URI_PATH: (b"3", b"0")}, b"body")
MODEST = settings(max_examples=100, deadline=None)

OPTIONS = st.dictionaries(
    st.sampled_from([OSCORE, BLOCK1, BLOCK2, OBSERVE, URI_PATH]),
    st.lists(st.binary(max_size=3), min_size=1, max_size=2).map(tuple),
)


@MODEST
@given(st.binary(max_size=32))
def test_an_option_is_read_or_refused(value: bytes) -> None:
    try:
        option = OscoreOption.decode(value)
    except ValueError:
        return
    assert option.number is None or option.number < 1 << 40


@MODEST
@given(st.data())
async def test_what_was_changed_is_refused_and_the_true_request_is_taken_after_it(data: st.DataObject) -> None:
    carrier = OscoreCarrier(FakeCarrier(), Oscore(MemoryNumbers(), lambda *_: OURS))
    served: list[Incoming] = []
    carrier.serve = served.append
    true, _ = Context(THEIRS, MemoryNumbers(), Freshness(b"secret")).protect_request(GET)
    changed = true._replace(
        code=data.draw(st.sampled_from([true.code, Code.FETCH, Code.GET, Code.PUT])),
        options={**true.options, **data.draw(OPTIONS)},
        payload=data.draw(st.one_of(st.binary(max_size=64), st.just(true.payload))),
    )
    is_changed = (changed.code in (Code.POST, Code.FETCH), changed.options.get(OSCORE), changed.payload) != (
        True,
        true.options[OSCORE],
        true.payload,
    )
    if is_changed:
        carrier.receive(FakeIncoming(changed))
        assert not served
        carrier.receive(FakeIncoming(true))
        assert [incoming.packet for incoming in served] == [GET]
