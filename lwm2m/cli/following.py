"""What the verbs that follow an observation have in common: its beginning and its end."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from lwm2m.cli.failure import Failed
from lwm2m.cli.operations import accepted
from lwm2m.cli.remote import Json, Remote, StreamEvent
from lwm2m.cli.values import printable


def begun(server: Remote, endpoint: str, answer: Json, events: Iterator[StreamEvent], as_json: bool) -> Json:
    """What the device answered to an Observe; a device that sleeps is waited for. Raises Failed when it refuses."""
    if as_json:
        typer.echo(json.dumps(answer))
    if answer.get("delayed"):
        answer = _late(server, endpoint, str(answer["requestId"]), events, as_json)
    accepted("observe", answer, as_json=False)
    if not answer.get("observing", True):
        raise Failed("the device answers, but does not take on the observation.")
    return answer


def _late(server: Remote, endpoint: str, request_id: str, events: Iterator[StreamEvent], as_json: bool) -> Json:
    try:
        typer.echo("the device sleeps; it is asked to observe when it wakes up. Waiting for that.", err=True)
        found = next(event.data for event in events if _is_answer(event, request_id))
    except StopIteration:
        raise Failed("the server ended the event stream.") from None
    except KeyboardInterrupt:
        server.take_back(endpoint, request_id)
        typer.echo("the device slept all the time; the request is taken back.", err=True)
        raise typer.Exit from None
    if as_json:
        typer.echo(json.dumps(found))
    if "response" not in found:
        raise Failed(f"the device did not answer ({printable(str(found.get('failure')))}).")
    response: Json = found["response"]
    return response


def _is_answer(event: StreamEvent, request_id: str) -> bool:
    """Raises Failed when there will be none."""
    if event.name == "DEREGISTRATION":
        raise Failed(gone(event))
    return event.name == "REQUEST_RESPONSE" and event.data.get("requestId") == request_id


def gone(event: StreamEvent) -> str:
    return f"the device is gone ({event.data.get('reason', 'deregistered')}), and its observations with it."


def told_end(what: str, answer: Json) -> str:
    """Of an observation that was cancelled at the device, or will be."""
    if answer.get("delayed"):
        return f"the device sleeps; {what} ends when it wakes up."
    return f"{what} is cancelled."


def print_end(reason: str) -> None:
    if reason == "lost":
        typer.echo("the observation is lost; it starts again when the device is heard of.", err=True)
    else:
        raise Failed(f"the observation ended ({printable(reason)}).")


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM end what is inside, also in a script's background job, which is born with SIGINT ignored."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
