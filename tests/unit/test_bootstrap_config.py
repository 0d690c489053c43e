"""Configurations of a bootstrap server: what they cannot be, whom they are for, and what a client would refuse."""

from __future__ import annotations

import pytest

from lwm2m.model.content_format import ContentFormat
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink, Record, Value
from lwm2m.operations.bootstrap import BootstrapDelete, BootstrapDiscover, BootstrapFinish, BootstrapRead
from lwm2m.server.bootstrap_accounts import (
    AccessControl,
    KeyPair,
    NoSecurity,
    PreSharedKey,
    SecurityMode,
    ServerAccount,
    account_config,
    shared_access,
)
from lwm2m.server.bootstrap_check import problems
from lwm2m.server.bootstrap_config import (
    MAX_STEPS,
    BootstrapConfig,
    BootstrapConfigs,
    BootstrapStep,
    StepOperation,
    WriteRecords,
    in_order,
)

KEY = bytes.fromhex("0a1b2c3d4e5f60718293a4b5c6d7e8f9")
PSK = PreSharedKey("dev1", KEY)
ACCOUNT = ServerAccount("coaps://192.0.2.1:5684", 101, PSK, lifetime=300)
EMPTY = BootstrapConfig(in_order([]))


def only(path: Path, *values: tuple[Path, Value]) -> BootstrapConfig:
    return BootstrapConfig(in_order([WriteRecords(path, tuple(Record(at, value) for at, value in values))]))


def named(name: str) -> BootstrapConfig:
    return only(Path(3, 0, 15), (Path(3, 0, 15), name))


def test_accounts_become_deletes_then_writes_then_the_finish() -> None:
    config = account_config([ACCOUNT, ServerAccount("coap://b", 102)])
    operations = [step.operation for step in config.steps]
    assert operations[:2] == [BootstrapDelete(Path(0)), BootstrapDelete(Path(1))]
    assert [write.path for write in config.written] == [Path(0, 1), Path(0, 2), Path(1, 0), Path(1, 1)]
    assert operations[-1] == BootstrapFinish()
    assert Record(Path(0, 1, 5), KEY) in config.written[0].records
    assert Record(Path(1, 0, 1), 300) in config.written[2].records
    assert config.auto_id
    assert problems(config, shipped()) == []


def test_access_control_is_written_after_the_accounts() -> None:
    config = account_config([ACCOUNT], [AccessControl(3, 0, {101: 15, 0: 1}, owner=101)])
    write = config.written[-1]
    assert write.path == Path(2, 0)
    assert dict(record[:2] for record in write.records) == {
        Path(2, 0, 0): 3,
        Path(2, 0, 1): 0,
        Path(2, 0, 2, 0): 1,
        Path(2, 0, 2, 101): 15,
        Path(2, 0, 3): 101,
    }
    assert BootstrapDelete(Path(2)) in [step.operation for step in config.steps]
    assert problems(config, shipped()) == []


def test_a_client_may_send_unless_its_account_says_otherwise() -> None:
    assert Record(Path(1, 0, 23), False) in ACCOUNT.server_records(0)
    assert Record(Path(1, 0, 23), True) in ServerAccount("coap://a", 1, more={23: True}).server_records(0)


def test_several_servers_share_instances_and_own_their_accounts() -> None:
    """Configuration C.14 of the interoperability suite."""
    accounts = [ServerAccount("coap://a", 1), ServerAccount("coap://b", 2)]
    entries = shared_access(accounts, [Path(3, 0)])
    assert entries == (
        AccessControl(1, 0, {1: 15}, owner=1),
        AccessControl(1, 1, {2: 15}, owner=2),
        AccessControl(3, 0, {1: 15, 2: 15}, owner=65535),
    )
    config = account_config(accounts, entries)
    assert problems(config, shipped()) == []
    assert [write.path for write in config.written][2:] == [Path(1, 0), Path(1, 1), Path(2, 0), Path(2, 1), Path(2, 2)]
    with pytest.raises(ValueError, match="object instances"):
        shared_access(accounts, [Path(3)])


def test_no_key_is_in_a_repr() -> None:
    pair = KeyPair(SecurityMode.RPK, b"public", b"very private", b"server")
    config = account_config([ACCOUNT, ServerAccount("coaps://b", 7, pair)])
    for text in (repr(config), repr(PSK), repr(pair), repr(config.written)):
        assert "very private" not in text
        assert repr(KEY) not in text


@pytest.mark.parametrize(
    "operation",
    [
        BootstrapDiscover(Path(3, 0)),
        BootstrapDelete(Path(3, 0, 1)),
        BootstrapRead(Path(0)),
        BootstrapRead(Path(3)),
        BootstrapRead(Path()),
        BootstrapRead(Path(1, 0, 0)),
    ],
)
def test_an_operation_that_no_client_may_take_is_no_step(operation: StepOperation) -> None:
    with pytest.raises(ValueError, match=r"goes to|reads objects"):
        BootstrapStep(operation)


def test_a_write_has_records_and_all_of_them_beneath_its_path() -> None:
    with pytest.raises(ValueError, match="nothing to write"):
        WriteRecords(Path(1, 0), ())
    with pytest.raises(ValueError, match=r"/3/0/15 is outside /1/0"):
        WriteRecords(Path(1, 0), (Record(Path(3, 0, 15), "UTC"),))
    with pytest.raises(ValueError, match="takes no write"):
        WriteRecords(Path(), (Record(Path(1, 0, 0), 1),))
    with pytest.raises(ValueError, match="takes no write"):
        WriteRecords(Path(3, 0, 7, 0), (Record(Path(3, 0, 7, 0), 1),))


def test_a_configuration_ends_with_its_one_finish() -> None:
    finish = BootstrapStep(BootstrapFinish())
    for steps in (
        (),
        (BootstrapStep(BootstrapDelete(Path(0))),),
        (finish, finish),
        (finish, BootstrapStep(BootstrapDelete(Path(0)))),
    ):
        with pytest.raises(ValueError, match="one finish"):
            BootstrapConfig(steps)
    with pytest.raises(ValueError, match="nothing follows"):
        BootstrapStep(BootstrapFinish(), continue_on_error=True)
    with pytest.raises(ValueError, match=str(MAX_STEPS)):
        BootstrapConfig(in_order([BootstrapDelete(Path(0))] * MAX_STEPS))
    with pytest.raises(ValueError, match="TEXT carries no instances"):
        BootstrapConfig((finish,), ContentFormat.TEXT)


def test_the_most_specific_configuration_wins() -> None:
    own, lamps, kitchen, rest = map(named, ("own", "lamps", "kitchen", "rest"))
    configs = BootstrapConfigs({"lamp-1": own}, {"lamp-*": lamps, "lamp-k*": kitchen, "*": EMPTY}, rest)
    assert configs.find("lamp-1") is own
    assert configs.find("lamp-2") is lamps
    assert configs.find("lamp-k3") is kitchen
    assert configs.find("Lamp-2") is EMPTY
    assert BootstrapConfigs(default=rest).find("x") is rest
    assert BootstrapConfigs(patterns={"lamp-*": lamps}).find("x") is None


def test_a_set_of_characters_is_one_wildcard() -> None:
    wide, narrow = map(named, ("wide", "narrow"))
    configs = BootstrapConfigs(patterns={"lamp-[abcdefgh]*": wide, "lamp-a*": narrow})
    assert configs.find("lamp-ab") is narrow
    assert configs.find("lamp-bb") is wide


def test_configurations_of_endpoints_come_and_go() -> None:
    configs = BootstrapConfigs().with_endpoint("x", EMPTY)
    assert configs.find("x") is EMPTY
    assert configs.without_endpoint("x").find("x") is None
    with pytest.raises(KeyError):
        configs.without_endpoint("y")


@pytest.mark.parametrize("ssid", [0, 65535, -1])
def test_short_server_ids_are_1_to_65534(ssid: int) -> None:
    with pytest.raises(ValueError, match="1 to 65534"):
        ServerAccount("coap://a", ssid)


def test_two_accounts_of_one_server_are_refused() -> None:
    with pytest.raises(ValueError, match="same short server id"):
        account_config([ACCOUNT, ServerAccount("coap://b", 101)])


def account(**changed: Value) -> BootstrapConfig:
    """/0/1 with resources changed by name: n5=b"" empties the secret key."""
    values = {record.path[2]: record.value for record in ACCOUNT.security_records(1)}
    values |= {int(name[1:]): value for name, value in changed.items()}
    pairs = [(Path(0, 1, number), value) for number, value in values.items() if value is not None]
    return only(Path(0, 1), *pairs)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (only(Path(1, 0), (Path(1, 0, 0), 101), (Path(1, 0, 1), 60)), "no account in object 0"),
        (account(n5=b""), "no secret key, which mode PSK needs"),
        (account(n3=b""), "no public key or identity, which mode PSK needs"),
        (account(n2=1), "no server public key, which mode RPK needs"),
        (account(n2=4), "no server public key, which mode EST needs"),
        (account(n2=9), "Security Mode is not within 0..4"),
        (account(n10=0), "Short Server ID is not within 1..65534"),
        (account(n0=""), "no server URI"),
        (account(n17=ObjectLink(21, 3)), "refers to /21/3"),
        (account(n2="PSK"), "Security Mode is of type Integer"),
        (only(Path(2, 0), (Path(2, 0, 0), 3)), "does not say which object instance"),
    ],
)
def test_what_a_client_would_refuse_is_found_first(config: BootstrapConfig, sentence: str) -> None:
    found = problems(config, shipped())
    assert any(sentence in problem for problem in found), found
    assert not any("0a1b2c" in problem or repr(KEY) in problem for problem in found)


def test_accounts_of_one_short_server_id_are_found() -> None:
    twice = [*ACCOUNT.security_records(1), *ACCOUNT.security_records(2)]
    config = BootstrapConfig(in_order([WriteRecords(Path(0), tuple(twice))]))
    assert problems(config, shipped()) == ["two instances of object 0 have the same short server id"]


def test_an_account_without_security_needs_no_key() -> None:
    assert problems(account_config([ServerAccount("coap://a", 1, NoSecurity())]), shipped()) == []
