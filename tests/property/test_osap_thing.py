"""Whatever the platform asks of a device, it answers with one of the protocol's codes and keeps to its profile."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from osap_bridge.osap.device.thing import Behaviour, DeviceInfo, PointKey, Thing
from osap_bridge.osap.message import ACTION_FAILED, SUCCESS, UNKNOWN_POINT, VALUE_REFUSED
from osap_bridge.osap.profile import Profile
from osap_bridge.osap.topic import MsgType, Topic

LAMP = Profile.from_json((Path(__file__).parents[2] / "osap_bridge/translators/dimmable_lamp.json").read_bytes())
SERIAL = "K12345678"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
bodies = (
    st.binary(max_size=40)
    | json_values.map(lambda value: json.dumps(value).encode())
    | json_values.map(lambda value: json.dumps({"data": {"Value": value}}).encode())
    | json_values.map(lambda value: json.dumps({"data": value}).encode())
    | json_values.map(
        lambda value: json.dumps(
            {"state": {"desired": {"domain": "LightControl", "identifier": "Switch", "value": value}}}
        ).encode()
    )
)
model = st.sampled_from([("attribute", MsgType.SET), ("attribute", MsgType.GET), ("service", MsgType.OPERATE)])
points = st.sampled_from(
    [
        ("LightControl", "Switch"),
        ("LightControl", "Brightness"),
        ("PowerMeter", "Power"),
        ("PowerMeter", "Reset"),
        ("InfoMgr", "DeviceDescription"),
        ("DynamicCapability", "GetDomains"),
        ("No", "Thing"),
    ]
)
children = st.sampled_from(["global", "CHILD1"])
resources = st.sampled_from([("0", "global"), ("1", "global"), ("1", "Video")])


def _model_topic(child: str, resource: tuple[str, str], what: tuple[str, MsgType], point: tuple[str, str]) -> Topic:
    return Topic(SERIAL, child, *resource, "model", what[0], what[1], *point)


topics = st.builds(_model_topic, children, resources, model, points) | st.builds(
    lambda child, resource: Topic(SERIAL, child, *resource, "basic", "shadow", MsgType.SET), children, resources
)


def _output(_key: PointKey, arguments: Any) -> Any:
    return arguments


@settings(max_examples=200, deadline=None)
@given(requests=st.lists(st.tuples(topics, bodies), min_size=1, max_size=5))
def test_every_request_is_answered_and_the_values_stay_within_the_profile(requests: list[tuple[Topic, bytes]]) -> None:
    thing = Thing(SERIAL, LAMP, DeviceInfo("DimmableLamp"), Behaviour(on_operate=_output))

    async def ask_all() -> None:
        for topic, body in requests:
            answer = await thing.answer(topic, body, 0.0)
            assert answer is not None
            assert answer.topic == topic.reply
            content = json.loads(answer.body)
            code = content["payload"]["code"] if topic.module == "basic" else content["code"]
            assert code in (0, -1, SUCCESS, UNKNOWN_POINT, VALUE_REFUSED, ACTION_FAILED)
            assert bool(answer.changed) <= (code in (0, SUCCESS))

    asyncio.run(ask_all())
    for key, prop in thing.properties():
        assert prop.schema.violation(thing.values[key]) is None
