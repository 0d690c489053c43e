"""The data model translators installed here, each with its profile, found by entry point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from types import MappingProxyType

from osap_bridge.osap.profile import Profile
from osap_bridge.translator import DataModelTranslator

GROUP = "osap_bridge.translators"


class DuplicateTranslator(Exception):
    """Two translators claim one product; which of them is meant, nobody can know."""


@dataclass(frozen=True, slots=True)
class Product:
    """A translator with its profile; `origin` says where it was installed from. `profile_text` is what a device is
    given that asks for its profile."""

    translator: DataModelTranslator
    profile: Profile | None = None
    profile_text: bytes = field(default=b"", repr=False)
    origin: str = ""

    @property
    def name(self) -> str:
        return self.translator.product


@dataclass(frozen=True, slots=True)
class Unusable:
    """A plugin that did not load, and why."""

    origin: str
    reason: str


@dataclass(frozen=True, slots=True)
class Installed:
    """`products` by product name; `unusable` are left out."""

    products: Mapping[str, Product]
    unusable: tuple[Unusable, ...] = ()


def find(points: Iterable[EntryPoint] | None = None) -> Installed:
    """Everything installed under the entry point group. Raises DuplicateTranslator."""
    products: dict[str, Product] = {}
    unusable = []
    for point in sorted(entry_points(group=GROUP) if points is None else points, key=lambda point: point.name):
        loaded = _load(point)
        if isinstance(loaded, Unusable):
            unusable.append(loaded)
        elif loaded.name in products:
            raise DuplicateTranslator(f"{products[loaded.name].origin} and {loaded.origin} both claim {loaded.name!r}")
        else:
            products[loaded.name] = loaded
    return Installed(MappingProxyType(products), tuple(unusable))


def _load(point: EntryPoint) -> Product | Unusable:
    """A plugin is somebody else's code: whatever it raises while loading makes it unusable and nothing else."""
    origin = f"{point.name} ({point.value})"
    try:
        translator = point.load()
        if not isinstance(translator, DataModelTranslator):
            return Unusable(origin, "is not a DataModelTranslator")
        return _with_profile(translator, point.module, origin)
    except Exception as error:
        return Unusable(origin, f"{type(error).__name__}: {error}")


def _with_profile(translator: DataModelTranslator, module: str, origin: str) -> Product:
    if not translator.profile:
        return Product(translator, origin=origin)
    package = module.rpartition(".")[0]
    text = files(package or module).joinpath(translator.profile).read_bytes()
    return Product(translator, Profile.from_json(text), text, origin)
