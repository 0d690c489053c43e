"""Every operation is the same after its way over the wire."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lwm2m.coap.message import Code, Request
from lwm2m.errors import LwM2MError
from lwm2m.model.content_format import ContentFormat
from lwm2m.model.library import shipped
from lwm2m.model.path import Path
from lwm2m.operations import (
    Binding,
    Body,
    BootstrapDelete,
    BootstrapDiscover,
    BootstrapFinish,
    BootstrapOperation,
    BootstrapRead,
    BootstrapRequest,
    BootstrapWrite,
    CancelCompositeObservation,
    CancelObservation,
    Create,
    Delete,
    Deregister,
    DeviceOperation,
    Discover,
    Execute,
    Observe,
    ObserveComposite,
    Read,
    ReadComposite,
    Register,
    RegistrationOperation,
    Send,
    Update,
    Write,
    WriteAttributes,
    WriteComposite,
    bootstrap,
    device_management,
    path_list,
    paths_of,
    registration,
)
from lwm2m.operations.registration import Standing
from tests.property.test_link_format import links

DEFINITIONS = shipped()
WRITABLE_MULTIPLE = [
    Path(definition.id, 0, resource.id)
    for definition in DEFINITIONS
    for resource in definition.resources.values()
    if resource.multiple and resource.operations.writable
]
EXECUTABLE = [
    Path(definition.id, 0, resource.id)
    for definition in DEFINITIONS
    for resource in definition.resources.values()
    if resource.operations.executable
]

ids = st.integers(0, 65534)
senml = st.sampled_from([ContentFormat.SENML_JSON, ContentFormat.SENML_CBOR])
numbers = st.none() | st.integers(0, 65535)
accepted = numbers.filter(lambda number: number != ContentFormat.LINK)
bodies = st.builds(Body, st.binary(), numbers)
texts = st.text(st.characters(codec="utf-8"))
words = st.text(st.characters(codec="utf-8", exclude_characters="="), min_size=1)
roots = st.lists(words, max_size=2).map(tuple)


def paths(*lengths: int) -> st.SearchStrategy[Path]:
    return st.one_of([st.tuples(*[ids] * length).map(lambda chosen: Path(*chosen)) for length in lengths])


targets = paths(1, 2, 3, 4)
path_lists = st.builds(path_list, st.lists(paths(0, 1, 2, 3, 4), min_size=1, max_size=5), senml)
device_operations: st.SearchStrategy[DeviceOperation] = st.one_of(
    st.builds(Read, targets, accepted),
    st.builds(Discover, targets),
    st.builds(Observe, targets, numbers),
    st.builds(CancelObservation, targets, numbers),
    st.builds(Write, paths(2, 3, 4), bodies),
    st.builds(Write, paths(2) | st.sampled_from(WRITABLE_MULTIPLE), bodies, st.just(False)),
    st.builds(WriteAttributes, targets, st.dictionaries(words, st.none() | texts, min_size=1, max_size=4)),
    st.builds(Execute, st.sampled_from(EXECUTABLE) | st.builds(Path, st.just(65000), ids, ids), texts),
    st.builds(Create, paths(1), bodies),
    st.builds(Delete, targets),
    st.builds(ReadComposite, path_lists, st.none() | senml),
    st.builds(ObserveComposite, path_lists, st.none() | senml),
    st.builds(CancelCompositeObservation, path_lists, st.none() | senml),
    st.builds(WriteComposite, st.builds(Body, st.binary(), senml)),
)


@given(device_operations, roots)
def test_what_a_server_asks_survives_the_wire(operation: DeviceOperation, root: tuple[str, ...]) -> None:
    assert device_management.from_coap(device_management.to_coap(operation), DEFINITIONS) == operation
    request = device_management.to_coap(operation, root)
    is_composite = request.method in (Code.FETCH, Code.IPATCH)
    assert request.path == (() if is_composite else root + operation.path.segments)


@given(
    st.lists(paths(0, 1, 2, 3, 4), min_size=1), senml, roots.filter(lambda root: not any("/" in name for name in root))
)
def test_a_list_of_paths_survives_the_wire(chosen: list[Path], content_format: int, root: tuple[str, ...]) -> None:
    assert paths_of(path_list(chosen, content_format, root), root) == tuple(chosen)


letters = {"1.1": "UTSN", "1.2": "UTSNMH"}
known = {"ep", "lt", "lwm2m", "b", "Q", "sms"}
endpoints = st.text(st.characters(codec="utf-8"), min_size=1, max_size=63)
lifetimes = st.integers(0, 2**63 - 1)
phones = st.text("0123456789", min_size=1, max_size=32)
additional = st.dictionaries(words.filter(lambda name: name not in known), texts, max_size=3)
object_lists = st.lists(links, min_size=1, max_size=4).map(tuple)
locations = st.tuples(st.just("rd"), texts.filter(bool))


@st.composite
def bindings(draw: st.DrawFn, version: str) -> Binding:
    if version == "1.0":
        return draw(st.sampled_from([Binding(text, queued) for text in ("U", "S", "US") for queued in (False, True)]))
    chosen = draw(st.lists(st.sampled_from(letters[version]), min_size=1, unique=True))
    return Binding("".join(chosen), draw(st.booleans()))


@st.composite
def registers(draw: st.DrawFn) -> Register:
    version = draw(st.sampled_from(["1.0", "1.1", "1.2"]))
    binding = draw(bindings(version))
    sms = draw(phones) if "S" in binding.letters else draw(st.none() | phones)
    return Register(draw(endpoints), draw(lifetimes), draw(object_lists), version, binding, sms, draw(additional))


@st.composite
def updates(draw: st.DrawFn) -> Update:
    version = draw(st.sampled_from(["1.0", "1.1", "1.2"]))
    binding = draw(st.none() | bindings(version))
    needs_sms = binding is not None and "S" in binding.letters
    sms = draw(phones) if needs_sms else draw(st.none() | phones)
    lifetime, listed = draw(st.none() | lifetimes), draw(st.none() | object_lists)
    return Update(draw(locations), lifetime, listed, binding, sms, draw(additional), version)


registration_operations: st.SearchStrategy[RegistrationOperation] = st.one_of(
    registers(),
    updates(),
    st.builds(Deregister, locations),
    st.builds(Send, st.builds(Body, st.binary(min_size=1), senml)),
)


@given(registration_operations)
def test_what_a_client_asks_survives_the_wire(operation: RegistrationOperation) -> None:
    standing = Standing(operation.version if isinstance(operation, Update) else "1.1")
    assert registration.from_coap(registration.to_coap(operation), standing=standing) == operation


bootstrap_operations: st.SearchStrategy[BootstrapOperation] = st.one_of(
    st.builds(BootstrapDiscover, paths(0, 1)),
    st.builds(
        BootstrapRead,
        st.builds(Path, st.sampled_from([1, 2])) | st.builds(Path, st.sampled_from([1, 2]), ids),
        accepted,
    ),
    st.builds(BootstrapWrite, paths(1, 2, 3), bodies),
    st.builds(BootstrapDelete, paths(0, 1, 2).filter(lambda path: path != Path(3, 0))),
    st.builds(BootstrapFinish),
)


@given(bootstrap_operations)
def test_what_a_bootstrap_server_asks_survives_the_wire(operation: BootstrapOperation) -> None:
    assert bootstrap.from_coap(bootstrap.to_coap(operation)) == operation


@given(
    st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=63), st.sampled_from([None, 110, 112, 11542])
)
def test_a_bootstrap_request_survives_the_wire(endpoint: str | None, preferred: int | None) -> None:
    operation = BootstrapRequest(endpoint, preferred)
    assert bootstrap.request_from_coap(bootstrap.to_coap(operation)) == operation


segments = st.sampled_from(["0", "1", "2", "3", "65535", "007", "bs", "rd", "dp", "x", "", "-1"]) | texts
parameters = st.sampled_from(["ep=a", "ep", "pct=110", "pct=x", "pmin=1", "lt=1", "lwm2m=1.1", "", "="])
requests = st.builds(
    Request,
    st.sampled_from([code for code in Code if code < 0x20]),
    st.lists(segments, max_size=6).map(tuple),
    st.lists(parameters | texts, max_size=3).map(tuple),
    st.binary(),
    numbers | st.sampled_from(list(ContentFormat)),
    numbers | st.sampled_from(list(ContentFormat)),
    st.sampled_from([None, 0, 1, 2]),
)


@given(requests)
def test_any_request_is_an_operation_that_can_be_asked_again_or_is_refused(request: Request) -> None:
    """What an operation says is all that a receiver needs: said once more, it is read as the same."""
    refusals = []
    try:
        asked = device_management.from_coap(request, DEFINITIONS)
        assert device_management.from_coap(device_management.to_coap(asked), DEFINITIONS) == asked
    except LwM2MError as refused:
        refusals.append(refused)
    try:
        told = bootstrap.from_coap(request)
        assert bootstrap.from_coap(bootstrap.to_coap(told)) == told
    except LwM2MError as refused:
        refusals.append(refused)
    try:
        wanted = bootstrap.request_from_coap(request)
        assert bootstrap.request_from_coap(bootstrap.to_coap(wanted)) == wanted
    except LwM2MError as refused:
        refusals.append(refused)
    assert all(refused.diagnostic for refused in refusals)
