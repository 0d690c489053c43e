"""The oddities of the registry's real files, and what is refused with its line."""

from pathlib import Path as FilePath

import pytest

from lwm2m.model.ddf import DefinitionError, parse
from lwm2m.model.definition import ObjectDefinition, Operations, Type
from lwm2m.model.library import load_folder, shipped, with_folder


def document(body: str, head: str = '<?xml version="1.0" encoding="UTF-8"?>\n') -> bytes:
    return f"{head}<LWM2M>\n<Object ObjectType='MODefinition'>\n{body}\n</Object>\n</LWM2M>\n".encode()


def item(
    number: int | str = 1, name: str = "Name", operations: str = "R", type_: str = "String", rest: str = ""
) -> str:
    return (
        f'<Item ID="{number}"><Name>{name}</Name><Operations>{operations}</Operations>'
        "<MultipleInstances>Single</MultipleInstances><Mandatory>Optional</Mandatory>"
        f"<Type>{type_}</Type>{rest}</Item>"
    )


HEAD = (
    "<Name>Thing</Name><ObjectID>26241</ObjectID><ObjectURN>urn:oma:lwm2m:x:26241</ObjectURN>"
    "<MultipleInstances>Multiple</MultipleInstances><Mandatory>Optional</Mandatory>"
)


def only(body: str, **options: str) -> ObjectDefinition:
    [definition] = parse(document(body, **options))
    return definition


def test_absent_and_empty_versions_are_1_0() -> None:
    assert only(HEAD).version == (1, 0)
    assert only(HEAD + "<ObjectVersion/><LWM2MVersion> </LWM2MVersion>").lwm2m_version == (1, 0)


def test_a_version_in_the_urn_counts_when_no_other_is_said() -> None:
    assert only(HEAD.replace("x:26241", "x:26241:2.1")).version == (2, 1)
    assert only(HEAD.replace("x:26241", "x:26241:1.0")).version == (1, 0)


def test_a_byte_order_mark_and_a_missing_xml_declaration_do_no_harm() -> None:
    assert parse(b"\xef\xbb\xbf" + document(HEAD))[0].id == 26241
    assert parse(document(HEAD, head=""))[0].id == 26241


def test_children_come_in_any_order() -> None:
    swapped = (
        "<Description2>late</Description2><Resources>"
        '<Item ID="7"><Type>Float</Type><Mandatory>Mandatory</Mandatory><Operations>RW</Operations>'
        "<MultipleInstances>Multiple</MultipleInstances><Name>N</Name></Item></Resources>" + HEAD
    )
    resource = only(swapped).resources[7]
    assert (resource.type, resource.operations, resource.multiple, resource.mandatory, resource.range) == (
        Type.FLOAT,
        Operations.RW,
        True,
        True,
        "",
    )


def test_surplus_blanks_are_dropped_in_names_and_units() -> None:
    blanks = item(name=" A\u00a0 b ", rest="<Units>  </Units>")
    resource = only(f"{HEAD}<Resources>{blanks}</Resources>").resources[1]
    assert (resource.name, resource.units) == ("A b", "")


def test_cdata_and_character_references_are_text() -> None:
    assert only(HEAD + "<Description1><![CDATA[a < b]]> &#38; c</Description1>").description == "a < b & c"


def test_resources_come_out_in_order_of_their_ids() -> None:
    assert list(only(f"{HEAD}<Resources>{item(9)}{item(2)}</Resources>").resources) == [2, 9]


def test_an_executable_resource_has_no_type_whatever_the_file_says() -> None:
    resource = only(f"{HEAD}<Resources>{item(operations='E')}</Resources>").resources[1]
    assert (resource.operations.executable, resource.type) == (True, Type.NONE)


def test_a_readable_resource_without_a_type_survives() -> None:
    assert only(f"{HEAD}<Resources>{item(type_='')}</Resources>").resources[1].type is Type.NONE


def test_the_index_and_the_common_resources_define_no_object() -> None:
    assert parse(b"<DDFList><Item><ObjectID>3</ObjectID></Item></DDFList>") == []
    assert parse(b'<LWM2M><Item ID="4000"><Name>ObjectInstanceHandle</Name></Item></LWM2M>') == []


@pytest.mark.parametrize(
    ("broken", "line", "reason"),
    [
        (b"<LWM2M>\n<Object>\n", 3, "not well-formed"),
        (b"", 1, "not well-formed"),
        (b"\x00\x01\x02", 1, "not well-formed"),
        (b"<html/>", 1, "<html> is not a definition"),
        (b"<LWM2M/>", 1, "no <Object>"),
        (document(HEAD.replace("26241", "70000", 1)), 4, "'70000' is not an ObjectID"),
        (document(HEAD.replace("26241", "x", 1)), 4, "'x' is not an ObjectID"),
        (document(f"{HEAD}\n<Resources>\n{item('')}\n</Resources>"), 6, "'' is not a resource ID"),
        (document(f"{HEAD}\n<Resources>\n{item()}\n{item()}\n</Resources>"), 7, "resource 1 is defined twice"),
        (document(f"{HEAD}\n<Resources>\n{item(operations='X')}\n</Resources>"), 6, "'X' is not one of R, W, RW, E"),
        (document(f"{HEAD}\n<Resources>\n{item(type_='Text')}\n</Resources>"), 6, "'Text' is not a type"),
        (document(HEAD + "\n<ObjectVersion>one</ObjectVersion>"), 5, "'one' is not a version"),
        (document(HEAD.replace("Multiple<", "Many<")), 4, "<MultipleInstances> is Multiple or Single"),
        (b"<LWM2M>" + b"<a>" * 100, 1, "nested too deep"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_line(broken: bytes, line: int, reason: str) -> None:
    with pytest.raises(DefinitionError) as refusal:
        parse(broken, "mine.xml")
    assert refusal.value.line == line
    assert reason in str(refusal.value)
    assert str(refusal.value).startswith(f"mine.xml:{line}: ")


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE LWM2M SYSTEM "http://127.0.0.1/x.dtd">',
        '<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>',
        '<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/hostname">]>',
    ],
)
def test_a_doctype_is_refused(doctype: str) -> None:
    with pytest.raises(DefinitionError, match="DOCTYPE"):
        parse(document(HEAD, head=doctype))


@pytest.mark.parametrize("encoding", ["utf-9", "utf-7", "utf-16-le", "punycode", "rot13"])
def test_an_encoding_that_cannot_be_read_is_refused(encoding: str) -> None:
    with pytest.raises(DefinitionError, match=":1: "):
        parse(document(HEAD, head=f'<?xml version="1.0" encoding="{encoding}"?>'))


def test_a_number_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(DefinitionError, match="is not an ObjectID"):
        parse(document(HEAD.replace("26241", "9" * 5000)))


def test_everything_shipped_loads() -> None:
    definitions = shipped()
    assert len(list(definitions)) == 327
    assert len(list(definitions.all_versions())) == 350


def test_lwm2m_1_1_is_in_force_and_the_newest_of_the_rest() -> None:
    in_force = {definition.id: definition.version for definition in shipped()}
    assert [in_force[number] for number in (0, 1, 3, 5, 3303)] == [(1, 1), (1, 1), (1, 1), (1, 1), (1, 1)]


def test_the_server_object_says_what_its_version_1_1_left_open() -> None:
    server = shipped().object(1)
    assert server is not None
    assert [server.resources[number].operations.value for number in range(13, 21)] == ["R", "RW", "R", "R"] + ["RW"] * 4


def test_another_version_can_be_put_in_force() -> None:
    chosen = shipped().choose({3: (1, 0), 3303: (9, 9)})
    device, temperature = chosen.object(3), chosen.object(3303)
    assert device is not None
    assert temperature is not None
    assert (device.version, temperature.version) == ((1, 0), (1, 1))


def test_a_folder_of_ones_own_adds_to_the_shipped_definitions(tmp_path: FilePath) -> None:
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "mine.xml").write_bytes(document(HEAD))
    definitions = with_folder(tmp_path)
    assert definitions.object(26241) is not None
    assert definitions.object(3) == shipped().object(3)


def test_a_broken_file_in_a_folder_is_named(tmp_path: FilePath) -> None:
    (tmp_path / "bad.xml").write_text("<LWM2M>")
    with pytest.raises(DefinitionError, match=r"bad\.xml:1: "):
        load_folder(tmp_path)


def test_a_folder_that_is_none_is_said_so(tmp_path: FilePath) -> None:
    with pytest.raises(NotADirectoryError, match="not a folder of object definitions"):
        load_folder(tmp_path / "nowhere")
