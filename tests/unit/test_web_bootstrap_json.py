"""Bootstrap configurations as JSON: what is taken, what is refused, and that no key comes back."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from lwm2m.model.content_format import ContentFormat
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink
from lwm2m.operations.bootstrap import BootstrapDelete, BootstrapRead
from lwm2m.server.bootstrap_check import problems
from lwm2m.server.bootstrap_config import BootstrapConfig, in_order
from lwm2m.web.bootstrap_json import BadConfiguration, config_json, config_of

DEFINITIONS = shipped().choose({21: (2, 0)})
PAGE: dict[str, Any] = {
    "servers": {"0": {"shortId": 123, "lifetime": 300, "defaultMinPeriod": 1, "notifIfDisabled": True, "binding": "U"}},
    "security": {
        "1": {
            "uri": "coaps://192.0.2.1:5684",
            "bootstrapServer": False,
            "securityMode": "PSK",
            "publicKeyOrId": [100, 101, 118, 49],
            "secretKey": [10, 27, 44],
            "serverPublicKey": [],
            "serverId": 123,
            "clientOldOffTime": 1,
            "smsSecurityMode": "NO_SEC",
            "smsBindingKeyParam": [],
            "smsBindingKeySecret": [],
            "serverSmsNumber": "",
        }
    },
    "oscore": {},
    "toDelete": ["/0", "/1", "/21"],
    "autoIdForSecurityObject": False,
}
"""What the page of the demo server sends."""


def values(document: dict[str, Any]) -> dict[str, Any]:
    config = config_of(document, DEFINITIONS)
    return {str(record.path): record.value for write in config.written for record in write.records}


def with_security(**changes: Any) -> dict[str, Any]:
    return PAGE | {"security": {"1": PAGE["security"]["1"] | changes}}


def test_what_the_page_sends_is_taken() -> None:
    config = config_of(PAGE, DEFINITIONS)
    deletes = [step.operation for step in config.steps if isinstance(step.operation, BootstrapDelete)]
    assert [str(delete.path) for delete in deletes] == ["/0", "/1", "/21"]
    assert [write.path for write in config.written] == [Path(0, 1), Path(1, 0)]
    assert problems(config, DEFINITIONS) == []
    written = values(PAGE)
    assert (written["/0/1/2"], written["/0/1/3"], written["/0/1/5"]) == (0, b"dev1", b"\x0a\x1b\x2c")
    assert "/0/1/7" not in written
    assert (written["/1/0/0"], written["/1/0/1"], written["/1/0/7"]) == (123, 300, "U")


def test_what_is_left_out_has_the_defaults_of_the_field() -> None:
    written = values({"servers": {"0": {"shortId": 5}}})
    assert written == {"/1/0/0": 5, "/1/0/1": 86400, "/1/0/2": 1, "/1/0/6": True, "/1/0/7": "U"}


def test_further_objects_and_members_are_written_in_order() -> None:
    document = with_security(oscoreSecurityMode=2, matchingType="SHA256", cipherSuite=[49320, 174]) | {
        "oscore": {"2": {"oscoreMasterSecret": [1, 2], "oscoreSenderId": [3], "oscoreRecipientId": "BA=="}},
        "acls": {"0": {"objectId": 3, "objectInstanceId": 0, "acls": {"123": 15}, "AccessControlOwner": 123}},
        "contentFormat": "SENML_CBOR",
        "autoIdForSecurityObject": True,
    }
    config = config_of(document, DEFINITIONS)
    assert [write.path for write in config.written] == [Path(0, 1), Path(21, 2), Path(1, 0), Path(2, 0)]
    assert (config.content_format, config.auto_id) == (ContentFormat.SENML_CBOR, True)
    written = values(document)
    assert written["/0/1/17"] == ObjectLink(21, 2)
    assert (written["/0/1/13"], written["/0/1/16/0"], written["/0/1/16/1"]) == (1, 49320, 174)
    assert (written["/21/2/0"], written["/21/2/2"]) == (b"\1\2", b"\4")
    assert (written["/2/0/2/123"], written["/2/0/3"]) == (15, 123)
    assert problems(config, DEFINITIONS) == []


def test_either_spelling_of_odd_capitals_is_taken() -> None:
    written = values({"servers": {"0": {"shortId": 5, "CommunicationRetryTimer": 9, "sequenceRetryCount": 2}}})
    assert (written["/1/0/18"], written["/1/0/20"]) == (9, 2)


def test_an_answer_has_everything_but_the_keys() -> None:
    document = with_security() | {
        "oscore": {"2": {"oscoreMasterSecret": [77, 78, 79], "oscoreSenderId": [3], "oscoreRecipientId": [4]}},
        "acls": {"0": {"objectId": 3, "objectInstanceId": 0, "acls": {"123": 15}, "AccessControlOwner": 123}},
    }
    answer = config_json(config_of(document, DEFINITIONS))
    entry = answer["security"]["1"]
    assert "secretKey" not in entry
    assert (entry["publicKeyOrId"], entry["securityMode"]) == ([100, 101, 118, 49], "PSK")
    assert answer["oscore"]["2"] == {"oscoreSenderId": [3], "oscoreRecipientId": [4]}
    assert answer["acls"] == document["acls"]
    assert answer["servers"] == PAGE["servers"]
    assert answer["toDelete"] == PAGE["toDelete"]
    assert answer["operations"][-1] == {"operation": "finish"}
    write = next(step for step in answer["operations"] if step.get("path") == "/0/1")
    assert write["values"]["/0/1/5"] == "(3 bytes)"
    text = json.dumps(answer)
    assert "[10, 27, 44]" not in text
    assert "[77, 78, 79]" not in text


def test_an_answer_can_be_sent_back_once_the_keys_are_put_in() -> None:
    answer = config_json(config_of(PAGE, DEFINITIONS))
    answer["security"]["1"]["secretKey"] = PAGE["security"]["1"]["secretKey"]
    assert config_of(answer, DEFINITIONS) == config_of(PAGE, DEFINITIONS)


def test_steps_without_a_member_of_their_own_are_in_the_operations() -> None:
    answer = config_json(BootstrapConfig(in_order([BootstrapRead(Path(2))])))
    assert answer["operations"] == [{"operation": "read", "path": "/2"}, {"operation": "finish"}]


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], "a configuration is a JSON object"),
        ({"server": {}}, "no member 'server' in a configuration"),
        ({"servers": []}, "servers is a JSON object"),
        ({"servers": {"x": {}}}, "'x' in servers is no instance id"),
        ({"servers": {"0": {"shortID": 1}}}, "no member 'shortID' in servers/0"),
        ({"servers": {"0": {"shortId": "1"}}}, "servers/0/shortId takes a whole number"),
        ({"servers": {"0": {"shortId": True}}}, "servers/0/shortId takes a whole number"),
        ({"toDelete": "/0"}, "toDelete is an array"),
        ({"toDelete": ["/0/0/1"]}, "toDelete holds"),
        ({"toDelete": ["//"]}, "toDelete holds"),
        ({"contentFormat": "TEXT"}, "contentFormat is one of"),
        ({"autoIdForSecurityObject": "yes"}, "true or false"),
        ({"toDelete": ["/0"] * 300}, "at most 256 operations"),
        (with_security(securityMode="NONE"), "securityMode is one of PSK"),
        (with_security(secretKey=[10, 256]), "security/1/secretKey takes bytes"),
        (with_security(secretKey="no base64!"), "security/1/secretKey takes bytes"),
        (with_security(oscoreSecurityMode=-1), "oscoreSecurityMode takes an instance id"),
        ({"acls": {"0": {"acls": {"x": 1}}}}, "maps short server ids"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(document: Any, sentence: str) -> None:
    with pytest.raises(BadConfiguration, match=re.escape(sentence)) as refused:
        config_of(document, DEFINITIONS)
    assert "no base64" not in str(refused.value)
