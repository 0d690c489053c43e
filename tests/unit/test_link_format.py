"""CoRE links as Register and Discover use them. lwm2m.md §5.3, §6.2, §8.7."""

from __future__ import annotations

import pytest

from lwm2m.link_format import Link, parse, serialize


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("</1/0>,</3/0>", [Link("/1/0"), Link("/3/0")]),
        ('</>;rt="oma.lwm2m";ct="60 110 112"', [Link("/", {"rt": '"oma.lwm2m"', "ct": '"60 110 112"'})]),
        ("</3/0/7>;dim=2;pmin=10;gt=-6.5", [Link("/3/0/7", {"dim": "2", "pmin": "10", "gt": "-6.5"})]),
        ("</10>;ver=1.1", [Link("/10", {"ver": "1.1"})]),
        ("</x>;obs;title*=UTF-8''a", [Link("/x", {"obs": None, "title*": "UTF-8''a"})]),
        ('</x>;title="a,b;c>d<\\"e\\\\"', [Link("/x", {"title": '"a,b;c>d<\\"e\\\\"'})]),
        ("</16/0/0/>", [Link("/16/0/0/")]),
        ("<>", [Link("")]),
        ("", []),
    ],
)
def test_links_go_both_ways(text: str, links: list[Link]) -> None:
    assert parse(text) == tuple(links)
    assert serialize(links) == text


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("</1/0> , </3/0>", "</1/0>,</3/0>"),
        ("</3> ; ver = 1.1\r\n", "</3>;ver=1.1"),
        ("  ", ""),
        ("</3>;rt=a;rt=b", "</3>;rt=a"),
    ],
)
def test_other_spellings_are_read(text: str, same: str) -> None:
    assert serialize(parse(text)) == same


@pytest.mark.parametrize(
    "text",
    [
        "/1/0",
        "</1/0",
        "1/0>",
        "</1/0>,",
        ",</1/0>",
        "</1/0>,,</3/0>",
        "</1/0></3/0>",
        "</1/0>;",
        "</1/0>;=1",
        "</1/0>;a=",
        '</1/0>;a="',
        '</1/0>;a="b',
        '</1/0>;a="b"c',
        '</1/0>;a=b"c"',
        "</1/0>;a b",
        "</1/0>;a=b c",
        "</1/ 0>",
        "<</1/0>>",
        "</1/0>\0",
        '</1/0>;a="\n"',
        "\ufeff</1/0>",
    ],
)
def test_bad_syntax_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="character"):
        parse(text)


@pytest.mark.parametrize(
    ("raw", "text"),
    [("1.1", "1.1"), ('"1.1"', "1.1"), ('"a\\"b\\\\"', 'a"b\\'), ('""', ""), (None, None)],
)
def test_text_comes_without_quotes(raw: str | None, text: str | None) -> None:
    link = Link("/3", {"ver": raw})
    assert link.text("ver") == text
    assert link.text("ct") is None


@pytest.mark.parametrize(
    "link",
    [
        Link("/3>"),
        Link("/3 0"),
        Link("/3", {"a b": "1"}),
        Link("/3", {"": "1"}),
        Link("/3", {"a": ""}),
        Link("/3", {"a": "1,</4>"}),
        Link("/3", {"a": '"1'}),
        Link("/3", {"a": '"1\\"'}),
        Link("/3", {"a": '"1";b="2"'}),
    ],
)
def test_what_would_not_be_read_back_is_not_written(link: Link) -> None:
    with pytest.raises(ValueError, match="link"):
        serialize([link])


def test_hostile_text_is_read_in_linear_time() -> None:
    for text in ("<" * 200_000, '</1>;a="' + "\\\\" * 100_000, "</1>" + ";a" * 100_000 + " " * 100_000 + "?"):
        with pytest.raises(ValueError, match="character"):
            parse(text)
