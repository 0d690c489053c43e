"""Topics of the DAS. osap.md §6.3."""

from __future__ import annotations

import pytest

from osap_bridge.osap.topic import (
    BatchTopic,
    CommandTopic,
    InvalidTopic,
    Method,
    MsgType,
    Topic,
    matches,
    parse_topic,
    subscriptions,
)

SET = Topic("Z1", "global", "0", "PetDryerRes", "model", "attribute", MsgType.SET, "LightControl", "Switch")


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("/iot/Z1/global/0-PetDryerRes/model/attribute/set/LightControl/Switch", SET),
        (
            "/iot/pk:dev/CWM_001/1-Video-Two/model/event/report/A/B",
            Topic("pk:dev", "CWM_001", "1", "Video-Two", "model", "event", MsgType.REPORT, "A", "B"),
        ),
        (
            "/iot/Z1/global/0-global/basic/shadow/query",
            Topic("Z1", "global", "0", "global", "basic", "shadow", MsgType.QUERY),
        ),
        (
            "/iot/Z1/global/0-global/storage/upload/url/query",
            Topic("Z1", "global", "0", "global", "storage", "upload/url", MsgType.QUERY),
        ),
        (
            "/iot/Z1/global/0-Humiture/model/attribute/mreport",
            BatchTopic("Z1", "global", "0", "Humiture", Method.ATTRIBUTE),
        ),
        ("/iot/Z1/global/0-global/event/mreport", BatchTopic("Z1", "global", "0", "global", Method.EVENT)),
        ("/1100/14448", CommandTopic(1100, 14448)),
        ("/Z1/1100/14449", CommandTopic(1100, 14449, "Z1")),
        ("/iot/1100/14449", CommandTopic(1100, 14449, "iot")),
    ],
)
def test_a_topic_reads_as_what_it_says_and_writes_back(text: str, topic: object) -> None:
    assert parse_topic(text) == topic
    assert str(topic) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "iot/Z1/global/0-Lamp/model/attribute/set/A/B",
        "/Z1",
        "/Z1/1100/0x10",
        "/1100/014448",
        "/1100/99999999999",
        "//1100/14449",
        "/other/Z1/global/0-Lamp/model/attribute/set/A/B",
        "/iot/Z1/global/0-Lamp/model/attribute/set/A",
        "/iot/Z1/global/0-Lamp/model/attribute/set/A/B/C",
        "/iot/Z1/global/0-Lamp/model/attribute/shout/A/B",
        "/iot/Z1/global/0-Lamp/model/weather/set/A/B",
        "/iot/Z1/global/Lamp/model/attribute/set/A/B",
        "/iot/Z1/global/-Lamp/model/attribute/set/A/B",
        "/iot/Z1//0-Lamp/model/attribute/set/A/B",
        "/iot//global/0-Lamp/model/attribute/set/A/B",
        "/iot/+/global/0-Lamp/model/attribute/set/A/B",
        "/iot/Z1/global/0-Lamp/model/attribute/set/A/#",
        "/iot/Z1/global/0-Lamp/model/attribute/set/A/B\0",
        "/iot/Z1/global/0-global/basic/query",
        "/iot/Z1/global/0-global/storage//query",
        "/iot/Z1/global/0-" + "r" * 65 + "/model/attribute/set/A/B",
        "/iot/" + "s" * 73 + "/global/0-Lamp/model/attribute/set/A/B",
        "/iot/Z1/global/0-Lamp/amodulewithalongname/x/set",
        "/iot/Z1/global/0-global/storage/" + "x" * 500 + "/query",
        "/" + "s" * 72 + "/1100/" + "1" * 60,
    ],
)
def test_what_no_grammar_allows_is_refused(text: str) -> None:
    with pytest.raises(InvalidTopic):
        parse_topic(text)


def test_a_reply_goes_to_the_request_with_another_message_type() -> None:
    assert str(SET.reply) == "/iot/Z1/global/0-PetDryerRes/model/attribute/set_reply/LightControl/Switch"
    with pytest.raises(ValueError, match="set_reply_reply"):
        _ = SET.reply.reply


def test_a_topic_that_would_be_too_long_cannot_be_made() -> None:
    with pytest.raises(InvalidTopic):
        Topic("Z1", "global", "0", "global", "storage", "x" * 490, MsgType.QUERY)


def test_a_resource_id_with_a_hyphen_would_not_come_back() -> None:
    with pytest.raises(InvalidTopic):
        Topic("Z1", "global", "0-1", "Lamp", "model", "attribute", MsgType.SET, "A", "B")
    with pytest.raises(InvalidTopic):
        BatchTopic("Z1", "global", "0-1", "Lamp", Method.EVENT)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "fits"),
    [
        ("/iot/Z1/#", "/iot/Z1/global/0-Lamp/model/attribute/set/A/B", True),
        ("/iot/Z1/#", "/iot/Z1", True),
        ("/iot/Z1/#", "/iot/Z12/global", False),
        ("/Z1/#", "/Z1/1100/14449", True),
        ("/Z1/1100/+", "/Z1/1100/14449", True),
        ("/Z1/1100/+", "/Z1/1100/14449/x", False),
        ("/Z1/1100", "/Z1", False),
        ("/Z1/#/1", "/Z1/1100/1", False),
    ],
)
def test_filters_match_as_mqtt_says(topic_filter: str, topic: str, fits: bool) -> None:
    assert matches(topic_filter, topic) is fits


def test_a_device_subscribes_to_its_two_families() -> None:
    assert subscriptions("Z1") == ("/iot/Z1/#", "/Z1/#")
