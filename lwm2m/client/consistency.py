"""Is a configuration one that a client can work with? Core 1.1.1 §6.1.7.6; lwm2m.md §4.7. No IO."""

from __future__ import annotations

from collections.abc import Iterator

from lwm2m.client.data_model import DataModel
from lwm2m.client.oscore import oscore_of
from lwm2m.client.pairing import (
    OSCORE,
    SECURITY,
    SERVER,
    URI,
    bootstrap_account,
    is_bootstrap,
    security_instances,
    server_accounts,
    server_instances,
    short_server_id,
    value_of,
)
from lwm2m.client.security import MODE, Mode, Own, UnusableSecurity, problem
from lwm2m.client.standard_objects.server import binding
from lwm2m.model.definition import Definitions
from lwm2m.model.path import Path
from lwm2m.model.record import ObjectLink

_ACCESS_CONTROL, _OSCORE_OBJECT = 2, 21
_LAST_ID = 65_534


def inconsistency(
    model: DataModel,
    definitions: Definitions,
    own: Own = Own(),  # noqa: B008  # immutable
    *,
    bootstrap_alone: bool = False,
) -> str | None:
    """What is wrong, in words without any value of object 0; None: nothing. `own` is what the device has for its
    security beside that. `bootstrap_alone`: the account of a bootstrap server is enough, as in a factory
    configuration."""
    found = next(_problems(model, definitions, own), None)
    if found is not None or server_accounts(model):
        return found
    if bootstrap_alone and bootstrap_account(model) is not None:
        return None
    return "there is no server account"


def _problems(model: DataModel, definitions: Definitions, own: Own) -> Iterator[str]:
    for security in security_instances(model):
        yield from _security_problems(model, security, own)
    for instance in server_instances(model):
        yield from _missing(model, definitions, instance)
        yield from _server_problems(model, instance)
    for object_id in (_ACCESS_CONTROL, _OSCORE_OBJECT):
        for number in model.instances(object_id):
            yield from _missing(model, definitions, Path(object_id, number))
    for object_id in (SECURITY, SERVER):
        yield from _twice(model, object_id)
    yield from _shared_contexts(model)
    if sum(is_bootstrap(model, security) for security in security_instances(model)) > 1:
        yield "there are two bootstrap accounts"


def _security_problems(model: DataModel, security: Path, own: Own) -> Iterator[str]:
    uri = value_of(model, security.child(URI))
    if not uri:
        yield f"{security} has no URI"
    if value_of(model, security.child(MODE)) not in list(Mode):
        yield f"{security} has no security mode"
    elif (wrong := problem(model, security, str(uri), own)) is not None:
        yield wrong
    link = value_of(model, security.child(OSCORE))
    if isinstance(link, ObjectLink) and not (
        link.object_id == _OSCORE_OBJECT and model.has(Path(link.object_id, link.instance_id))
    ):
        yield f"{security} names an OSCORE instance that is not there"
    else:
        yield from _oscore_problems(model, security)
    if not is_bootstrap(model, security) and not _is_server_id(short_server_id(model, security)):
        yield f"{security} has no Short Server ID"


def _oscore_problems(model: DataModel, security: Path) -> Iterator[str]:
    try:
        oscore_of(model, security)
    except UnusableSecurity as error:
        yield str(error)


def _shared_contexts(model: DataModel) -> Iterator[str]:
    """Two servers with one context would be one to us, and each could be the other. lwm2m.md §10.1"""
    named: set[ObjectLink] = set()
    for security in security_instances(model):
        link = value_of(model, security.child(OSCORE))
        if not isinstance(link, ObjectLink):
            continue
        if link in named:
            yield f"{security} names an OSCORE instance that another account has: write one for each"
        named.add(link)


def _server_problems(model: DataModel, instance: Path) -> Iterator[str]:
    if not _is_server_id(short_server_id(model, instance)):
        yield f"{instance} has no Short Server ID"
    try:
        binding(model, instance, "1.1")
    except ValueError:
        yield f"{instance} has a binding that is none"


def _is_server_id(number: int | None) -> bool:
    return number is not None and 1 <= number <= _LAST_ID


def _missing(model: DataModel, definitions: Definitions, instance: Path) -> Iterator[str]:
    definition = definitions.object(instance[0])
    for resource in definition.resources.values() if definition else ():
        wanted = resource.mandatory and not resource.operations.executable
        if wanted and not model.has(instance.child(resource.id)):
            yield f"{instance} lacks {resource.name}"


def _twice(model: DataModel, object_id: int) -> Iterator[str]:
    seen: set[int] = set()
    for instance in (Path(object_id, number) for number in model.instances(object_id)):
        number = None if is_bootstrap(model, instance) else short_server_id(model, instance)
        if number in seen:
            yield f"two instances of object {object_id} have the Short Server ID {number}"
        elif number is not None:
            seen.add(number)
