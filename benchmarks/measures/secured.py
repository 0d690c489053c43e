"""What DTLS costs: Updates in associations that stand, handshakes with what follows, and associations that wait.

Each beside what it is held against, measured here again in the same turns."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks import dtls_generator, quantities
from benchmarks.bench import Bench, Figure
from benchmarks.certificates import Certificates, issue
from benchmarks.dtls_generator import DtlsGenerator, phase
from benchmarks.figures import Name, Sample
from benchmarks.measures.answering import CLIENTS, FEWER, WINDOW, sample
from benchmarks.peers import bare_aiocoap, openssl, ours, ours_secure

KEY = secrets.token_hex(16)
PSK_CLIENTS = 4_000
X509_CLIENTS = 1_500
WAITING = 5_000


def secured(bench: Bench) -> Iterator[Figure]:
    """Nothing where OpenSSL is missing, with which the generator is made."""
    if dtls_generator.missing() is not None:
        return
    with ExitStack() as kept:
        files = issue(Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))), X509_CLIENTS)
        turns = [partial(take, bench) for take in (_updates, _plain_updates, _psk, _plain_posts, _waiting)]
        turns.append(partial(_x509, bench, files))
        if openssl.missing() is None:
            turns.append(partial(_handshakes, bench, files))
        for turn in bench.in_turn(turns):
            yield turn()


def _generator(bench: Bench) -> DtlsGenerator:
    return DtlsGenerator(bench.cores.generator)


def _updates(bench: Bench) -> Figure:
    steady = ("-n", CLIENTS, "-w", WINDOW, "-m", "update", "-s", bench.plan.seconds, *bench.source())
    with ours_secure.with_keys(bench.cores.measured, CLIENTS, KEY) as measured:
        report = _generator(bench).psk(measured, KEY, *steady)
    return Name(quantities.SECURE_UPDATES, ours.NAME), sample(phase(report, "update"))


def _plain_updates(bench: Bench) -> Figure:
    steady = ("-n", CLIENTS, "-w", WINDOW, "-m", "update", "-s", bench.plan.seconds, "-k", *bench.source())
    with ours.serve()(bench.cores.measured) as measured:
        updates, _ = bench.generator.run(measured, "update", *steady)
    return Name(quantities.PLAIN_UPDATES, ours.NAME), sample(updates)


def _psk(bench: Bench) -> Figure:
    once = ("-n", PSK_CLIENTS, "-w", WINDOW, "-m", "register", *bench.source())
    with ours_secure.with_keys(bench.cores.measured, PSK_CLIENTS, KEY) as measured:
        report = _generator(bench).psk(measured, KEY, *once)
    return Name(quantities.PSK_REGISTRATIONS, ours.NAME), sample(phase(report, "register"))


def _plain_posts(bench: Bench) -> Figure:
    once = ("-n", FEWER, "-w", WINDOW, "-m", "none", "-k", *bench.source())
    with bare_aiocoap.serve(bench.cores.measured) as measured:
        posts, _ = bench.generator.run(measured, "register", *once)
    return Name(quantities.PLAIN_POSTS, bare_aiocoap.NAME), sample(posts)


def _waiting(bench: Bench) -> Figure:
    """The growth of the whole process for each association, nobody registered; a session that it could resume is kept
    for each as well."""
    once = ("-n", WAITING, "-w", WINDOW, "-m", "shake", *bench.source())
    with ours_secure.with_keys(bench.cores.measured, WAITING, KEY) as measured:
        report = _generator(bench).psk(measured, KEY, *once)
    return Name(quantities.ASSOCIATION_MEMORY, ours.NAME), Sample(report["bytes_per_client"])


def _x509(bench: Bench, files: Certificates) -> Figure:
    once = ("-n", X509_CLIENTS, "-w", WINDOW, "-m", "register", *bench.source())
    with ours_secure.with_certificates(bench.cores.measured, files) as measured:
        report = _generator(bench).x509(measured, files, *once)
    return Name(quantities.X509_REGISTRATIONS, ours.NAME), sample(phase(report, "register"))


def _handshakes(bench: Bench, files: Certificates) -> Figure:
    one_by_one = ("-n", X509_CLIENTS, "-w", 1, "-x", "-m", "shake", *bench.source())
    with openssl.serve(bench.cores.measured, files) as measured:
        report = _generator(bench).x509(measured, files, *one_by_one)
    return Name(quantities.X509_HANDSHAKES, openssl.NAME), sample(phase(report, "shake"))
