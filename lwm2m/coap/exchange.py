"""The message layer of CoAP over datagrams: acknowledgements, repetitions, retransmission, tokens. RFC 7252 §4, §5.3.

* A confirmable message that nobody acknowledges ends its own exchange and no other to that peer.
* What is withdrawn is not sent again, and the next in the queue goes at once: one confirmable message of ours is under
  way to each peer (NSTART = 1).
* A Reset reaches whoever sent the message, non-confirmable ones included; notifications that nobody wants get one.
* An answer is in the acknowledgement where the handler is quick and the peer may be sent it; else it has a message of
  its own.
* What the network reports ends the requests that wait for an answer; running observations stay.
* Who is not verified gets no more than the guard allows: then a ping goes first.

No IO; the clock, the link and chance are handed in: `chance` is for numbers that nobody may guess, `spread` for the
pauses between retransmissions."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable
from functools import partial
from itertools import count

from lwm2m.coap.carrier import Incoming, Listener, Room, Serve, Settled, Withdraw
from lwm2m.coap.complaints import Complaints
from lwm2m.coap.deadlines import NEVER
from lwm2m.coap.endpoint import Delivery, Rejected, RequestFailed, Transmission, Unreachable
from lwm2m.coap.guard import Guard, Limits
from lwm2m.coap.message import Code, Peer
from lwm2m.coap.messaging.arrived import Arrived
from lwm2m.coap.messaging.datagram_format import (
    ACK,
    CON,
    NON,
    RST,
    NotCoap,
    WrongOption,
    acknowledgement,
    decode,
    encode,
    refusal,
    reset,
)
from lwm2m.coap.messaging.duplicates import EXCHANGE_LIFETIME, Duplicates
from lwm2m.coap.messaging.outgoing import Asked, Outgoing, PeerState, PeerStates
from lwm2m.coap.messaging.retransmission import Chance, Retransmission, Send
from lwm2m.coap.object_security.option import OSCORE
from lwm2m.coap.packet import ECHO, OBSERVE, Packet

log = logging.getLogger("lwm2m.coap")

EMPTY_ACK_DELAY = 0.1
"""Seconds until a request is acknowledged without its answer."""

PING_PATIENCE = 0.5
"""Seconds that a ping gets while an answer waits for it: libcoap leaves most pings unanswered. Then the peer may ask
again with the value of an Echo option, which others know nothing of; and some want the first block of a large answer
with the acknowledgement, so that waits as long."""
REPEATABLE = (Code.GET, Code.FETCH)

CANCEL = 1
"""The Observe option of a request that ends an observation. RFC 7641 §2"""

Clock = Callable[[], float]
Wake = Callable[[float], None]
"""Call `handle_timer` at this time, which is before any that was asked for."""


class Exchanges:
    """One local address and everybody it speaks with: a `Carrier` whose requests go to `serve`. What drives it says
    what time it is; those above need not know."""

    def __init__(
        self,
        send: Send,
        room: Callable[[Peer], Room],
        *,
        guard: Guard,
        limits: Limits,
        transmission: Transmission,
        clock: Clock,
        chance: Chance,
        spread: Chance,
        wake: Wake,
    ) -> None:
        self._send = send
        self.room = room
        self.serve: Serve = _leave
        self._guard = guard
        self._clock = clock
        self._chance = chance
        self._wake = wake
        self._awake_at = NEVER
        self._duplicates = Duplicates(limits.max_duplicates)
        self._peers = PeerStates(limits.max_duplicates, EXCHANGE_LIFETIME)
        self._outgoing = Retransmission(send, guard, limits, transmission, spread)
        self._handling: dict[tuple[Peer, bytes], Arrived] = {}
        self._to_acknowledge: list[tuple[float, int, Arrived]] = []
        self._order = count()
        self._complaints = Complaints(log, "sent what is no CoAP message", limits.max_complaints)

    # Time

    def deadline(self) -> float:
        """When `handle_timer` has something to do, NEVER where nothing waits."""
        waiting = self._to_acknowledge
        while waiting and waiting[0][2].acknowledged:
            heapq.heappop(waiting)
        due = self._outgoing.deadline()
        return min(due, waiting[0][0]) if waiting else due

    def handle_timer(self, now: float) -> None:
        self._awake_at = NEVER
        waiting = self._to_acknowledge
        while waiting and waiting[0][0] <= now:
            self._ran_out(heapq.heappop(waiting)[2], now)
        self._outgoing.handle_timer(now)
        self._wake_in_time()

    def _wake_in_time(self) -> None:
        due = self.deadline()
        if due < self._awake_at:
            self._awake_at = due
            self._wake(due)

    # What arrives

    def receive(self, datagram: bytes, peer: Peer, now: float) -> None:
        try:
            kind, mid, packet = decode(datagram)
        except (NotCoap, WrongOption) as error:
            self._refuse(datagram, peer, error, now)
            return
        code = packet.code
        if code >= 0x40:
            self._receive_response(kind, mid, packet, datagram, peer, now)
        elif not code:
            self._receive_empty(kind, mid, peer, now)
        elif kind <= NON:
            self._receive_request(kind, mid, packet, datagram, peer, now)

    def _refuse(self, datagram: bytes, peer: Peer, error: NotCoap | WrongOption, now: float) -> None:
        self._complaints.tell(peer, peer.address[0], error, now)
        answer = refusal(datagram, error)
        if answer is not None:
            self._send(answer, peer)

    # Requests

    def _receive_request(self, kind: int, mid: int, packet: Packet, datagram: bytes, peer: Peer, now: float) -> None:
        """A token that is used again is a new request; who used it waits for the old one no more."""
        size = len(datagram)
        key = peer, datagram[2 : 4 + len(packet.token)]
        seen = self._duplicates.find(key, now)
        if seen is not None:
            if seen and self._guard.may_answer(peer, size, len(seen)):
                self._send(seen, peer)
            return
        arrived = Arrived(self, peer, packet, kind == CON, mid, size, key)
        earlier = self._handling.get((peer, packet.token)) if self._handling else None
        self.serve(arrived)
        if arrived.disowned:
            return
        if earlier is not None:
            earlier.ignore()
        self._duplicates.keep(key, arrived.reply)
        if arrived.is_wanted:
            self._handle_later(arrived, now)

    def _handle_later(self, arrived: Arrived, now: float) -> None:
        self._handling[arrived.peer, arrived.packet.token] = arrived
        arrived.is_handled_later = True
        if arrived.confirmable:
            self._acknowledge_at(now + EMPTY_ACK_DELAY, arrived)

    def _acknowledge_in_time(self, arrived: Arrived) -> None:
        """Its answer waits for a ping."""
        if not arrived.is_handled_later:
            arrived.is_handled_later = True
            self._acknowledge_at(self._clock() + PING_PATIENCE, arrived)

    def _acknowledge_at(self, due: float, arrived: Arrived) -> None:
        heapq.heappush(self._to_acknowledge, (due, next(self._order), arrived))
        self._wake_in_time()

    def _ran_out(self, arrived: Arrived, now: float) -> None:
        """The time for an acknowledgement with the answer in it."""
        deferred, peer = arrived.deferred, arrived.peer
        asked = arrived.packet
        if deferred is None or arrived.acknowledged or asked.code not in REPEATABLE or OSCORE in asked.options:
            self._acknowledge(arrived)
            return
        challenge = {ECHO: (self._guard.challenge(peer, now),)}
        reply = encode(ACK, arrived.mid, Packet(Code.UNAUTHORIZED, arrived.packet.token, challenge))
        if not self._guard.may_send(peer, len(reply)):
            self._acknowledge(arrived)
            return
        settled = deferred.settled
        self._outgoing.withdraw(deferred, now)
        self._transmit_reply(arrived, reply)
        if settled is not None:
            settled(Delivery.SUPERSEDED)

    def answer(self, arrived: Arrived, packet: Packet, settled: Settled | None) -> None:
        """What `Arrived.answer` comes to."""
        if arrived.is_handled_later:
            self._handled(arrived)
        if self._answer_in_acknowledgement(arrived, packet):
            return
        message = Outgoing(self._state(arrived.peer), packet, arrived.confirmable, None, settled)
        if not arrived.confirmable:
            self._guard.answered(arrived.peer, arrived.size, 0)
        elif not arrived.acknowledged:
            message.try_first = partial(self._answer_in_acknowledgement, arrived, packet)
            arrived.deferred = message
            self._guard.answered(arrived.peer, arrived.size, 0)
            self._acknowledge_in_time(arrived)
        self._submit(message)

    def _answer_in_acknowledgement(self, arrived: Arrived, packet: Packet) -> bool:
        """False where that has left already, or the peer may not be sent so much before it has answered a ping."""
        if arrived.acknowledged or not arrived.confirmable:
            return False
        reply = encode(ACK, arrived.mid, packet)
        if not self._guard.may_answer(arrived.peer, arrived.size, len(reply)):
            return False
        self._reply(arrived, reply)
        return True

    def ignore(self, arrived: Arrived) -> None:
        """What `Arrived.ignore` comes to."""
        self._handled(arrived)
        self._acknowledge(arrived)

    def _handled(self, arrived: Arrived) -> None:
        if arrived.is_handled_later:
            self._handling.pop((arrived.peer, arrived.packet.token), None)

    def _acknowledge(self, arrived: Arrived) -> None:
        if arrived.confirmable and not arrived.acknowledged:
            datagram = acknowledgement(arrived.mid)
            if arrived.deferred is None:
                self._reply(arrived, datagram)
            elif self._guard.may_send(arrived.peer, len(datagram)):
                self._transmit_reply(arrived, datagram)

    def _reply(self, arrived: Arrived, datagram: bytes) -> None:
        self._guard.answered(arrived.peer, arrived.size, len(datagram))
        self._transmit_reply(arrived, datagram)

    def _transmit_reply(self, arrived: Arrived, datagram: bytes) -> None:
        arrived.acknowledged = True
        arrived.reply = datagram
        if arrived.is_handled_later:
            self._duplicates.keep(arrived.key, datagram)
        self._send(datagram, arrived.peer)

    # Responses

    def _receive_response(self, kind: int, mid: int, packet: Packet, datagram: bytes, peer: Peer, now: float) -> None:
        state = self._peers.use(peer, now)
        asked = state.asked.get(packet.token) if state is not None else None
        if asked is not None and not asked.listener.believes(packet):
            return
        if kind == CON:
            self._receive_confirmable(mid, packet, datagram, peer, asked, now)
        elif kind == NON:
            if asked is None:
                if OBSERVE in packet.options:
                    self._send(reset(mid), peer)
            elif not self._take_answer(asked, packet, False, now):
                self._send(reset(mid), peer)
        elif kind == ACK and asked is not None:
            message = asked.message
            if message is not None and message.mid == mid and message is asked.state.current:
                self._take_answer(asked, packet, True, now)

    def _receive_confirmable(
        self, mid: int, packet: Packet, datagram: bytes, peer: Peer, asked: Asked | None, now: float
    ) -> None:
        """One that came before is acknowledged again, whether we still ask or not."""
        key = peer, datagram[2 : 4 + len(packet.token)]
        answer = self._duplicates.find(key, now)
        if not answer:
            if asked is not None and self._take_answer(asked, packet, False, now):
                answer = acknowledgement(mid)
                self._duplicates.keep(key, answer)
            else:
                answer = reset(mid)
        self._send(answer, peer)

    def _take_answer(self, asked: Asked, packet: Packet, in_acknowledgement: bool, now: float) -> bool:
        """Whether it was wanted. The request need not be sent again, however the answer came; but a notification that
        was under way when we cancelled with its token is no answer."""
        self._guard.verified(asked.state.peer)
        if asked.cancels and not in_acknowledgement and OBSERVE in packet.options:
            return asked.listener.answered(packet, in_acknowledgement=False)
        message = asked.message
        if message is not None:
            asked.message = None
            others_wait = bool(asked.state.queue)
            self._outgoing.withdraw(message, now)
            if others_wait:
                self._wake_in_time()
        is_first = not asked.answered
        asked.answered = True
        if asked.listener.answered(packet, in_acknowledgement=in_acknowledgement):
            return True
        if is_first:
            asked.fail(Rejected("the answer has a critical option that we do not know"))
        return False

    # Empty messages

    def _receive_empty(self, kind: int, mid: int, peer: Peer, now: float) -> None:
        if kind == CON:
            self._send(reset(mid), peer)
            return
        state = self._peers.find(peer)
        if state is None or kind == NON:
            return
        current = state.current
        if current is not None and current.mid == mid:
            self._guard.verified(peer)
            self._settle(current, kind, now)
        elif kind == RST:
            self._receive_reset(mid, state)

    def _settle(self, current: Outgoing, kind: int, now: float) -> None:
        """The one message that was under way. A ping has nobody to tell."""
        settled, asked = current.settled, current.asked
        if asked is not None:
            asked.message = None
        self._outgoing.finish(current.state, now)
        self._wake_in_time()
        if asked is not None and kind == RST:
            asked.fail(Rejected("the peer answered with a Reset"))
        if settled is not None:
            settled(Delivery.RESET if kind == RST else Delivery.DELIVERED)

    def _receive_reset(self, mid: int, state: PeerState) -> None:
        """Of a message that was sent once."""
        settled = self._outgoing.take_remembered(state.peer, mid)
        if settled is not None:
            self._guard.verified(state.peer)
            settled(Delivery.RESET)
            return
        for asked in state.asked.values():
            if asked.message is not None and asked.message.mid == mid:
                self._guard.verified(state.peer)
                asked.fail(Rejected("the peer answered with a Reset"))
                return

    # What we send by ourselves

    def ask(self, peer: Peer, packet: Packet, confirmable: bool, listener: Listener) -> Withdraw:
        """See `Carrier.ask`."""
        state = self._state(peer)
        asked = Asked(state, listener, packet.token, packet.uint(OBSERVE) == CANCEL)
        state.asked[packet.token] = asked
        asked.message = Outgoing(state, packet, confirmable, asked)
        self._submit(asked.message)
        return partial(self._withdraw_request, asked)

    def notify(self, peer: Peer, packet: Packet, confirmable: bool, settled: Settled) -> Withdraw:
        """See `Carrier.notify`."""
        message = Outgoing(self._state(peer), packet, confirmable, None, settled)
        self._submit(message)
        return partial(self._withdraw, message)

    def _withdraw_request(self, asked: Asked) -> None:
        message = asked.forget()
        if message is not None:
            self._withdraw(message)

    def _withdraw(self, message: Outgoing) -> None:
        self._outgoing.withdraw(message, self._clock())
        self._wake_in_time()

    def _submit(self, message: Outgoing) -> None:
        self._outgoing.submit(message, self._clock())
        self._wake_in_time()

    def _state(self, peer: Peer) -> PeerState:
        state = self._peers.use(peer, self._clock())
        if state is None:
            state = PeerState(peer, int(self._chance() * 0x10000))
            self._peers.add(state)
        return state

    # Ends

    def failed(self, peer: Peer, reason: str) -> None:
        """The network cannot reach the peer: what waits for an answer fails, running observations stay."""
        state = self._peers.find(peer)
        if state is not None:
            self._end(state, [asked for asked in state.asked.values() if not asked.answered], Unreachable(reason))

    def lost(self, peer: Peer, reason: str = "the connection to the peer has ended") -> None:
        """It will not speak as this peer again."""
        for arrived in [arrived for arrived in self._handling.values() if arrived.peer == peer]:
            self._abandon(arrived)
        state = self._peers.remove(peer)
        if state is not None:
            self._end(state, list(state.asked.values()), Unreachable(reason))

    def stop(self) -> None:
        """All that waits fails, and nothing is answered any more."""
        for arrived in list(self._handling.values()):
            self._abandon(arrived)
        for state in self._peers.all():
            self._end(state, list(state.asked.values()), Unreachable("the endpoint has stopped"))
        self._to_acknowledge.clear()
        self._outgoing.clear()
        self._duplicates.clear()
        self._peers.clear()
        self._complaints.end()

    def _abandon(self, arrived: Arrived) -> None:
        arrived.is_wanted = False
        arrived.acknowledged = True
        self._handled(arrived)

    def _end(self, state: PeerState, ended: list[Asked], failure: RequestFailed) -> None:
        self._outgoing.give_up(state)
        for asked in ended:
            asked.fail(failure)


def _leave(incoming: Incoming) -> None:
    """While nobody serves."""
    incoming.ignore()
