"""What is compared with what, and what has to be reached. The order of the table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks import quantities
from benchmarks.figures import Name
from benchmarks.peers import bare_aiocoap, bare_socket, leshan, libcoap, openssl, ours


@dataclass(frozen=True, slots=True)
class Row:
    """`at_least` times the figure of `other`, which is called `beside`; without `other` the figure itself is `at_most`
    so much. Without either the row is for information."""

    measure: str
    ours: Name
    other: Name | None = None
    beside: str = ""
    at_least: float | None = None
    at_most: float | None = None
    stretch: float | None = None

    def reached(self, middle: float) -> bool | None:
        """None where nothing has to be."""
        if self.at_least is not None:
            return middle >= self.at_least
        return None if self.at_most is None else middle <= self.at_most


def _of_us(quantity: str, stack: str | None = None) -> Name:
    return Name(quantity, ours.NAME if stack is None else ours.over(stack))


REGISTRATIONS = "Registrations"
UPDATES = "Updates"
UPDATES_BESIDE_LIBCOAP = "Updates, beside libcoap's GET"
UPDATES_IN_A_CROWD = "Updates, 100 000 clients registered"
NOTIFICATIONS = "Notifications received"
READS = "Reads, 200 clients in flight"
MEMORY = "Bytes per registered client, 100 000 of them"
IDLE = "Idle cost of 10 000 registered clients"
SECURE_UPDATES = "Updates over DTLS-PSK"
PSK_REGISTRATIONS = "DTLS-PSK handshake and Register"
X509_REGISTRATIONS = "X.509 mutual handshake and Register"
ASSOCIATION_MEMORY = "Bytes per idle DTLS association, 5 000 of them"


def rows() -> Iterator[Row]:
    bare = bare_aiocoap.NAME
    registrations, updates = quantities.REGISTRATIONS, quantities.UPDATES
    notifications, reads = quantities.NOTIFICATIONS, quantities.READS
    few, many = quantities.UPDATES_BESIDE_FEW, quantities.UPDATES_BESIDE_MANY
    yield Row(REGISTRATIONS, _of_us(registrations), Name(registrations, bare), "bare aiocoap, POST", at_least=8)
    yield Row(UPDATES, _of_us(updates), Name(updates, bare), "bare aiocoap, POST", at_least=15)
    yield Row(
        UPDATES_BESIDE_LIBCOAP, _of_us(updates), Name(quantities.GETS, libcoap.NAME), "libcoap, GET", at_least=0.5
    )
    yield Row(UPDATES_IN_A_CROWD, _of_us(many), _of_us(few), "1 000 registered", at_least=0.8)
    yield Row(NOTIFICATIONS, _of_us(notifications), Name(notifications, bare), "bare aiocoap", at_least=4, stretch=6)
    yield Row(READS, _of_us(reads), Name(reads, bare), "bare aiocoap", at_least=8)
    yield Row(MEMORY, _of_us(quantities.MEMORY), at_most=3000)
    yield Row(IDLE, _of_us(quantities.IDLE), at_most=0.01)
    yield Row(
        SECURE_UPDATES,
        _of_us(quantities.SECURE_UPDATES),
        _of_us(quantities.PLAIN_UPDATES),
        "the same over UDP",
        at_least=0.6,
    )
    yield Row(
        PSK_REGISTRATIONS,
        _of_us(quantities.PSK_REGISTRATIONS),
        Name(quantities.PLAIN_POSTS, bare),
        "bare aiocoap, POST",
        at_least=0.5,
    )
    yield Row(
        X509_REGISTRATIONS,
        _of_us(quantities.X509_REGISTRATIONS),
        Name(quantities.X509_HANDSHAKES, openssl.NAME),
        "openssl s_server, handshake",
        at_least=0.8,
    )
    yield Row(ASSOCIATION_MEMORY, _of_us(quantities.ASSOCIATION_MEMORY), at_most=3000)
    yield Row("Registrations, beside Leshan", _of_us(registrations), Name(registrations, leshan.NAME), "Leshan")
    yield Row("Updates, beside Leshan", _of_us(updates), Name(updates, leshan.NAME), "Leshan")
    yield Row("Updates, beside receiving and sending alone", _of_us(updates), Name(updates, bare_socket.NAME), "Python")
    for stack in ours.OTHER_STACKS:
        for quantity in (registrations, updates, notifications, reads):
            title = f"{quantity.capitalize()} over `--coap-stack {stack}`"
            yield Row(title, _of_us(quantity, stack), Name(quantity, bare), "bare aiocoap")


SPREAD_OUT = "No part stands out; what is left is spread over small steps, one for each rule."
REASONS: dict[str, str] = {
    REGISTRATIONS: "A third of the time is the server's (registry, store, event), a quarter the reading and writing of "
    "datagrams and options, of which a Register has many, a fifth the rest of CoAP (acknowledgements, duplicates, "
    f"limits), a tenth LwM2M's parameters and links, a tenth system calls. In microseconds, each "
    "measured alone on a quiet core: the server 12 to 15, garbage collection 4, system calls 4.5, the datagram 3, its "
    f"request 2, the answer 2. {SPREAD_OUT}",
    UPDATES: "Three tenths of the time are the server's (registry, store, event), two tenths each the reading and "
    "writing of datagrams and options, the rest of CoAP (acknowledgements, duplicates, limits) and system calls. In "
    "microseconds, each measured alone on a quiet core: the server 6 to 8, the datagram with duplicates and "
    f"acknowledgement 5, system calls 4.5, options to a request and an answer back 3. {SPREAD_OUT}",
    UPDATES_BESIDE_LIBCOAP: "As for Updates; libcoap is C and does nothing but answer.",
    NOTIFICATIONS: "Decoding to values, which bare aiocoap does not do, is a sixth of the time. A third is the "
    "server's (which observation, the reason, the event), a fifth CoAP's (order, tokens), a sixth reading the "
    "datagram and its options, a tenth the system call. In microseconds, each measured alone on a quiet core: the "
    "server with the value 5 to 6, reading the datagram and finding its token 2 to 3.5, order and response 3, the "
    "system call 1.",
    READS: "A third of the time is CoAP's own (the exchange, its retransmission and deadline), a sixth asyncio's (a "
    "future and a turn of the loop for each), the rest datagrams, values and system calls in equal parts. In "
    "microseconds, each measured alone on a quiet core: asking with its future 20 to 28, the server 8 to 10, the "
    "exchange both ways 7, system calls 5.",
    SECURE_UPDATES: "Of what DTLS adds, 20 µs, the two records take 6 µs, less than half of them in AES-CCM itself, "
    "the rest in headers, nonces and the replay window. No part of the others stands out: the association of each "
    "datagram, whether it may speak as its endpoint, longer datagrams.",
}
"""Why a target is missed, by measure: written by hand, after profiling."""
