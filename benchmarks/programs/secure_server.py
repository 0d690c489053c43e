"""Our server over DTLS. Arguments: "psk", how many clients and their key in hexadecimal; or "x509" and the folder of
`benchmarks.certificates`."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.certificates import NAME, Certificates
from benchmarks.programs.commands import obey
from benchmarks.programs.lwm2m_server import Serving
from lwm2m.coap.stacks import Dtls, open_endpoint
from lwm2m.dtls.settings import ServerSettings
from lwm2m.security.certificates import certificates_in, encoded
from lwm2m.security.credentials import CertificateChain, PreSharedKey
from lwm2m.security.info import SecurityInfo
from lwm2m.security.keys import FileKey
from lwm2m.security.paths import TrustStore
from lwm2m.security.pki import ClientCheck
from lwm2m.security.store import MemorySecurity
from lwm2m.server import Server
from lwm2m.server.admission import Admission


def with_keys(clients: str, key: str) -> tuple[Admission, ServerSettings]:
    names = [NAME.format(number) for number in range(int(clients))]
    secret = bytes.fromhex(key)
    admission = Admission(MemorySecurity(SecurityInfo(name, PreSharedKey(name.encode(), secret)) for name in names))
    return admission, ServerSettings(admission.psk)


def with_certificates(folder: str) -> tuple[Admission, ServerSettings]:
    files = Certificates(Path(folder))
    chain = tuple(map(encoded, certificates_in(files.server.read_bytes())))
    own = CertificateChain(chain, FileKey.from_pem(files.server_key.read_bytes()))
    check = ClientCheck(TrustStore.read(files.authority.read_bytes()), wall=time.time)
    return Admission(MemorySecurity()), ServerSettings(chain=own, verify=check)


MODES: dict[str, Callable[..., tuple[Admission, ServerSettings]]] = {"psk": with_keys, "x509": with_certificates}


async def serve(mode: str, *arguments: str) -> None:
    admission, settings = MODES[mode](*arguments)
    endpoint = open_endpoint(dtls=Dtls(server=settings))
    async with Server([endpoint], admission=admission) as server:
        listening = asyncio.create_task(Serving(server).listen())
        await obey(endpoint.address[1], {})
        listening.cancel()
        await asyncio.wait([listening])


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
