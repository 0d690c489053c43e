"""What the listing commands print."""

import json

import pytest

from osap_bridge import DataModelTranslator, Property
from osap_bridge.config import Device
from osap_bridge.failure import Failed
from osap_bridge.installed import Installed, Product, Unusable
from osap_bridge.listing import add_device, printable, remove_device, show_check, show_devices
from osap_bridge.store import DeviceStatus, Store

GOOD = Product(DataModelTranslator("Good", (Property("D/Flag", "/3306/0/5850"),)), origin="good")
BAD = Product(DataModelTranslator("Bad", (Property("D/Flag", "/3306/0/1"),)), origin="bad")


@pytest.fixture
def installed(monkeypatch):
    def are(*products: Product, unusable: tuple[Unusable, ...] = ()) -> None:
        found = Installed({product.name: product for product in products}, unusable)
        monkeypatch.setattr("osap_bridge.listing.find", lambda: found)

    return are


def test_translators_that_keep_the_laws_pass(installed, capsys):
    installed(GOOD)
    assert show_check(as_json=False, config=None)
    printed = capsys.readouterr().out
    assert "kept" in printed
    assert "without a profile" in printed


def test_a_broken_law_and_a_plugin_that_does_not_load_fail_and_are_named(installed, capsys):
    installed(GOOD, BAD)
    assert not show_check(as_json=False, config=None)
    assert "there is no resource /3306/0/1" in capsys.readouterr().out
    installed(GOOD, unusable=(Unusable("lost (lost:lost)", "ModuleNotFoundError: lost"),))
    assert not show_check(as_json=True, config=None)
    assert json.loads(capsys.readouterr().out)["unusable"] == [
        {"origin": "lost (lost:lost)", "reason": "ModuleNotFoundError: lost"}
    ]


def test_a_device_of_a_configuration_is_changed_there(tmp_path):
    store = Store(tmp_path)
    store.configure_devices([("Z1", "A")], "/etc/bridge.toml")
    store.close()
    with pytest.raises(Failed, match=r"named in /etc/bridge\.toml"):
        remove_device(tmp_path, "Z1")
    with pytest.raises(Failed, match="change it there"):
        add_device(tmp_path, Device("Z1", "B"))


def test_what_a_dead_gateway_called_online_is_offline(tmp_path, capsys):
    store = Store(tmp_path)
    store.add_device("Z1", "A")
    store.keep_status([DeviceStatus("Z1", "Lamp\x1b[31m", "online", "osap:Z1", 1000.0, "")], 1, 1000.0)
    store.close()
    show_devices(tmp_path, as_json=False)
    printed = capsys.readouterr()
    assert "offline" in printed.out
    assert "d ago" in printed.out
    assert "\x1b[31m" not in printed.out
    assert "No gateway runs" in printed.err
    show_devices(tmp_path, as_json=True)
    assert json.loads(capsys.readouterr().out)["devices"][0]["state"] == "offline"


def test_control_characters_do_not_reach_the_terminal():
    assert printable("a\x1b[2Jb\nc") == "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}c"
