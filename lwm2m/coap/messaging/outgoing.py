"""What we have going on with the peers that we send messages of our own to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from lwm2m.coap.carrier import Listener, Settled
from lwm2m.coap.deadlines import NEVER
from lwm2m.coap.endpoint import RequestFailed
from lwm2m.coap.message import Peer
from lwm2m.coap.messaging.message_ids import MessageIds
from lwm2m.coap.packet import Packet


class Asked:
    """A request of ours, until it is withdrawn or has failed."""

    __slots__ = ("answered", "cancels", "listener", "message", "state", "token")

    def __init__(self, state: PeerState, listener: Listener, token: bytes, cancels: bool) -> None:
        self.state = state
        self.listener = listener
        self.token = token
        self.cancels = cancels
        """It ends the observation that has its token."""
        self.answered = False
        self.message: Outgoing | None = None
        """While it waits for its turn, its acknowledgement or a Reset."""

    def forget(self) -> Outgoing | None:
        """Nothing more comes to the listener. Returns the message that is to be withdrawn."""
        asked = self.state.asked
        if asked.get(self.token) is self:
            del asked[self.token]
        message, self.message = self.message, None
        return message

    def fail(self, failure: RequestFailed) -> None:
        if self.state.asked.get(self.token) is self:
            self.forget()
            self.listener.failed(failure)


class Outgoing:
    """A message that waits for its turn, and where it is confirmable for its acknowledgement. A request has `asked`, a
    ping has no packet; `settled` is told about what else is confirmable. `try_first` may make it superfluous, and says
    whether it did."""

    __slots__ = (
        "asked",
        "confirmable",
        "datagram",
        "due",
        "mid",
        "packet",
        "settled",
        "state",
        "timeout",
        "tries",
        "try_first",
    )

    def __init__(
        self,
        state: PeerState,
        packet: Packet | None,
        confirmable: bool,
        asked: Asked | None = None,
        settled: Settled | None = None,
    ) -> None:
        self.state = state
        self.packet = packet
        self.confirmable = confirmable
        self.asked = asked
        self.settled = settled
        self.datagram = b""
        self.mid: int | None = None
        self.tries = 0
        self.try_first: Callable[[], bool] | None = None
        self.timeout = 0.0
        self.due = NEVER

    @classmethod
    def ping(cls, state: PeerState, mid: int, datagram: bytes) -> Outgoing:
        """An empty message: whoever gets it answers with a Reset."""
        message = cls(state, None, True)
        message.mid, message.datagram = mid, datagram
        return message


class PeerState:
    """`current` is the one confirmable message that is not acknowledged yet; the others wait in `queue`."""

    __slots__ = ("asked", "current", "ids", "peer", "queue")

    def __init__(self, peer: Peer, first_id: int) -> None:
        self.peer = peer
        self.ids = MessageIds(first_id)
        self.asked: dict[bytes, Asked] = {}
        self.current: Outgoing | None = None
        self.queue: deque[Outgoing] | None = None

    @property
    def is_busy(self) -> bool:
        return bool(self.asked or self.current is not None or self.queue)


class PeerStates:
    """In two generations: a state that nobody looked at for `lifetime` seconds or more and that is not busy goes, and
    with it the message IDs that were used. Where more than `capacity` peers come within the lifetime, they go
    sooner."""

    __slots__ = ("_capacity", "_lifetime", "_old", "_turn", "_young")

    def __init__(self, capacity: int, lifetime: float) -> None:
        self._capacity = capacity
        self._lifetime = lifetime
        self._young: dict[Peer, PeerState] = {}
        self._old: dict[Peer, PeerState] = {}
        self._turn = 0.0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def find(self, peer: Peer) -> PeerState | None:
        return self._young.get(peer) or self._old.get(peer)

    def use(self, peer: Peer, now: float) -> PeerState | None:
        """As `find`; what is used stays."""
        if now >= self._turn:
            self._turn = now + self._lifetime
            self._age()
        state = self._young.get(peer)
        if state is None and self._old:
            state = self._old.pop(peer, None)
            if state is not None:
                self.add(state)
        return state

    def add(self, state: PeerState) -> None:
        if len(self._young) >= self._capacity:
            self._age()
        self._young[state.peer] = state

    def all(self) -> list[PeerState]:
        return [*self._young.values(), *self._old.values()]

    def remove(self, peer: Peer) -> PeerState | None:
        return self._young.pop(peer, None) or self._old.pop(peer, None)

    def clear(self) -> None:
        self._young.clear()
        self._old.clear()

    def _age(self) -> None:
        busy = {peer: state for peer, state in self._old.items() if state.is_busy}
        self._old = self._young
        self._young = busy
