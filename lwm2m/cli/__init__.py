"""The `lwm2m` command."""

from __future__ import annotations

import typer

from lwm2m.cli.bootstrap_server import bootstrap_server
from lwm2m.cli.client import client
from lwm2m.cli.composite import observe_composite, read_composite, write_composite
from lwm2m.cli.decode import decode
from lwm2m.cli.devices import devices, show
from lwm2m.cli.failure import FailingGroup
from lwm2m.cli.keys import keys
from lwm2m.cli.lifecycle import bootstrap, create, delete, requests
from lwm2m.cli.observing import observe
from lwm2m.cli.operations import attributes, discover, execute, read, write
from lwm2m.cli.package import package
from lwm2m.cli.server import server
from lwm2m.program import VersionFlag

EXAMPLES = """
Try it, in three terminals:

- `lwm2m server`
- `lwm2m client --server coap://127.0.0.1:5683 --endpoint lamp`
- `lwm2m devices`, `lwm2m read lamp /3/0`, `lwm2m observe lamp /3303/0/5700 --follow`

The verbs find the server by --url or LWM2M_URL. Exit code 0: done; 1: refused or failed; 2: wrong usage.
"""

app = typer.Typer(
    name="lwm2m",
    cls=FailingGroup,
    epilog=EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def root(version: VersionFlag = False) -> None:
    """LwM2M 1.1 server, client, and verbs to talk to devices."""


app.command(epilog="lwm2m server --coap [::1]:5683 --trace")(server)
app.command(epilog="lwm2m bootstrap-server --config examples/bootstrap-server.toml")(bootstrap_server)
app.command(epilog="lwm2m client --server coap://127.0.0.1:5683 --endpoint lamp")(client)
app.command()(devices)
app.command(epilog="lwm2m show urn:dev:lamp")(show)
app.command(epilog="lwm2m read lamp /3/0/9")(read)
app.command(epilog="lwm2m write lamp /3311/0/5850 true", context_settings={"ignore_unknown_options": True})(write)
app.command("exec", epilog="lwm2m exec lamp /3/0/4", context_settings={"ignore_unknown_options": True})(execute)
app.command(epilog="lwm2m discover lamp /3")(discover)
app.command(epilog="lwm2m observe lamp /3303/0/5700 --follow")(observe)
app.command(epilog="lwm2m attributes lamp /3303/0/5700 pmin=1 pmax=60 st=0.5")(attributes)
app.command("read-composite", epilog="lwm2m read-composite lamp /3/0/9 /3303")(read_composite)
app.command("write-composite", epilog="lwm2m write-composite lamp /3311/0/5850=true /3311/0/5851=50")(write_composite)
app.command("observe-composite", epilog="lwm2m observe-composite lamp /3/0/9 /3303/0/5700 --follow")(observe_composite)
app.command(epilog="lwm2m create lamp /3311/1 5850=true", context_settings={"ignore_unknown_options": True})(create)
app.command(epilog="lwm2m delete lamp /3311/1")(delete)
app.command(epilog="lwm2m bootstrap lamp")(bootstrap)
app.command(epilog="lwm2m requests lamp")(requests)
app.command(epilog="lwm2m decode TLV c40d5182428f --path /3/0")(decode)
app.command(epilog="lwm2m package firmware.bin 2.0")(package)
app.add_typer(keys)


def main() -> None:
    app()
