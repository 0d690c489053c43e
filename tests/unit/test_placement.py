"""Every entity gets instance numbers of its own, and keeps them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m.model.path import Path
from osap_bridge import Entity
from osap_bridge.placement import Owner, Slot, allocate, placement

LAMP = Slot(3311, 0)
SECOND_LAMP = Slot(3311, 1)


def several(_object_id: int) -> bool:
    return False


def place(taken, entity, wanted, only_once=several):
    numbers = allocate(taken, entity, wanted, only_once)
    return numbers, taken | {Slot(slot[0], number): Owner(entity, slot) for slot, number in numbers.items()}


def test_the_first_entity_keeps_the_numbers_of_its_translator():
    numbers, _ = place({}, Entity("Z1"), [SECOND_LAMP, LAMP])
    assert numbers == {LAMP: 0, SECOND_LAMP: 1}


def test_two_devices_with_two_lamps_each_are_four_instances_of_one_client():
    first, taken = place({}, Entity("Z1"), [LAMP, SECOND_LAMP])
    second, _ = place(taken, Entity("Z2"), [LAMP, SECOND_LAMP])
    assert list(first.values()) == [0, 1]
    assert list(second.values()) == [2, 3]


def test_an_entity_that_returns_gets_the_numbers_it_had():
    _, taken = place({}, Entity("Z1"), [LAMP])
    second, taken = place(taken, Entity("Z2"), [LAMP])
    again, _ = place(taken, Entity("Z2"), [LAMP, SECOND_LAMP])
    assert again == {LAMP: second[LAMP], SECOND_LAMP: 2}


def test_a_single_object_goes_to_whoever_came_first():
    def only_3(object_id: int) -> bool:
        return object_id == 3

    first, taken = place({}, Entity("Z1"), [Slot(3, 0)], only_3)
    second, _ = place(taken, Entity("Z2"), [Slot(3, 0), LAMP], only_3)
    assert first == {Slot(3, 0): 0}
    assert second == {LAMP: 0}


def test_paths_of_others_are_not_inward():
    place_of_z2 = placement("gateway", {LAMP: 2})
    assert place_of_z2.outward(Path(3311, 0, 5850)) == Path(3311, 2, 5850)
    assert place_of_z2.inward(Path(3311, 2, 5850)) == Path(3311, 0, 5850)
    assert place_of_z2.inward(Path(3311, 0, 5850)) is None
    assert place_of_z2.outward(Path(3303, 0, 5700)) is None


slots = st.lists(st.builds(Slot, st.integers(3300, 3303), st.integers(0, 3)), max_size=6)
arrivals = st.lists(st.tuples(st.sampled_from(["Z1", "Z2", "Z3"]), slots), max_size=12)


@settings(max_examples=150, deadline=None)
@given(arrivals)
def test_whatever_comes_no_instance_is_shared_and_inward_undoes_outward(comings):
    taken: dict[Slot, Owner] = {}
    for serial, wanted in comings:
        before = dict(taken)
        numbers, taken = place(taken, Entity(serial), wanted)
        assert before.items() <= taken.items()
        where = placement("gateway", numbers)
        for slot in wanted:
            path = Path(*slot, 5700)
            outside = where.outward(path)
            assert outside is not None
            assert where.inward(outside) == path
            assert taken[Slot.of(outside)].entity.serial == serial
