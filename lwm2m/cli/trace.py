"""Every CoAP message as lines for people: who, what, and the named resources in it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import datetime

from lwm2m.cli.render import described
from lwm2m.cli.values import printable
from lwm2m.coap.endpoint import Traced
from lwm2m.coap.message import Code, Peer, Request, Response
from lwm2m.codec import decode
from lwm2m.errors import LwM2MError
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.model.record import Record

REMEMBERED = 1024
SHOWN_BYTES = 64
OSCORE = 21
"""Its keys are text in object versions 1.0 and 1.1."""
SECRET_OBJECTS = (0, OSCORE)
WRITES = (Code.PUT, Code.POST, Code.IPATCH)


class Trace:
    """A tracer of an endpoint. Answers and notifications are read with the path that their request named: the last
    requests are remembered by peer, token and who asked."""

    def __init__(self, definitions: Definitions, write: Callable[[str], None]) -> None:
        self._definitions = definitions
        self._write = write
        self._asked: OrderedDict[tuple[Peer, bytes, bool], tuple[str, ...]] = OrderedDict()

    def __call__(self, traced: Traced) -> None:
        moment = datetime.now().strftime("%H:%M:%S.%f")[:-3]
        arrow = "<-" if traced.incoming else "->"
        path = self._path_of(traced)
        self._write(f"{moment} {arrow} {traced.peer} {_headline(traced.message, path)}")
        for line in self._payload_lines(traced.message, path):
            self._write(f"      {line}")

    def _path_of(self, traced: Traced) -> tuple[str, ...]:
        asked_by_peer = traced.incoming is isinstance(traced.message, Request)
        key = traced.peer, traced.token, asked_by_peer
        if isinstance(traced.message, Request):
            self._asked[key] = traced.message.path
        if key in self._asked:
            self._asked.move_to_end(key)
        if len(self._asked) > REMEMBERED:
            self._asked.popitem(last=False)
        return self._asked.get(key, ())

    def _payload_lines(self, message: Request | Response, segments: tuple[str, ...]) -> Iterator[str]:
        if not message.payload:
            return
        content_format = message.content_format
        path = _lwm2m_path(segments)
        if _is_text(message, path):
            yield printable(message.payload.decode("utf-8", "replace"))
            return
        try:
            known = ContentFormat.TEXT if content_format is None else content_format
            records = decode(message.payload, known, path or Path(), self._definitions)
        except LwM2MError as error:
            yield f"cannot be read: {printable(str(error))}"
            yield _bytes_text(message, path)
            return
        yield from map(self._record_line, records)

    def _record_line(self, record: Record) -> str:
        name, value, unit = described(record, self._definitions)
        if record.path.object_id in SECRET_OBJECTS and isinstance(record.value, bytes):
            value = f"({len(record.value)} bytes, not shown)"
        elif record.path.object_id == OSCORE and isinstance(record.value, str):
            value = f"({len(record.value)} characters, not shown)"
        return f"{record.path}  {name} = {value} {unit}".rstrip()


def _headline(message: Request | Response, path: tuple[str, ...]) -> str:
    where = printable("/" + "/".join(path)) if path else ""
    if isinstance(message, Response):
        name = message.code.name.replace("_", " ").capitalize()
        words = [message.code.dotted, name, where and f"({where})", _format_text(message)]
        words.append(f"at {printable('/' + '/'.join(message.location))}" if message.location else "")
        return " ".join(word for word in words if word)
    query = printable("&".join(message.query))
    words = [message.method.name, (where or "/") + (f"?{query}" if query else ""), _format_text(message)]
    words.append({None: "", 0: "observe", 1: "cancel observation"}.get(message.observe, ""))
    words.append("" if message.accept is None else f"accept {_format_name(message.accept)}")
    return " ".join(word for word in words if word)


def _format_text(message: Request | Response) -> str:
    if not message.payload:
        return ""
    name = "" if message.content_format is None else f" {_format_name(message.content_format)}"
    return f"[{len(message.payload)} bytes{name}]"


def _format_name(number: int) -> str:
    try:
        return ContentFormat(number).name
    except ValueError:
        return str(number)


def _lwm2m_path(segments: tuple[str, ...]) -> Path | None:
    """The ids at the end of a path: an alternate root may stand before them."""
    ids = list(segments)
    while ids and not ids[0].isdigit():
        ids.pop(0)
    try:
        return Path.of_segments(ids) if ids else None
    except ValueError:
        return None


def _is_text(message: Request | Response, path: Path | None) -> bool:
    """Links, diagnostics and the arguments of an Execute: text that is no value of a resource."""
    if message.content_format == ContentFormat.LINK or (isinstance(message, Response) and not message.code.is_success):
        return True
    if _may_hold_keys(message, path):
        return False
    plain = message.content_format in (None, ContentFormat.TEXT)
    return plain and (path is None or len(path) < 3 or (isinstance(message, Request) and message.method.name == "POST"))


def _may_hold_keys(message: Request | Response, path: Path | None) -> bool:
    """A write that does not say where may be one to any object."""
    if path:
        return path.object_id in SECRET_OBJECTS
    return isinstance(message, Request) and message.method in WRITES


def _bytes_text(message: Request | Response, path: Path | None) -> str:
    payload = message.payload
    if _may_hold_keys(message, path):
        return f"({len(payload)} bytes, not shown)"
    rest = f" and {len(payload) - SHOWN_BYTES} more bytes" if len(payload) > SHOWN_BYTES else ""
    return payload[:SHOWN_BYTES].hex(" ") + rest
