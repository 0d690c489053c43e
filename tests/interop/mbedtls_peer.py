"""A DTLS client or server of Mbed TLS, which many devices have inside: a program of its own, since its binding blocks.
The client sends one question and prints the answer; the server answers one client in capitals."""

from __future__ import annotations

import argparse
import contextlib
import socket
from pathlib import Path
from typing import Any

from mbedtls import pk, tls, x509

LARGEST = 4096


def configuration(given: argparse.Namespace) -> Any:
    secured: dict[str, Any] = {}
    if given.certificate:
        chain = (x509.CRT.from_PEM(Path(given.certificate).read_text()),)
        secured["certificate_chain"] = chain, pk.ECC.from_PEM(Path(given.private).read_text())
        secured["trust_store"] = tls.TrustStore([x509.CRT.from_PEM(Path(given.trust).read_text())])
    elif given.role == "client":
        secured["pre_shared_key"] = given.identity, bytes.fromhex(given.key)
    else:
        secured["pre_shared_key_store"] = {given.identity: bytes.fromhex(given.key)}
    return tls.DTLSConfiguration(
        validate_certificates=bool(given.certificate),
        ciphers=[given.suite],
        lowest_supported_version=tls.DTLSVersion.DTLSv1_2,
        handshake_timeout_max=4.0,
        **secured,
    )


def shake(connection: Any) -> None:
    while True:
        try:
            connection.do_handshake()
        except (tls.WantReadError, tls.WantWriteError):
            continue
        return


def client(given: argparse.Namespace) -> None:
    plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    plain.connect(("127.0.0.1", given.port))
    connection = tls.ClientContext(configuration(given)).wrap_socket(plain, given.name)
    shake(connection)
    print("shaken", connection.cipher(), flush=True)
    connection.send(b"a question")
    print("heard", connection.recv(LARGEST).decode(), flush=True)
    connection.close()


def server(given: argparse.Namespace) -> None:
    plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening = tls.ServerContext(configuration(given)).wrap_socket(plain)
    listening.bind(("127.0.0.1", given.port))
    print("listening", flush=True)
    connection, address = listening.accept()
    connection.setcookieparam(address[0].encode())
    with contextlib.suppress(tls.HelloVerifyRequest):
        shake(connection)
    _, (connection, address) = connection, connection.accept()
    connection.setcookieparam(address[0].encode())
    shake(connection)
    print("shaken", connection.cipher(), flush=True)
    connection.send(connection.recv(LARGEST).upper())
    connection.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["client", "server"])
    parser.add_argument("port", type=int)
    parser.add_argument("--suite", required=True)
    parser.add_argument("--identity")
    parser.add_argument("--key")
    parser.add_argument("--certificate")
    parser.add_argument("--private")
    parser.add_argument("--trust")
    parser.add_argument("--name")
    arguments = parser.parse_args()
    {"client": client, "server": server}[arguments.role](arguments)
