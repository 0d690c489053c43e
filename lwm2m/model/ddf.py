"""DDF XML to object definitions. Takes bytes, reads no files. Core 1.1.1 appendix D.1.

Child elements may come in any order and may be missing where a default is known; names and units lose surplus blanks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from types import MappingProxyType
from xml.sax import SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl

from defusedxml import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser

from lwm2m.model.definition import ObjectDefinition, Operations, ResourceDefinition, Type
from lwm2m.model.path import MAX_ID

NOT_DEFINITIONS = {"DDFList"}
MAX_DEPTH = 16
_ID = re.compile(r"0*[0-9]{1,5}")


class DefinitionError(ValueError):
    """A definition that cannot be used: `source` names the file, `line` counts from 1."""

    def __init__(self, source: str, line: int, reason: str) -> None:
        super().__init__(f"{source}:{line}: {reason}")
        self.source = source
        self.line = line
        self.reason = reason


@dataclass(slots=True)
class _Element:
    tag: str
    line: int
    attributes: dict[str, str]
    text: str = ""
    children: list[_Element] = field(default_factory=list)

    def all(self, tag: str) -> Iterator[_Element]:
        return (child for child in self.children if child.tag == tag)

    def first(self, tag: str) -> _Element | None:
        return next(self.all(tag), None)

    def text_of(self, tag: str) -> str:
        """The text of a child with runs of white space made one blank; "" when the child is missing."""
        found = self.first(tag)
        return " ".join(found.text.split()) if found else ""

    def line_of(self, tag: str) -> int:
        found = self.first(tag)
        return found.line if found else self.line


class _Malformed(Exception):
    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


class _TreeBuilder(ContentHandler):
    """Builds the elements with their line numbers, which the standard tree does not keep."""

    def __init__(self, parser: DefusedExpatParser) -> None:
        super().__init__()
        self._parser = parser
        self._open = [_Element("", 0, {})]

    @property
    def root(self) -> _Element:
        return self._open[0].children[0]

    def startElement(self, name: str, attrs: AttributesImpl) -> None:
        element = _Element(name, self._parser.getLineNumber(), dict(attrs.items()))
        if len(self._open) > MAX_DEPTH:
            raise _Malformed(element.line, "elements are nested too deep")
        self._open[-1].children.append(element)
        self._open.append(element)

    def characters(self, content: str) -> None:
        self._open[-1].text += content

    def endElement(self, name: str) -> None:  # noqa: ARG002 (SAX calls it so)
        self._open.pop()


def parse(document: bytes, source: str = "definition") -> list[ObjectDefinition]:
    """The object definitions in one DDF document; none for the registry's index and its file of common resources.
    Raises DefinitionError, also for a DOCTYPE."""
    try:
        root = _tree(document)
        return [_object(element) for element in _objects(root)]
    except _Malformed as error:
        raise DefinitionError(source, error.line, str(error)) from None


def _tree(document: bytes) -> _Element:
    parser = DefusedExpatParser(forbid_dtd=True)
    builder = _TreeBuilder(parser)
    parser.setContentHandler(builder)
    try:
        parser.parse(BytesIO(document))
    except DefusedXmlException:
        raise _Malformed(parser.getLineNumber() or 1, "a DOCTYPE is not allowed") from None
    except SAXParseException as error:
        raise _Malformed(error.getLineNumber() or 1, f"not well-formed XML: {error.getMessage()}") from None
    except (LookupError, ValueError) as error:
        raise _Malformed(parser.getLineNumber() or 1, f"an encoding that cannot be read: {error}") from None
    return builder.root


def _objects(root: _Element) -> list[_Element]:
    if root.tag in NOT_DEFINITIONS:
        return []
    if root.tag != "LWM2M":
        raise _Malformed(root.line, f"<{root.tag}> is not a definition, which starts with <LWM2M>")
    objects = list(root.all("Object"))
    if not objects and not any(child.tag in ("Item", "Items", "Resources") for child in root.children):
        raise _Malformed(root.line, "no <Object> in it")
    return objects


def _object(element: _Element) -> ObjectDefinition:
    urn = element.text_of("ObjectURN")
    return ObjectDefinition(
        id=_id(element.text_of("ObjectID"), element.line_of("ObjectID"), "an ObjectID"),
        name=element.text_of("Name"),
        version=_version(element, "ObjectVersion", _version_of_urn(urn)),
        lwm2m_version=_version(element, "LWM2MVersion", "1.0"),
        urn=urn,
        multiple=_flag(element, "MultipleInstances", yes="Multiple", no="Single"),
        mandatory=_flag(element, "Mandatory", yes="Mandatory", no="Optional"),
        description=element.text_of("Description1"),
        resources=MappingProxyType(_resources(element)),
    )


def _resources(element: _Element) -> dict[int, ResourceDefinition]:
    resources: dict[int, ResourceDefinition] = {}
    for item in (item for block in element.all("Resources") for item in block.all("Item")):
        resource = _resource(item)
        if resource.id in resources:
            raise _Malformed(item.line, f"resource {resource.id} is defined twice")
        resources[resource.id] = resource
    return dict(sorted(resources.items()))


def _resource(item: _Element) -> ResourceDefinition:
    operations = _operations(item)
    return ResourceDefinition(
        id=_id(item.attributes.get("ID", ""), item.line, "a resource ID"),
        name=item.text_of("Name"),
        type=Type.NONE if operations.executable else _type(item),
        operations=operations,
        multiple=_flag(item, "MultipleInstances", yes="Multiple", no="Single"),
        mandatory=_flag(item, "Mandatory", yes="Mandatory", no="Optional"),
        range=item.text_of("RangeEnumeration"),
        units=item.text_of("Units"),
        description=item.text_of("Description"),
    )


def _operations(item: _Element) -> Operations:
    text = item.text_of("Operations")
    try:
        return Operations(text)
    except ValueError:
        raise _Malformed(item.line_of("Operations"), f"{text!r} is not one of R, W, RW, E") from None


def _type(item: _Element) -> Type:
    text = item.text_of("Type")
    try:
        return Type(text)
    except ValueError:
        raise _Malformed(item.line_of("Type"), f"{text!r} is not a type of LwM2M") from None


def _flag(element: _Element, tag: str, *, yes: str, no: str) -> bool:
    text = element.text_of(tag)
    if text not in (yes, no):
        raise _Malformed(element.line_of(tag), f"<{tag}> is {yes} or {no}, not {text!r}")
    return text == yes


def _id(text: str, line: int, what: str) -> int:
    if not _ID.fullmatch(text) or int(text) > MAX_ID:
        raise _Malformed(line, f"{text[:20]!r} is not {what}: a number from 0 to {MAX_ID}")
    return int(text)


def _version_of_urn(urn: str) -> str:
    found = re.search(r":(\d+\.\d+)$", urn)
    return found[1] if found else "1.0"


def _version(element: _Element, tag: str, default: str) -> tuple[int, int]:
    text = element.text_of(tag) or default
    found = re.fullmatch(r"(\d{1,4})\.(\d{1,4})", text, re.ASCII)
    if not found:
        raise _Malformed(element.line_of(tag), f"{text!r} is not a version such as 1.0")
    return int(found[1]), int(found[2])
