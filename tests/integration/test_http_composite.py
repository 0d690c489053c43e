"""Composite operations over HTTP, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from lwm2m.model.content_format import ContentFormat
from lwm2m.model.path import Path
from lwm2m.operations import ObserveComposite, ReadComposite, WriteComposite, paths_of
from tests.http_site import ENDPOINT, Site, running_site
from tests.integration.test_http_events import events, following

TEMPERATURE = {"kind": "singleResource", "id": 5700, "type": "FLOAT", "value": "21.5"}
BATTERY = {"kind": "singleResource", "id": 9, "type": "INTEGER", "value": "87"}


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with running_site() as found:
        yield found


async def test_several_paths_are_read_at_once_and_those_that_are_not_there_are_left_out(site: Site) -> None:
    answer = await site.get("/composite?paths=/3303/0/5700,/3/0/9,/3/0/99&pathformat=SENML_JSON&nodeformat=SENML_JSON")
    assert (answer["status"], answer["valid"]) == ("CONTENT(205)", True)
    assert answer["content"] == {"/3303/0/5700": TEMPERATURE, "/3/0/9": BATTERY}
    (asked,) = site.device.operations
    assert isinstance(asked, ReadComposite)
    assert (asked.body.content_format, asked.accept) == (ContentFormat.SENML_JSON, ContentFormat.SENML_JSON)
    assert paths_of(asked.body) == (Path(3303, 0, 5700), Path(3, 0, 9), Path(3, 0, 99))


async def test_without_formats_the_list_is_senml_cbor_and_the_client_chooses(site: Site) -> None:
    answer = await site.get("/composite?paths=/3303")
    assert answer["content"]["/3303"]["kind"] == "obj"
    (asked,) = site.device.operations
    assert isinstance(asked, ReadComposite)
    assert (asked.body.content_format, asked.accept) == (ContentFormat.SENML_CBOR, None)


async def test_the_root_is_the_whole_data_model(site: Site) -> None:
    answer = await site.get("/composite?paths=/")
    root = answer["content"]["/"]
    assert (root["kind"], "id" in root) == ("root", False)
    assert [node["id"] for node in root["objects"]] == [1, 3, 5, 3303, 3311]


async def test_nodes_are_written_at_once(site: Site) -> None:
    nodes = {
        "/3303/0/5700": TEMPERATURE | {"value": "22.5"},
        "/3/0/7/1": {"kind": "resourceInstance", "id": 1, "type": "INTEGER", "value": "1"},
    }
    answer = (await site.http.put(site.at("/composite?nodeformat=SENML_JSON"), json=nodes)).json()
    assert (answer["status"], answer["valid"], answer["success"]) == ("CHANGED(204)", True, True)
    assert (site.device.values[Path(3303, 0, 5700)], site.device.values[Path(3, 0, 7, 1)]) == (22.5, 1)
    (asked,) = site.device.operations
    assert isinstance(asked, WriteComposite)
    assert asked.body.content_format == ContentFormat.SENML_JSON


@pytest.mark.parametrize("nodes", [[], {}, {"/3/x": TEMPERATURE}, {"/3/0": {"resources": []}}, {"/3/0/9": 7}])
async def test_what_is_no_map_of_paths_to_resources_is_refused(site: Site, nodes: object) -> None:
    response = await site.http.put(site.at("/composite"), json=nodes)
    assert (response.status_code, response.text[:17]) == (400, "Invalid request: ")
    assert site.device.operations == []


async def test_several_paths_are_observed_together(site: Site) -> None:
    query = "paths=/3303/0/5700,/3/0/9"
    async with events(site) as stream:
        first = (await site.http.post(site.at(f"/composite/observe?{query}"))).json()
        assert (first["content"], first["observing"]) == ({"/3303/0/5700": TEMPERATURE, "/3/0/9": BATTERY}, True)
        assert isinstance(site.device.operations[0], ObserveComposite)
        await site.device.change_observed_together("/3/0/9", 88)
        name, data = await following(stream)
        assert (name, data["ep"], data["kind"]) == ("NOTIFICATION", ENDPOINT, "composite")
        assert data["paths"] == ["/3303/0/5700", "/3/0/9"]
        assert data["val"] == {"/3303/0/5700": TEMPERATURE, "/3/0/9": BATTERY | {"value": "88"}}
        last = (await site.http.delete(site.at(f"/composite/observe?{query}&active"))).json()
        assert last["content"]["/3/0/9"]["value"] == "88"
        name, data = await following(stream)
    assert (name, data["paths"], data["reason"]) == ("OBSERVATION_ENDED", ["/3303/0/5700", "/3/0/9"], "cancelled")
    assert site.device.composite_observers == {}


async def test_the_list_of_paths_must_be_the_one_that_is_observed(site: Site) -> None:
    await site.http.post(site.at("/composite/observe?paths=/3303/0/5700,/3/0/9"))
    other = site.at("/composite/observe?paths=/3/0/9,/3303/0/5700")
    assert (await site.http.delete(f"{other}&active")).status_code == 404
    assert (await site.http.delete(other)).content == b""
    assert site.server.composite_observations(ENDPOINT) == ((Path(3303, 0, 5700), Path(3, 0, 9)),)
