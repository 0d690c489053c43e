"""Giving a device its place: endpoint, models of its entities, instance numbers that it keeps."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping

from lwm2m import Definitions, Record
from osap_bridge.entity_model import EntityModel
from osap_bridge.installed import Product
from osap_bridge.placement import Owner, Placement, Slot, allocate, placement
from osap_bridge.presence import Part, Presence
from osap_bridge.protocol import Appeared, Entity
from osap_bridge.store import Store
from osap_bridge.topology import DEVICE, Topology

log = logging.getLogger(__name__)

MAX_INSTANCES = 4096
"""Of one device at one endpoint, over time: a device that names ever new sub-devices must not use up the numbers."""

_GATEWAY = Owner(Entity(""), Slot(DEVICE, 0))


class Settlement:
    def __init__(
        self,
        topology: Topology,
        products: Mapping[str, Product],
        store: Store,
        definitions: Definitions,
        gateway_endpoint: str,
    ) -> None:
        self._topology = topology
        self._products = products
        self._store = store
        self._definitions = definitions
        self._gateway_endpoint = gateway_endpoint
        self._taken: dict[str, dict[Slot, Owner]] = {}

    def settle(self, device: Appeared) -> tuple[Presence, list[Record]]:
        """The device in its place, and all that its endpoint shows before the device reports."""
        endpoint = self._topology.endpoint_of(device.serial)
        presence = Presence(device.serial, device.facts, endpoint)
        models = list(self._models(device))
        places = self._place(endpoint, device.serial, models)
        presence.introduction = places[Entity(device.serial)]
        for model in models:
            presence.parts[model.entity] = Part(model, places[model.entity])
        return presence, [*self._introduction(presence), *self._first_records(presence)]

    def _models(self, device: Appeared) -> Iterator[EntityModel]:
        products = {Entity(device.serial).child: device.facts.product, **device.children}
        for name in sorted(set(products.values()) - self._products.keys()):
            log.warning(
                "%s: no translator is installed for product %r, so its values are left out", device.serial, name
            )
        for entity in device.entities:
            product = self._products.get(products.get(entity.child, ""))
            if product is not None:
                yield EntityModel(product, entity, self._definitions, self._topology.application_type)

    def _place(self, endpoint: str, serial: str, models: Iterable[EntityModel]) -> dict[Entity, Placement]:
        wanted: dict[Entity, set[Slot]] = {Entity(serial): {Slot(self._topology.introduces, 0)}}
        for model in models:
            wanted.setdefault(model.entity, set()).update(model.slots)
        taken = self._taken_at(endpoint)
        added: dict[Slot, Owner] = {}
        places = {}
        room = MAX_INSTANCES - sum(owner.entity.serial == serial for owner in taken.values())
        for entity, slots in wanted.items():
            numbers = allocate(taken, entity, slots, self._only_once)
            gained = {Slot(slot.object_id, number): Owner(entity, slot) for slot, number in numbers.items()}
            new = {slot: owner for slot, owner in gained.items() if slot not in taken}
            if len(new) > room:
                log.warning("%s has more than %d object instances; %s is left out", serial, MAX_INSTANCES, entity)
                numbers, new = {}, {}
            else:
                self._warn_of_missing(entity, slots - numbers.keys())
            room -= len(new)
            added |= new
            taken |= new
            places[entity] = placement(endpoint, numbers)
        if added:
            self._store.keep_instances(endpoint, added)
        return places

    def _taken_at(self, endpoint: str) -> dict[Slot, Owner]:
        if endpoint not in self._taken:
            own = {_GATEWAY.slot: _GATEWAY} if endpoint == self._gateway_endpoint else {}
            self._taken[endpoint] = self._store.instances(endpoint) | own
        return self._taken[endpoint]

    def _only_once(self, object_id: int) -> bool:
        definition = self._definitions.object(object_id)
        return definition is not None and not definition.multiple

    def _warn_of_missing(self, entity: Entity, slots: Iterable[Slot]) -> None:
        for slot in sorted(slots):
            log.warning(
                "%s: object %d exists once and is taken, so its values are left out", entity.serial, slot.object_id
            )

    def forget(self, presence: Presence) -> None:
        """Free the numbers of a device that was removed."""
        taken = self._taken_at(presence.endpoint)
        for slot in [slot for slot, owner in taken.items() if owner.entity.serial == presence.serial]:
            del taken[slot]

    def _introduction(self, presence: Presence) -> list[Record]:
        records = self._topology.introduce(presence.serial, presence.facts)
        place = presence.introduction
        seen = [(place.outward(record.path) if place else None, record) for record in records]
        return [record._replace(path=path) for path, record in seen if path is not None]

    def _first_records(self, presence: Presence) -> Iterable[Record]:
        for part in presence.parts.values():
            yield from part.outward(part.model.fixed())
            for event in part.model.events:
                occurrences = self._store.occurrences(part.model.entity, event.point)
                yield from part.outward(part.model.of_event(event.point, occurrences))
