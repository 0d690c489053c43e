"""What the gateway keeps outlives it, and nobody else can read it."""

import sqlite3
import stat

import pytest

from osap_bridge import Entity, FunctionPoint
from osap_bridge.osap.directory import DeviceKeys, Directory, EventLog, KeptEvent
from osap_bridge.placement import Owner, Slot
from osap_bridge.store import EVENT_MEMORY, DeviceStatus, Occurrences, Store, StoreError

KEYS = DeviceKeys("d" * 32, bytes(16))
BUTTON = FunctionPoint("LightControl", "ButtonPressed")


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    yield store
    store.close()


def reopened(store: Store) -> Store:
    store.close()
    return Store(store.path.parent)


def event(key: str, presses: int = 1) -> KeptEvent:
    return KeptEvent(key, "Z1", "global", "global", "0", *BUTTON, {"presses": presses, "who": "Zoë"}, 1000.5)


def test_it_is_what_the_osap_platform_asks_for(store):
    directory: Directory = store
    log: EventLog = store
    assert directory.verification_code("Z1") is None
    assert list(log.unsettled()) == []


def test_only_the_owner_may_read_the_file(store):
    store.add_device("Z1", "QWERTY")
    for file in store.path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path):
    Store(tmp_path).close()
    path = tmp_path / "osap-bridge.sqlite3"
    path.chmod(0o644)
    Store(tmp_path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_devices_and_their_keys_survive_a_restart(store):
    store.add_device("Z1", "QWERTY")
    store.keep_keys("Z1", KEYS)
    store = reopened(store)
    assert store.verification_code("Z1") == "QWERTY"
    assert store.keys("Z1") == KEYS
    store.close()


def test_another_code_ends_the_use_of_the_keys(store):
    store.add_device("Z1", "QWERTY")
    store.keep_keys("Z1", KEYS)
    store.add_device("Z1", "QWERTY")
    assert store.keys("Z1") == KEYS
    store.add_device("Z1", "OTHER")
    assert store.keys("Z1") is None


def test_a_device_removed_is_forgotten_with_everything(store):
    store.add_device("Z1", "QWERTY")
    store.keep_keys("Z1", KEYS)
    store.keep_instances("gateway", {Slot(3311, 0): Owner(Entity("Z1"), Slot(3311, 0))})
    store.keep(event("a"), 0.0)
    assert store.remove_device("Z1")
    assert not store.remove_device("Z1")
    assert store.keys("Z1") is None
    assert store.instances("gateway") == {}
    assert store.unsettled() == []
    assert store.statuses() == []


def test_configured_devices_follow_the_configuration_and_leave_the_others_alone(store):
    store.add_device("Z9", "BYHAND")
    store.configure_devices([("Z1", "A"), ("Z2", "B")], "bridge.toml")
    store.configure_devices([("Z2", "C")], "bridge.toml")
    assert store.serials() == {"Z2", "Z9"}
    assert store.verification_code("Z2") == "C"
    assert store.source_of("Z9") == "command"
    assert store.source_of("Z1") is None


def test_what_another_process_adds_is_seen_at_once(store):
    before = store.changed_elsewhere()
    other = Store(store.path.parent)
    other.add_device("Z1", "QWERTY")
    other.close()
    assert store.verification_code("Z1") == "QWERTY"
    assert store.changed_elsewhere() != before


def test_instance_numbers_survive_a_restart(store):
    owners = {Slot(3311, 4): Owner(Entity("Z1", "global", "Lamp", "2"), Slot(3311, 0))}
    store.keep_instances("gateway", owners)
    store = reopened(store)
    assert store.instances("gateway") == owners
    assert store.instances("elsewhere") == {}
    store.close()


def test_an_event_is_kept_once_within_a_day(store):
    assert store.keep(event("a"), 0.0)
    assert not store.keep(event("a"), 10.0)
    store.settle("a")
    assert not store.keep(event("a"), EVENT_MEMORY - 1)
    assert store.keep(event("a"), EVENT_MEMORY + 1)


def test_unsettled_events_come_back_after_a_restart_in_their_order(store):
    for key in ("c", "a", "b"):
        store.keep(event(key), 0.0)
    store.settle("a")
    store = reopened(store)
    assert [kept.key for kept in store.unsettled()] == ["c", "b"]
    assert store.unsettled()[0] == event("c")
    store.close()


def test_an_unsettled_event_is_kept_however_old_it_is(store):
    store.keep(event("a"), 0.0)
    store.keep(event("b"), 10 * EVENT_MEMORY)
    assert [kept.key for kept in store.unsettled()] == ["a", "b"]


def test_occurrences_are_counted_and_one_that_comes_again_after_a_crash_is_not(store):
    lamp = Entity("Z1")
    assert store.occurrences(lamp, BUTTON) == Occurrences()
    assert store.count(lamp, BUTTON, "a", b"1") == Occurrences(1, b"1")
    assert store.count(lamp, BUTTON, "a", b"1") == Occurrences(1, b"1")
    assert store.count(lamp, BUTTON, "b", b"2") == Occurrences(2, b"2")
    store = reopened(store)
    assert store.occurrences(lamp, BUTTON) == Occurrences(2, b"2")
    assert store.occurrences(Entity("Z2"), BUTTON) == Occurrences()
    store.close()


def test_the_state_of_devices_is_there_for_people(store):
    store.add_device("Z1", "A")
    store.add_device("Z2", "B")
    online = DeviceStatus("Z1", "Lamp", "online", "osap:Z1", 5.0, "")
    store.keep_status([online, DeviceStatus("Z3", "Removed")], 77, 6.0)
    assert store.statuses() == [online, DeviceStatus("Z2")]
    assert store.alive_at() == 6.0
    store.gone()
    assert store.alive_at() is None
    assert store.statuses()[0].state == "offline"


def test_no_key_shows_itself(store):
    assert "00" not in repr(KEYS)
    store.add_device("Z1", "QWERTY")
    assert "QWERTY" not in repr(store.statuses())


def test_a_file_of_a_newer_program_or_of_none_is_refused(tmp_path):
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / "osap-bridge.sqlite3") as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer version"):
        Store(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "osap-bridge.sqlite3").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="cannot be used"):
        Store(tmp_path / "other")
