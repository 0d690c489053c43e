"""What we send by ourselves: one confirmable message under way to each peer, again until it is acknowledged, and to
who is not verified no more than the guard allows. RFC 7252 §4.2, §4.3, §4.7. No IO."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

from lwm2m.coap.carrier import Settled
from lwm2m.coap.deadlines import Deadlines
from lwm2m.coap.endpoint import Delivery, RequestFailed, TimedOut, TooBusy, Transmission
from lwm2m.coap.guard import Guard, Limits
from lwm2m.coap.message import Peer
from lwm2m.coap.messaging.datagram_format import CON, NON, encode, ping
from lwm2m.coap.messaging.outgoing import Outgoing, PeerState

Send = Callable[[bytes, Peer], None]
Chance = Callable[[], float]
"""A number from 0 to 1 that nobody can guess."""


class Retransmission:
    def __init__(self, send: Send, guard: Guard, limits: Limits, transmission: Transmission, chance: Chance) -> None:
        self._send = send
        self._guard = guard
        self._transmission = transmission
        self._queue_length = limits.max_pending_per_peer + limits.max_observations_per_client
        self._max_sent_once = limits.max_sent_once
        self._chance = chance
        self._unacknowledged: Deadlines[Outgoing] = Deadlines()
        self._dropped: list[tuple[Outgoing, RequestFailed]] = []
        self._sent_once: OrderedDict[tuple[Peer, int], Settled] = OrderedDict()

    def deadline(self) -> float:
        return 0.0 if self._dropped else self._unacknowledged.first()

    def submit(self, message: Outgoing, now: float) -> None:
        """Send it, or let it wait for its turn. A non-confirmable one waits while a ping is under way."""
        state = message.state
        current = state.current
        if current is None or not (message.confirmable or current.packet is None):
            self._start(state, message, now)
        elif state.queue is None:
            state.queue = deque((message,))
        elif len(state.queue) < self._queue_length:
            state.queue.append(message)
        else:
            self._drop(message, TooBusy(f"{len(state.queue)} messages to {state.peer} are waiting already"))

    def withdraw(self, message: Outgoing, now: float) -> None:
        state = message.state
        message.settled = None
        if state.current is message:
            self.finish(state, now)
        elif state.queue and message in state.queue:
            state.queue.remove(message)
        elif message.asked is None and message.mid is not None:
            self._sent_once.pop((state.peer, message.mid), None)

    def finish(self, state: PeerState, now: float) -> None:
        """Nothing more is expected for the message under way; the next ones go."""
        if state.current is not None:
            self._end(state, state.current)
        while state.queue and state.current is None:
            self._start(state, state.queue.popleft(), now)

    def give_up(self, state: PeerState) -> None:
        """Nothing that is under way or waits for its turn is sent any more, and deliveries are told so."""
        messages = [] if state.current is None else [state.current]
        messages += state.queue or ()
        if state.current is not None:
            self._end(state, state.current)
        state.queue = None
        for message in messages:
            if message.settled is not None and message.confirmable:
                message.settled(Delivery.TIMED_OUT)

    def remember(self, peer: Peer, mid: int, settled: Settled) -> None:
        """A non-confirmable message, in case that it is reset."""
        self._sent_once[peer, mid] = settled
        if len(self._sent_once) > self._max_sent_once:
            self._sent_once.popitem(last=False)

    def take_remembered(self, peer: Peer, mid: int) -> Settled | None:
        return self._sent_once.pop((peer, mid), None)

    def handle_timer(self, now: float) -> None:
        for message in self._unacknowledged.take(now):
            if message.tries < self._transmission.max_retransmit:
                self._send_again(message, now)
            else:
                self._time_out(message, now)
        dropped, self._dropped = self._dropped, []
        for message, failure in dropped:
            _tell(message, failure)

    def clear(self) -> None:
        self._unacknowledged.clear()
        self._dropped.clear()
        self._sent_once.clear()

    def _start(self, state: PeerState, message: Outgoing, now: float) -> None:
        """Its turn has come: for the first time, or again once the peer has answered a ping."""
        if message.try_first is not None and message.try_first():
            return
        if message.mid is None:
            mid = message.mid = state.ids.take(now)
            if mid is None or message.packet is None:
                self._drop(message, TooBusy(f"{state.peer} was sent more messages than there are message IDs"))
                return
            message.datagram = encode(CON if message.confirmable else NON, mid, message.packet)
        if self._guard.may_send(state.peer, len(message.datagram)):
            self._transmit(state, message, now)
        else:
            self._ping_first(state, message, now)

    def _transmit(self, state: PeerState, message: Outgoing, now: float) -> None:
        if message.confirmable:
            state.current = message
            spread = self._transmission.ack_random_factor - 1
            message.timeout = self._transmission.ack_timeout * (1 + self._chance() * spread)
            self._unacknowledged.add(now + message.timeout, message)
        elif message.settled is not None and message.mid is not None:
            self.remember(state.peer, message.mid, message.settled)
        self._send(message.datagram, state.peer)
        if message.asked is not None:
            message.asked.listener.sent()

    def _ping_first(self, state: PeerState, message: Outgoing, now: float) -> None:
        """The peer may not be sent this before it has answered something."""
        guard, peer = self._guard, state.peer
        may_wait = message.asked is not None or guard.may_defer(peer)
        mid = state.ids.take(now) if may_wait and guard.may_ping(peer) else None
        if mid is None:
            self._drop(message, TimedOut(f"{state.peer} has not shown that it receives what we send"))
            return
        if message.asked is None:
            guard.defer(peer)
        if state.queue is None:
            state.queue = deque()
        state.queue.appendleft(message)
        self._transmit(state, Outgoing.ping(state, mid, ping(mid)), now)

    def _end(self, state: PeerState, current: Outgoing) -> None:
        self._unacknowledged.drop(current)
        state.current = None
        if current.packet is None:
            self._guard.ping_ended(state.peer)

    def _send_again(self, message: Outgoing, now: float) -> None:
        message.tries += 1
        message.timeout *= 2
        self._unacknowledged.add(now + message.timeout, message)
        if self._guard.may_send(message.state.peer, len(message.datagram)):
            self._send(message.datagram, message.state.peer)
        else:
            self._ping_beside(message.state, now)

    def _ping_beside(self, state: PeerState, now: float) -> None:
        """Between two retransmissions to a peer that has moved: once it has answered the next one may go."""
        mid = state.ids.take(now) if self._guard.may_ping(state.peer) else None
        if mid is not None:
            self.remember(state.peer, mid, _leave)
            self._send(ping(mid), state.peer)

    def _time_out(self, message: Outgoing, now: float) -> None:
        """It ends its own exchange and no other; a ping that nobody answers ends what waited for it."""
        state = message.state
        waiting = [] if message.packet is not None else list(state.queue or ())
        if waiting:
            state.queue = None
        self.finish(state, now)
        for ended in (message, *waiting):
            _tell(ended, TimedOut("nothing acknowledged the message"))

    def _drop(self, message: Outgoing, failure: RequestFailed) -> None:
        """It will not be sent. Nobody hears of that while they are still asking."""
        self._dropped.append((message, failure))


def _leave(_delivery: Delivery) -> None:
    """Of a ping nobody waits for more than that its peer is there."""


def _tell(message: Outgoing, failure: RequestFailed) -> None:
    if message.asked is not None:
        message.asked.fail(failure)
    elif message.settled is not None and message.confirmable:
        message.settled(Delivery.TIMED_OUT)
