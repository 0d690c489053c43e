"""aiocoap's message and token layers, with the behaviour over UDP that LwM2M needs and aiocoap cannot be asked for.

* A confirmable message that nobody acknowledges ends its own exchange and no other to that peer.
* A withdrawn message is not retransmitted, and does not hold up the next.
* A Reset reaches whoever sent the notification, non-confirmable ones included; unwanted notifications get one.
* An ICMP error ends the requests that wait for an answer; running observations stay.
* A repeated confirmable response is acknowledged again, not reset, when its acknowledgement was lost.
* What is kept to recognise a repeated request is small, bounded and never mixed with messages of our own.
* Tokens cannot be guessed, and whoever asks chooses them.

The overridden names are partly private to aiocoap, hence the upper bound on its version."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from logging import Logger
from typing import Any

from aiocoap import Message
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers.types import ACK, CON, NON, RST
from aiocoap.pipe import Pipe
from aiocoap.tokenmanager import TokenManager

from lwm2m.coap.aiocoap_udp.interface import UdpAddress, UdpSocket
from lwm2m.coap.aiocoap_udp.messages import Carried
from lwm2m.coap.carrier import Listener, Withdraw
from lwm2m.coap.endpoint import Delivery, Limits, Rejected, TimedOut, Unreachable
from lwm2m.coap.messaging.duplicates import Duplicates
from lwm2m.coap.packet import OBSERVE

OnDelivery = Callable[[Delivery], None]
ExchangeKey = tuple[UdpAddress, int]


class Context:
    """What aiocoap's layers want to know of the application."""

    client_credentials = None

    def __init__(self, loop: AbstractEventLoop, log: Logger, on_request: Callable[[Pipe], None]) -> None:
        self.loop = loop
        self.log = log
        self.render_to_pipe = on_request


class Asked:
    """A request of ours that waits for its answer, or for more of them."""

    def __init__(self, message: Carried, listener: Listener) -> None:
        self.message = message
        self.listener = listener
        self.answered = False
        self.stop_sending: Withdraw | None = None

    def add_exception(self, _exception: Exception) -> None:
        """aiocoap's name for the end of everything."""
        self.listener.failed(Unreachable("the endpoint has stopped"))

    def was_reset(self) -> None:
        self.listener.failed(Rejected("the peer answered with a Reset"))


class TokenLayer(TokenManager):  # type: ignore[misc]  # aiocoap is not typed
    """Matches responses to requests by token and peer."""

    def ask(self, message: Carried, listener: Listener) -> Withdraw:
        """Send it with the token that it has."""
        asked = Asked(message, listener)
        self.outgoing_requests[message.token, message.remote] = asked
        asked.stop_sending = self.token_interface.send_message(message, asked.was_reset)
        return partial(self._withdraw, asked)

    def ignore(self, message: Carried) -> None:
        """Leave a request without an answer."""
        _, stop = self.incoming_requests[message.token, message.remote]
        stop()

    def process_response(self, response: Carried) -> bool:
        asked = (self.outgoing_requests or {}).get((response.token, response.remote))
        if asked is None:
            return False
        if not asked.listener.answered(response.packet, in_acknowledgement=response.mtype is ACK):
            if not asked.answered:
                self._withdraw(asked)
            return False
        if not _is_under_way(asked.message, response):
            asked.answered = True
            _stop_sending(asked)
        return True

    def dispatch_error(self, exception: Exception, remote: UdpAddress) -> None:
        """Running observations stay."""
        waiting = [
            asked
            for (_, peer), asked in (self.outgoing_requests or {}).items()
            if peer == remote and not asked.answered
        ]
        for asked in waiting:
            asked.listener.failed(Unreachable(_sentence(exception)))

    def was_sent(self, message: Carried) -> None:
        """Its turn came: it is on the wire for the first time."""
        asked = self._asked(message)
        if asked is not None:
            asked.listener.sent()

    def give_up(self, message: Carried) -> None:
        """Nobody acknowledged this request."""
        asked = self._asked(message)
        if asked is not None:
            asked.listener.failed(TimedOut("nothing acknowledged the request"))

    def _asked(self, message: Carried) -> Asked | None:
        asked: Asked | None = (self.outgoing_requests or {}).get((message.token, message.remote))
        return asked if asked is not None and asked.message is message else None

    def _withdraw(self, asked: Asked) -> None:
        if self._asked(asked.message) is asked:
            del self.outgoing_requests[asked.message.token, asked.message.remote]
        _stop_sending(asked)


def _stop_sending(asked: Asked) -> None:
    if asked.stop_sending is not None:
        asked.stop_sending()


def _sentence(exception: Exception) -> str:
    return exception.strerror or str(exception) if isinstance(exception, OSError) else str(exception)


def _is_under_way(request: Carried, response: Carried) -> bool:
    """A notification that had left when we cancelled with the same token."""
    cancels = request.packet.uint(OBSERVE) == 1
    return cancels and OBSERVE in response.packet.options and response.mtype is not ACK


class MessageLayer(MessageManager):  # type: ignore[misc]  # aiocoap is not typed
    """Acknowledgements, retransmission and de-duplication."""

    def __init__(self, token_layer: TokenLayer, limits: Limits) -> None:
        super().__init__(token_layer)
        self._received = Duplicates(limits.max_duplicates)
        self._max_sent_once = limits.max_sent_once
        self._deliveries: dict[ExchangeKey, OnDelivery] = {}
        self._sent_once: OrderedDict[ExchangeKey, OnDelivery] = OrderedDict()

    def notify(self, message: Message, on_delivery: OnDelivery) -> Callable[[], None]:
        """Send a notification; `on_delivery` is called once for a confirmable one, and for a non-confirmable one when a
        Reset to it comes. Returns what withdraws it."""
        self.send_message(message, lambda: None)
        key = message.remote, message.mid
        if message.mtype is CON:
            self._deliveries[key] = on_delivery
        else:
            self._sent_once[key] = on_delivery
            if len(self._sent_once) > self._max_sent_once:
                self._sent_once.popitem(last=False)
        return partial(self.withdraw, message)

    def expect_delivery(self, message: Message, on_delivery: OnDelivery) -> None:
        """Call `on_delivery` once for this confirmable message, which was sent just now."""
        self._deliveries[message.remote, message.mid] = on_delivery

    def send_message(self, message: Message, messageerror_monitor: Callable[[], None]) -> Callable[[], None] | None:
        super().send_message(message, messageerror_monitor)
        return partial(self.withdraw, message) if message.mtype is CON else None

    def withdraw(self, message: Message) -> None:
        """Send it no more, whether it waits for its turn or for its acknowledgement."""
        key = message.remote, message.mid
        self._deliveries.pop(key, None)
        self._sent_once.pop(key, None)
        if self._active_exchanges is None:
            return
        _, retransmission = self._active_exchanges.pop(key, (None, None))
        if retransmission is not None:
            retransmission.cancel()
            self._continue_backlog(message.remote)
        elif message.remote in self._backlogs:
            waiting = self._backlogs[message.remote]
            waiting[:] = [entry for entry in waiting if entry[0] is not message]

    def dispatch_error(self, error: Exception, remote: UdpAddress) -> None:
        super().dispatch_error(error, remote)
        for key in [key for key in self._deliveries if key[0] == remote]:
            self._deliveries.pop(key)(Delivery.TIMED_OUT)

    def drop_what_waits(self) -> None:
        """What has not been sent yet never will be."""
        for waiting in self._backlogs.values():
            waiting.clear()

    async def shutdown(self) -> None:
        for _, timer in self._piggyback_opportunities.values():
            timer.cancel()
        self._piggyback_opportunities.clear()
        self._deliveries.clear()
        self._sent_once.clear()
        await super().shutdown()
        self._received.clear()

    def _deduplicate_message(self, message: Message) -> bool:
        key = _received_key(message)
        answer = self._received.find(key, self.loop.time())
        if answer is None:
            self._received.keep(key)
            return False
        if message.mtype is CON and answer:
            self.message_interface.send_datagram(answer, message.remote)
        return True

    def _store_response_for_duplicates(self, message: Message) -> None:
        if message.mtype is ACK:
            self._received.keep(_received_key(message), message.encode())

    def _process_response(self, response: Message) -> bool:
        key = "response", *_received_key(response)
        if response.mtype is CON and self._received.find(key, self.loop.time()) is not None:
            return True
        wanted = bool(super()._process_response(response))
        if wanted:
            self._received.keep(key)
        if not wanted and response.mtype is NON and OBSERVE in response.packet.options:
            self._reset(response)
        return wanted

    def _reset(self, message: Message) -> None:
        reset = Message(_mtype=RST, _mid=message.mid, code=0)
        reset.remote = message.remote
        self._send_initially(reset)

    def _send_initially(self, message: Message, messageerror_monitor: Callable[[], None] | None = None) -> None:
        super()._send_initially(message, messageerror_monitor)
        if message.code.is_request():
            self.token_manager.was_sent(message)

    def _remove_exchange(self, message: Message) -> None:
        super()._remove_exchange(message)
        key = message.remote, message.mid
        deliveries = self._deliveries if key in self._deliveries else self._sent_once
        on_delivery = deliveries.pop(key, None)
        if on_delivery is not None:
            on_delivery(Delivery.RESET if message.mtype is RST else Delivery.DELIVERED)

    def _retransmit(self, message: Message, timeout: float, retransmission_counter: int) -> None:
        if retransmission_counter < message.transport_tuning.MAX_RETRANSMIT:
            super()._retransmit(message, timeout, retransmission_counter)
            return
        key = message.remote, message.mid
        del self._active_exchanges[key]
        on_delivery = self._deliveries.pop(key, None)
        if message.code.is_request():
            self.token_manager.give_up(message)
        elif on_delivery is not None:
            on_delivery(Delivery.TIMED_OUT)
        self._continue_backlog_if_idle(message.remote)

    def _continue_backlog(self, remote: UdpAddress) -> None:
        """Called when the one exchange with this peer has ended. aiocoap looks through those of all peers instead."""
        waiting = self._backlogs[remote]
        if waiting:
            self._send_initially(*waiting.pop(0))
        else:
            del self._backlogs[remote]

    def _continue_backlog_if_idle(self, remote: UdpAddress) -> None:
        if self._active_exchanges is not None and remote in self._backlogs:
            self._continue_backlog(remote)


def _received_key(message: Message) -> tuple[str, int, int]:
    return message.remote.host, message.remote.port, message.mid


class Layers:
    """One socket with both layers above it."""

    def __init__(self, context: Context, limits: Limits) -> None:
        self.tokens = TokenLayer(context)
        self.messages = MessageLayer(self.tokens, limits)
        self.tokens.token_interface = self.messages
        self.log: Any = context.log

    def attach(self, udp: UdpSocket) -> None:
        self.messages.message_interface = udp

    async def shutdown(self) -> None:
        """Forget all exchanges and close the socket."""
        self.messages.drop_what_waits()
        await self.tokens.shutdown()
