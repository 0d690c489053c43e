import pytest

from lwm2m.model.path import Path
from lwm2m.model.record import NO_LINK, ObjectLink


@pytest.mark.parametrize("text", ["/", "/3", "/3/0", "/3/0/9", "/65534/0/65534/65534"])
def test_a_path_reads_what_it_writes(text: str) -> None:
    assert str(Path.parse(text)) == text


def test_the_leading_slash_may_be_missing() -> None:
    assert Path.parse("3/0/9") == Path(3, 0, 9) == Path.parse("/3/0/9")


@pytest.mark.parametrize("text", ["/3/", "//3", "/x", "/-1", "/03", "/65535", "/1/2/3/4/5", "/3/0 ", "/٣", "/+1"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"id"):
        Path.parse(text)


def test_bool_is_no_id() -> None:
    with pytest.raises(ValueError, match="not an id"):
        Path(True)


def test_a_path_contains_itself_and_what_is_beneath() -> None:
    assert Path(3, 0).contains(Path(3, 0))
    assert Path(3, 0).contains(Path(3, 0, 7, 1))
    assert Path().contains(Path(3))
    assert not Path(3, 0).contains(Path(3, 1))
    assert not Path(3, 0).contains(Path(3))


def test_ids_have_names() -> None:
    path = Path(3, 0, 7, 1)
    assert (path.object_id, path.instance_id, path.resource_id, path.resource_instance_id) == (3, 0, 7, 1)
    assert Path(3).instance_id is None
    assert path.parent == Path(3, 0, 7)
    assert Path().parent == Path()
    assert Path(3).child(0, 9) == Path(3, 0, 9)
    assert path.segments == ("3", "0", "7", "1")


def test_an_object_link_reads_what_it_writes() -> None:
    assert ObjectLink.parse("66:1") == ObjectLink(66, 1)
    assert str(ObjectLink(66, 1)) == "66:1"
    assert ObjectLink.parse("65535:65535") == NO_LINK


@pytest.mark.parametrize("text", ["", "66", "66:", ":1", "66:x", "65536:0", "-1:0", "1:2:3"])
def test_what_is_no_object_link_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="object link"):
        ObjectLink.parse(text)
