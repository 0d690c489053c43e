"""Ten thousand handshakes in all, in both roles and every mode, broken off at every flight, leave nothing behind, and
the next one succeeds."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from typing import NamedTuple

from lwm2m.coap.links.dtls_link import MAX_OWN_SESSIONS, DtlsLink, HandshakeFailed, OwnSessions
from lwm2m.dtls.client import ClientHandshake
from lwm2m.dtls.connection import Connected, Connection
from lwm2m.dtls.listener import Answer, Listener
from lwm2m.dtls.settings import ClientSettings, ServerSettings, Session, Sessions
from lwm2m.security.credentials import CertificateChain, PreSharedKey, RawPublicKey, rpk_identity
from lwm2m.security.paths import TrustStore
from lwm2m.security.pki import ClientCheck, Pin, ServerCheck
from lwm2m.testing import run
from tests.authority import WALL, Issued, root
from tests.dtls_net import SERVER, Below, Host, Net
from tests.dtls_pair import CLIENT_KEY, IDENTITY, KEY, SERVER_KEY, psk_client

HANDSHAKES = 5_000
"""In each role."""
ONE_IN = 25
"""So many sign: they cost more."""
AT_A_TIME = 100
CA = root()
DEVICE, PLATFORM, STRANGER = CA.issues("device"), CA.issues("platform"), root("another").issues("device")
TRUST = TrustStore((CA.certificate,))
CHECK = ServerCheck(trust=TRUST, wall=lambda: WALL)


def certified(issued: Issued) -> CertificateChain:
    return CertificateChain((issued.der,), issued.key)


CLIENTS = {
    "psk": psk_client(),
    "rpk": ClientSettings(RawPublicKey(CLIENT_KEY), ServerCheck(Pin(SERVER_KEY.public_key))),
    "x509": ClientSettings(certified(DEVICE), CHECK),
    "psk, nobody's": ClientSettings(PreSharedKey(b"nobody", KEY)),
    "psk, another": ClientSettings(PreSharedKey(IDENTITY, b"another")),
    "rpk, another": ClientSettings(RawPublicKey(CLIENT_KEY), ServerCheck(Pin(CLIENT_KEY.public_key))),
    "x509, nobody's": ClientSettings(certified(STRANGER), CHECK),
}
GOOD = ("psk", "rpk", "x509")
PROVED = ("psk:lamp", rpk_identity(SERVER_KEY.public_key), "x509:platform")
SERVING = ServerSettings(
    {IDENTITY: KEY}.get,
    RawPublicKey(SERVER_KEY),
    certified(PLATFORM),
    ClientCheck(TRUST, wall=lambda: WALL, admits=lambda _identity: True),
    cid_length=4,
)


class Case(NamedTuple):
    """How far one handshake goes: whoever breaks it off sends so many datagrams, the last of them spoiled perhaps."""

    mode: str
    resumes: bool
    datagrams: int
    spoiled: bool

    def mutilated(self, datagrams: list[bytes], left: int) -> list[bytes]:
        """What is sent of them when `left` may be."""
        sent = datagrams[:left]
        if self.spoiled and sent and left == len(sent):
            sent[-1] = sent[-1][:-1] + bytes((sent[-1][-1] ^ 1,))
        return sent


def cases() -> Iterator[Case]:
    """Each way to break off in its turn; those that sign take turns of their own."""
    ways = [(datagrams, spoiled) for datagrams in range(1, 6) for spoiled in (False, True)]
    kinds = [("psk", True), *((mode, False) for mode in CLIENTS)]
    every = [Case(*kind, *way) for way in ways for kind in kinds]
    sharing = cycle(case for case in every if case.mode.startswith("psk"))
    signing = cycle(case for case in every if not case.mode.startswith("psk"))
    for number in range(HANDSHAKES):
        yield next(sharing if number % ONE_IN else signing)


def assert_all_was_tried(done: Counter[tuple[Case, bool]]) -> None:
    assert done.total() == HANDSHAKES
    assert len({case for case, _ in done}) == (len(CLIENTS) + 1) * 10
    stood = Counter(case.mode for case, stood in done.elements() if stood)
    assert set(stood) == set(GOOD)
    assert stood["psk"] > 500
    assert any(case.resumes for case, stood in done if stood)
    assert any(case.resumes for case, stood in done if not stood)


def assert_nothing_is_left(link: DtlsLink) -> None:
    left = (link._shaking, link._established, link._by_place, link._by_cid, link._deadlines)
    assert not any(left), left
    assert link._timer is None


# Clients that break off


class Caller:
    """A client without a clock; it falls silent after so many datagrams."""

    def __init__(self, case: Case, session: Session | None, net: Net, server: Below, port: int) -> None:
        self.address = ("198.51.100.1", port)
        settings = CLIENTS[case.mode]
        self._handshake = ClientHandshake(replace(settings, session=session) if case.resumes else settings)
        self._connection = Connection(self._handshake)
        self._case = case
        self._server = server
        self._net = net
        self.session: Session | None = None

    def call(self) -> bool:
        """Whether the association stood; then it ends with a good-bye."""
        loop = asyncio.get_running_loop()
        self._connection.start(self._handshake.start(), loop.time())
        out, left = self._connection.take(), self._case.datagrams
        while out and left:
            (datagram,) = self._case.mutilated([out.pop(0)], left)
            left -= 1
            heard = len(self._net.sent)
            self._server.arrived(datagram, self.address)
            for answer in self._net.sent[heard:]:
                for event in self._connection.receive(answer, loop.time()):
                    self.session = event.session if isinstance(event, Connected) else self.session
            out += self._connection.take()
        stood = self._connection.is_connected
        if stood:
            self._connection.close()
            for datagram in self._connection.take():
                self._server.arrived(datagram, self.address)
        return stood


async def call_often() -> Counter[tuple[Case, bool]]:
    net, done = Net(), Counter[tuple[Case, bool]]()
    host = await Host(net, SERVER, server=SERVING, max_handshakes=300).open()
    session: Session | None = None
    for number, case in enumerate(cases()):
        caller = Caller(case, session, net, host.below, number % 40_000 + 1)
        done[case, caller.call()] += 1
        session = caller.session if case.mode == "psk" and caller.session is not None else session
        assert len(host.link._shaking) <= 300
        if number % AT_A_TIME == 0:
            net.sent.clear()
            await asyncio.sleep(0.5)
    await asyncio.sleep(64)
    assert_nothing_is_left(host.link)
    for mode in GOOD:
        client = await Host(net, ("203.0.113.9", 40_000), client=lambda _, mode=mode: CLIENTS[mode]).open()
        client.link.send(b"it goes on", await client.shake_hands())
        await asyncio.sleep(1)
        assert host.above.heard.pop()[0] == b"it goes on"
        await client.link.close()
    await host.link.close()
    return done


def test_thousands_of_clients_that_break_off_leave_nothing_at_a_server() -> None:
    assert_all_was_tried(run(call_often()))


# Servers that break off


class Answerer:
    """A server without a clock at an address of its own; it falls silent after so many datagrams."""

    def __init__(self, case: Case, listener: Listener, net: Net, address: tuple[str, int]) -> None:
        self._case = case
        self._listener = listener
        self._net = net
        self._address = address
        self._left = case.datagrams
        self._connection: Connection | None = None

    def arrived(self, datagram: bytes, source: tuple[str, int]) -> None:
        """A link of the net."""
        now = asyncio.get_running_loop().time()
        if self._connection is None:
            verdict = self._listener.receive(datagram, b"a client", now, b"cid4")
            if isinstance(verdict, Answer):
                self._say([verdict.datagram], source)
            if verdict is None or isinstance(verdict, Answer):
                return
            self._connection = verdict.connection
        for event in self._connection.receive(datagram, now):
            if isinstance(event, Connected) and event.session is not None:
                self._listener.sessions.keep(event.session, now)
        self._say(self._connection.take(), source)

    def _say(self, datagrams: list[bytes], target: tuple[str, int]) -> None:
        sent = self._case.mutilated(datagrams, self._left)
        self._left -= len(sent)
        for datagram in sent:
            self._net.carry(datagram, self._address, target)


async def reach_often() -> Counter[tuple[Case, bool]]:
    net, done = Net(), Counter[tuple[Case, bool]]()
    listener = Listener(SERVING, Sessions())
    modes: dict[str, str] = {}
    kept: OwnSessions = {}
    link = (
        await Host(net, ("203.0.113.9", 40_000), client=lambda host: CLIENTS[modes[host]], own_sessions=kept).open()
    ).link

    async def reach(case: Case, number: int) -> None:
        address = (f"192.0.{number // 250}.{number % 250 + 1}", 5684)
        modes[address[0]] = case.mode
        if case.resumes and (session := next(iter(listener.sessions._kept.values()), None)) is not None:
            kept[address] = CLIENTS["psk"], session[1]
        net.links[address] = Answerer(case, listener, net, address)  # type: ignore[assignment]
        done[case, await reached(link, f"coaps://{address[0]}")] += 1
        del net.links[address]

    numbered = enumerate(cases())
    while some := list(islice(numbered, AT_A_TIME)):
        await asyncio.gather(*(reach(case, number) for number, case in some))
        net.sent.clear()
        for identity in PROVED:
            link.forget(identity)
    assert_nothing_is_left(link)
    assert len(kept) <= MAX_OWN_SESSIONS
    await link.close()
    return done


async def reached(link: DtlsLink, uri: str) -> bool:
    try:
        await link.peer(uri)
    except HandshakeFailed:
        return False
    return True


def test_thousands_of_servers_that_break_off_leave_nothing_at_a_client() -> None:
    assert_all_was_tried(run(reach_often()))
