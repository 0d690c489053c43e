"""A device with an object of its own, 26241 (examples/objects): a gate that Execute opens, and that counts."""

import asyncio
from pathlib import Path as File

from lwm2m import Client, Path, Record, with_folder
from lwm2m.client.objects import Stored

PASSAGES, OPEN = Path(26241, 0, 0), Path(26241, 0, 1)


class Gate(Stored):
    async def execute(self, path: Path, arguments: str) -> None:  # noqa: ARG002
        self.host.update([Record(PASSAGES, int(self.host.data_model.value(PASSAGES)) + 1)])


async def main() -> None:
    gate = Gate(26241, [Record(PASSAGES, 0), Record(OPEN, None)])
    definitions = with_folder(File(__file__).parent / "objects")
    async with Client("gate", "coap://127.0.0.1:5683", objects=[gate], definitions=definitions):
        await asyncio.Event().wait()


asyncio.run(main())
