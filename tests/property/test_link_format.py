"""Links survive writing and reading; any text is read or is a ValueError."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lwm2m.link_format import Link, parse, serialize

targets = st.text(st.characters(exclude_characters="<> \x7f", min_codepoint=33, codec="utf-8"))
names = st.text("abcdefghijklmnopqrstuvwxyz-.0123456789", min_size=1)
bare = st.text("abcXYZ019.-_/:+", min_size=1)
unquoted = st.text(st.characters(exclude_characters="\x7f", min_codepoint=32, codec="utf-8"))


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


links = st.builds(Link, targets, st.dictionaries(names, st.none() | bare | unquoted.map(quoted), max_size=4))


@given(st.lists(links, max_size=6))
def test_links_round_trip(content: list[Link]) -> None:
    assert parse(serialize(content)) == tuple(content)


@given(unquoted)
def test_quoted_text_comes_back_without_its_quotes(text: str) -> None:
    [link] = parse(f"</3>;title={quoted(text)}")
    assert link.text("title") == text


@given(st.text() | st.text('</>;,="\\ a1'))
def test_any_text_is_read_or_is_a_value_error(text: str) -> None:
    try:
        content = parse(text)
    except ValueError:
        return
    assert parse(serialize(content)) == content
