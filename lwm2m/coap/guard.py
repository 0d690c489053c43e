"""What a stranger may cost us: the limits, and what is sent to addresses that anybody may have written on a datagram.

* An address is verified once it has shown that it receives what we send: it repeated an Echo value, answered one of our
  messages, or was chosen by our own side.
* A peer with a session is verified by that, until it comes from another address: who has its keys may have written
  any there, and who has not may have sent its datagram on from there. RFC 9146 §6
* An address that is not verified gets at most `Limits.amplification` times the bytes that came from it.
* One that we know nothing of, or no more, gets a ping: whoever answers that is verified. Every CoAP node answers a
  ping, and few know Echo; but a message that waits for it is kept, so that only some peers can make us wait.
* Whoever speaks OSCORE knows Echo, and believes no challenge in the clear: its challenges are protected, and a peer
  that is protected is verified where the peer below it is.

No IO, `now` is an argument. RFC 9175 §2.4 and §2.6, RFC 7252 §11.3."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from dataclasses import dataclass

from lwm2m.coap.message import Peer

CHALLENGE_LIFETIME = 120
"""Seconds during which an Echo value is taken: a device may be slow, a lossy network needs its retransmissions."""
TIMESTAMP = 4
MAC = 8
PING = 4
PING_EXCHANGE = 5 * PING
"""A ping and all its retransmissions."""
PROTECTION = 64
"""Bytes that OSCORE adds to a message, at most."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a stranger may cost us. Requests to `package_paths`, where "*" stands for any one segment, may bring a
    firmware or software package of `max_package` bytes; only `max_packages` of them are put together at a time, and
    `max_uploads` other bodies. `max_large_answers` are kept while peers fetch their blocks, and `max_withheld` until
    their askers have repeated a challenge. `max_running` handlers work at a time, `max_pending_per_peer` of them for
    one peer. `max_unread_notifications` wait for a slow reader; of `max_sent_once` non-confirmable ones we can tell
    which a Reset is about. `max_peers` addresses are remembered as verified, and as many with what they sent; the
    answers to `max_peers_unverified` of these may wait until they are verified; `max_duplicates` messages are
    recognised when they come again. An endpoint has `max_connections` at a time; over DTLS `max_handshakes` that are
    under way, and `max_associations`. Of what is no use, `max_complaints` lines of a kind are in the log in a
    minute."""

    max_body: int = 64 * 1024
    max_package: int = 1024 * 1024
    max_packages: int = 4
    package_paths: tuple[tuple[str, ...], ...] = (("5", "0", "0"), ("9", "*", "2"))
    max_uploads: int = 256
    max_large_answers: int = 256
    max_withheld: int = 64
    max_running: int = 10_000
    max_pending_per_peer: int = 64
    max_observations_per_client: int = 64
    max_unread_notifications: int = 64
    max_sent_once: int = 4096
    max_peers: int = 100_000
    max_peers_unverified: int = 64
    max_duplicates: int = 100_000
    max_connections: int = 10_000
    max_handshakes: int = 1_000
    max_associations: int = 100_000
    amplification: int = 3
    max_complaints: int = 10

    def takes_package(self, path: tuple[str, ...]) -> bool:
        return any(
            len(pattern) == len(path) and all(part in ("*", given) for part, given in zip(pattern, path, strict=True))
            for pattern in self.package_paths
        )


class Guard:
    """Who is verified, and what the others may still be sent. `secret` is random and this process's own. A peer with an
    association was verified by what carries that, which tells of each that has moved."""

    __slots__ = (
        "_amplification",
        "_credit",
        "_deferred",
        "_max_deferred",
        "_max_peers",
        "_moved",
        "_secret",
        "_verified",
    )

    def __init__(self, limits: Limits, secret: bytes) -> None:
        self._max_peers = limits.max_peers
        self._max_deferred = limits.max_peers_unverified
        self._amplification = limits.amplification
        self._secret = secret
        self._verified: OrderedDict[Peer, None] = OrderedDict()
        self._credit: OrderedDict[Peer, int] = OrderedDict()
        self._deferred: set[Peer] = set()
        self._moved: dict[Peer, bool] = {}

    def is_verified(self, peer: Peer) -> bool:
        if peer.association is None:
            return peer in self._verified
        if peer.below is not None:
            return self.is_verified(peer.below)
        return peer not in self._moved

    def verified(self, peer: Peer) -> None:
        """The peer has shown that it receives what we send, or our own side chose it."""
        if peer.association is not None:
            if peer.below is not None:
                self.verified(peer.below)
            elif self._moved.get(peer):
                self._forget(peer)
            return
        verified = self._verified
        try:
            verified.move_to_end(peer)
        except KeyError:
            verified[peer] = None
            self._credit.pop(peer, None)
            if len(verified) > self._max_peers:
                verified.popitem(last=False)

    def moved(self, peer: Peer) -> None:
        """This peer with an association is at another address, which is verified once it has answered something that
        went there."""
        self._forget(peer)
        self._moved[peer] = False

    def lost(self, peer: Peer) -> None:
        """The association has ended."""
        self._forget(peer)
        self._deferred.discard(peer)

    def _forget(self, peer: Peer) -> None:
        self._moved.pop(peer, None)
        self._credit.pop(peer, None)

    def may_answer(self, peer: Peer, received: int, size: int) -> bool:
        """Whether a request of `received` bytes may be answered with a datagram of `size` bytes, that are still to be
        protected perhaps, now. Where not, a 4.01 with a challenge may, and where `may_defer` the answer may come after
        a ping."""
        if peer.below is not None:
            size += PROTECTION
        return size <= received * self._amplification or self.is_verified(peer)

    def challenge(self, peer: Peer, now: float) -> bytes:
        """An Echo value for this peer and nobody else. Nothing is remembered for it."""
        timestamp = (int(now) & 0xFFFFFFFF).to_bytes(TIMESTAMP, "big")
        return timestamp + self._mac(peer, timestamp)

    def accepts(self, peer: Peer, echo: bytes, now: float) -> bool:
        """Whether the value is a challenge of ours to this peer, and not too old. If so the peer is verified."""
        timestamp, mac = echo[:TIMESTAMP], echo[TIMESTAMP:]
        age = (int(now) - int.from_bytes(timestamp, "big")) & 0xFFFFFFFF
        if age > CHALLENGE_LIFETIME or not hmac.compare_digest(mac, self._mac(peer, timestamp)):
            return False
        self.verified(peer)
        return True

    # What we send by ourselves: requests, notifications, separate responses, anything once more

    def answered(self, peer: Peer, received: int, size: int) -> None:
        """A request of `received` bytes was answered with `size` bytes. What it allows beyond is the peer's credit."""
        if peer in self._verified if peer.association is None else peer not in self._moved:
            return
        self._went(peer)
        credit = self._credit
        left = credit.pop(peer, 0) + received * self._amplification - size
        credit[peer] = left if left > 0 else 0
        if len(credit) > self._max_peers:
            credit.popitem(last=False)

    def may_send(self, peer: Peer, size: int) -> bool:
        """Whether these bytes may go to the peer now; if so they are taken from its credit."""
        if self.is_verified(peer):
            return True
        credit = self._credit.get(peer, 0)
        if credit < size:
            return False
        self._credit[peer] = credit - size
        self._went(peer)
        return True

    def _went(self, peer: Peer) -> None:
        """Something goes to where it is now."""
        if peer in self._moved:
            self._moved[peer] = True

    def may_ping(self, peer: Peer) -> bool:
        """The same for a ping, which a peer that we know nothing of may be sent, with its retransmissions, once."""
        if peer not in self._credit and not self.is_verified(peer):
            self._credit[peer] = PING_EXCHANGE
            if len(self._credit) > self._max_peers:
                self._credit.popitem(last=False)
        return self.may_send(peer, PING)

    def may_defer(self, peer: Peer) -> bool:
        """Whether what a peer makes us send it, answers and notifications, may wait for its answer to a ping. Whoever
        speaks OSCORE knows Echo."""
        return peer.below is None and (peer in self._deferred or len(self._deferred) < self._max_deferred)

    def defer(self, peer: Peer) -> bool:
        """The same, and it waits from now on."""
        may = self.may_defer(peer)
        if may:
            self._deferred.add(peer)
        return may

    def ping_ended(self, peer: Peer) -> None:
        """It was answered, or never will be."""
        self._deferred.discard(peer)

    def _mac(self, peer: Peer, timestamp: bytes) -> bytes:
        subject = repr((peer.local, peer.address)).encode() + timestamp
        return hashlib.blake2s(subject, key=self._secret, digest_size=MAC).digest()
