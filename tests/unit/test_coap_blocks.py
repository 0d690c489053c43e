"""Block-wise transfer without a network. RFC 7959"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwm2m.coap.blocks import Block, Gap, Joining, NoPlace, Packages, Shelf, TooLarge, Uploads, block_at, body_tag


def test_the_block_option_names_size_and_offset() -> None:
    assert (Block(3, True, 2).size, Block(3, True, 2).start) == (64, 192)
    assert (Block(3, True, 7).size, Block(3, True, 7).start) == (1024, 3072)


@given(st.integers(0, 0xFFFFF), st.booleans(), st.integers(0, 7))
def test_a_block_option_is_read_as_it_is_written(number: int, more: bool, exponent: int) -> None:
    block = Block(number, more, exponent)
    assert len(block.encode()) <= 3
    assert Block.decode(block.encode()) == block
    assert Block(0, False, 0).encode() == b""


@given(st.binary(max_size=9000), st.integers(1024, 4000))
def test_a_body_cut_into_several_blocks_a_message_joins_to_the_body(body: bytes, room: int) -> None:
    joining = Joining(len(body))
    while True:
        block, payload = block_at(body, len(joining), 7, room)
        assert len(payload) <= room
        joining.add(block, payload)
        if not block.more:
            break
    assert joining.body == body


@given(st.binary(max_size=3000), st.integers(0, 6))
def test_a_body_cut_into_blocks_joins_to_the_body(body: bytes, exponent: int) -> None:
    joining = Joining(len(body))
    while True:
        block, payload = block_at(body, len(joining), exponent)
        joining.add(block, payload)
        if not block.more:
            break
    assert joining.body == body


@pytest.mark.parametrize(
    ("block", "payload"),
    [
        (Block(1, True, 0), bytes(16)),
        (Block(0, True, 0), bytes(15)),
        (Block(0, False, 0), bytes(17)),
        (Block(0, True, 7), bytes(1025)),
        (Block(0, True, 7), b""),
    ],
    ids=["not the next", "too short", "too long", "no multiple", "nothing"],
)
def test_a_block_that_does_not_fit_is_a_gap(block: Block, payload: bytes) -> None:
    with pytest.raises(Gap):
        Joining(1000).add(block, payload)


def test_a_body_may_reach_its_limit_and_no_more() -> None:
    joining = Joining(32)
    joining.add(Block(0, True, 0), bytes(16))
    joining.add(Block(1, True, 0), bytes(16))
    with pytest.raises(TooLarge):
        joining.add(Block(2, False, 0), b"x")


def test_equal_bodies_have_equal_tags() -> None:
    assert body_tag(b"a") == body_tag(b"a") != body_tag(b"b")
    assert 1 <= len(body_tag(b"")) <= 8


def test_a_shelf_forgets_what_was_not_used_for_its_lifetime() -> None:
    shelf: Shelf[str] = Shelf(capacity=10, lifetime=5)
    shelf.keep("a", "x", now=0)
    shelf.keep("b", "y", now=0)
    assert shelf.find("a", now=4) == "x"
    assert shelf.find("b", now=5) is None
    assert shelf.find("a", now=8.9) == "x"
    assert shelf.find("a", now=14) is None
    assert len(shelf) == 0


def test_a_full_shelf_drops_what_was_used_longest_ago() -> None:
    shelf: Shelf[int] = Shelf(capacity=2, lifetime=100)
    shelf.keep("a", 1, now=0)
    shelf.keep("b", 2, now=1)
    shelf.find("a", now=2)
    shelf.keep("c", 3, now=3)
    assert [shelf.find(key, now=4) for key in "abc"] == [1, None, 3]


def test_uploads_of_several_peers_do_not_mix() -> None:
    uploads = Uploads(max_body=100, lifetime=93, capacity=3)
    assert uploads.add("a", Block(0, True, 0), b"a" * 16, now=0) is None
    assert uploads.add("b", Block(0, True, 0), b"b" * 16, now=0) is None
    assert uploads.add("a", Block(1, False, 0), b"a", now=1) == b"a" * 17
    assert uploads.add("b", Block(1, False, 0), b"b", now=1) == b"b" * 17
    assert len(uploads) == 0


def test_block_0_begins_anew() -> None:
    uploads = Uploads(max_body=100, lifetime=93, capacity=3)
    uploads.add("a", Block(0, True, 0), b"a" * 16, now=0)
    uploads.add("a", Block(0, True, 0), b"b" * 16, now=1)
    assert uploads.add("a", Block(1, False, 0), b"", now=2) == b"b" * 16


def test_after_a_gap_the_upload_is_forgotten() -> None:
    uploads = Uploads(max_body=100, lifetime=93, capacity=3)
    uploads.add("a", Block(0, True, 0), bytes(16), now=0)
    for number in (2, 1):
        with pytest.raises(Gap):
            uploads.add("a", Block(number, True, 0), bytes(16), now=1)
    assert len(uploads) == 0


def test_an_upload_too_many_costs_the_oldest() -> None:
    uploads = Uploads(max_body=100, lifetime=93, capacity=2)
    for key in "abc":
        uploads.add(key, Block(0, True, 0), bytes(16), now=0)
    assert len(uploads) == 2
    with pytest.raises(Gap):
        uploads.add("a", Block(1, False, 0), b"", now=0)


FIRST = Block(0, True, 0), bytes(16)
NEXT = Block(1, True, 0), bytes(16)


def two_packages(*, is_verified: bool) -> Packages:
    packages = Packages(max_body=100, lifetime=93, capacity=2)
    for key in "ab":
        packages.add(key, *FIRST, now=0, is_verified=is_verified)
    return packages


@pytest.mark.parametrize("is_verified", [True, False])
def test_a_package_that_runs_is_not_given_up_for_another_of_its_kind(is_verified: bool) -> None:
    packages = two_packages(is_verified=is_verified)
    with pytest.raises(NoPlace):
        packages.add("c", *FIRST, now=1, is_verified=is_verified)
    assert packages.add("a", *NEXT, now=2, is_verified=is_verified) is None
    assert packages.add("a", Block(2, False, 0), b"", now=3, is_verified=is_verified) == bytes(32)
    assert packages.add("c", *FIRST, now=3, is_verified=is_verified) is None


def test_a_package_may_begin_anew_and_a_small_one_needs_no_place() -> None:
    packages = two_packages(is_verified=False)
    assert packages.add("a", *FIRST, now=1) is None
    assert packages.add("c", Block(0, False, 0), b"all", now=1) == b"all"
    assert len(packages) == 2


def test_a_package_that_is_not_continued_in_time_makes_room() -> None:
    packages = two_packages(is_verified=True)
    packages.add("b", *NEXT, now=50, is_verified=True)
    with pytest.raises(NoPlace):
        packages.add("c", *FIRST, now=92, is_verified=True)
    assert packages.add("c", *FIRST, now=93, is_verified=False) is None
    assert packages.add("b", Block(2, False, 0), b"", now=94, is_verified=True) == bytes(32)


def test_only_a_package_whose_sender_may_be_nowhere_gives_way_to_a_verified_one() -> None:
    packages = two_packages(is_verified=False)
    packages.add("a", *NEXT, now=1, is_verified=True)
    with pytest.raises(NoPlace):
        packages.add("c", *FIRST, now=2, is_verified=False)
    assert packages.add("c", *FIRST, now=2, is_verified=True) is None
    with pytest.raises(Gap):
        packages.add("b", *NEXT, now=3, is_verified=False)
    with pytest.raises(NoPlace):
        packages.add("d", *FIRST, now=3, is_verified=True)
    assert packages.add("a", Block(2, False, 0), b"", now=4, is_verified=True) == bytes(32)
