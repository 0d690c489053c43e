"""Which instances of object 0 a bootstrap server may write: the one of its own account is the client's to number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from lwm2m.link_format import Link
from lwm2m.model.path import Path
from lwm2m.model.record import Record
from lwm2m.server.bootstrap_config import WriteRecords

_BOOTSTRAP_SERVER = 1


def placement(writes: Sequence[WriteRecords], links: Iterable[Link]) -> dict[int, int]:
    """Configured instance of object 0 -> instance to write, from what a Discover told. A configured bootstrap account
    goes where the client has its own; the others step aside for it. Raises ValueError with a sentence when the
    client's cannot be told."""
    taken = set(_without_ssid(links))
    configured = sorted({record.path[1] for record in _security_records(writes) if len(record.path) > 1})
    bootstrap = {record.path[1] for record in _security_records(writes) if _says_bootstrap(record)}
    if bootstrap and len(taken) > 1:
        raise ValueError("the client does not tell which instance of object 0 is its bootstrap account")
    places = {number: next(iter(taken), number) for number in bootstrap}
    used = taken | set(places.values())
    for number in configured:
        if number not in bootstrap:
            places[number] = number if number not in used else _free(used | set(configured))
            used.add(places[number])
    return places


def placed(path: Path, records: Sequence[Record], places: Mapping[int, int]) -> tuple[Path, tuple[Record, ...]]:
    return _placed(path, places), tuple(record._replace(path=_placed(record.path, places)) for record in records)


def _placed(path: Path, places: Mapping[int, int]) -> Path:
    if len(path) < 2 or path[0] != 0:
        return path
    return Path(0, places.get(path[1], path[1]), *path[2:])


def _security_records(writes: Sequence[WriteRecords]) -> Iterator[Record]:
    return (record for write in writes for record in write.records if record.path[:1] == (0,))


def _says_bootstrap(record: Record) -> bool:
    return record.path[2:] == (_BOOTSTRAP_SERVER,) and record.value is True


def _without_ssid(links: Iterable[Link]) -> Iterator[int]:
    """The bootstrap account is the instance that carries no short server id. lwm2m.md §4.4."""
    for link in links:
        try:
            path = Path.parse(link.target.removesuffix("/"))
        except ValueError:
            continue
        if len(path) == 2 and path[0] == 0 and "ssid" not in link.attributes:
            yield path[1]


def _free(used: set[int]) -> int:
    return next(number for number in range(65535) if number not in used)
