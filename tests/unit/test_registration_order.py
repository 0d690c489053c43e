"""Which server a client registers with when. lwm2m.md §5.7."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m.client.registration_order import Begin, Bootstrap, RegistrationOrder, Turn


def test_servers_with_a_priority_come_one_after_another_and_the_others_at_once() -> None:
    order = RegistrationOrder()
    assert order.begin([Turn(1), Turn(2, 7), Turn(3, 0), Turn(4)]) == (Begin(3),)
    assert order.registered(3) == (Begin(2),)
    assert order.failed(2) == (Begin(1), Begin(4))
    assert order.registered(1) == order.registered(4) == ()


def test_equal_priorities_come_one_after_another_too() -> None:
    order = RegistrationOrder()
    assert order.begin([Turn(2, 5), Turn(1, 5)]) == (Begin(1),)
    assert order.registered(1) == (Begin(2),)


def test_a_server_that_blocks_keeps_the_later_ones_waiting_when_it_fails() -> None:
    order = RegistrationOrder()
    order.begin([Turn(1, 1, blocks=True, bootstraps=False), Turn(2, 2)])
    assert order.failed(1) == ()
    assert order.registered(1) == ()


def test_a_blocking_failure_leads_to_bootstrap_whatever_else_is_registered() -> None:
    order = RegistrationOrder()
    order.begin([Turn(1, 1), Turn(2, 2, blocks=True), Turn(3, 3)])
    order.registered(1)
    assert order.failed(2) == (Bootstrap(),)


def test_when_all_have_failed_bootstrap_follows_if_one_of_them_wants_it() -> None:
    order = RegistrationOrder()
    order.begin([Turn(1), Turn(2, bootstraps=False)])
    assert order.failed(1) == ()
    assert order.failed(2) == (Bootstrap(),)
    order.begin([Turn(1, bootstraps=False)])
    assert order.failed(1) == ()


def test_a_registration_that_is_lost_later_counts_as_failed() -> None:
    order = RegistrationOrder()
    order.begin([Turn(1), Turn(2)])
    order.registered(1)
    order.registered(2)
    assert order.failed(1) == ()
    assert order.failed(2) == (Bootstrap(),)


def test_an_account_that_is_removed_holds_nobody_up() -> None:
    order = RegistrationOrder()
    order.begin([Turn(1, 1), Turn(2, 2), Turn(3, 3)])
    assert order.gone(2) == ()
    assert order.gone(1) == (Begin(3),)
    assert order.failed(1) == ()


def test_a_server_that_comes_later_waits_for_nobody() -> None:
    order = RegistrationOrder()
    order.begin([Turn(1, 1)])
    assert order.join(Turn(2, 2)) == (Begin(2),)


turns = st.lists(
    st.builds(Turn, st.integers(1, 6), st.none() | st.integers(0, 2), st.booleans(), st.booleans()),
    unique_by=lambda turn: turn.short_server_id,
    min_size=1,
)


@settings(deadline=None, max_examples=200)
@given(turns, st.data())
def test_every_server_gets_its_turn_unless_one_blocks(servers: list[Turn], data: st.DataObject) -> None:
    order = RegistrationOrder()
    actions = list(order.begin(servers))
    begun: list[int] = []
    blocked = False
    while actions:
        action = actions.pop(0)
        if isinstance(action, Bootstrap):
            continue
        begun.append(action.short_server_id)
        turn = next(turn for turn in servers if turn.short_server_id == action.short_server_id)
        works = data.draw(st.booleans())
        blocked = blocked or (turn.blocks and not works)
        actions += order.registered(turn.short_server_id) if works else order.failed(turn.short_server_id)
    assert len(begun) == len(set(begun))
    assert blocked or set(begun) == {turn.short_server_id for turn in servers}
