"""``qlop sim``: a simulated cluster to play with, and what can be done to it."""

import asyncio
import contextlib
import shlex
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from qlop.cli import options, screen, simulated
from qlop.cli.simulated import Whereabouts
from qlop.render.line import Line, Span, Tone, line
from qlop.sim import world
from qlop.sim.cluster import Cluster
from qlop.sim.server import SimServer

FIRST_PORT = 18006
"""The first node's; the others follow. Not 8006, where a real one might be."""

Directory = Annotated[
    Path | None,
    typer.Option(
        "--directory",
        help="Where it leaves word of itself. [default: one of your own]",
        show_default=False,
    ),
]
Port = Annotated[
    int, typer.Option("--port", min=0, max=65000, help="The first node's port; 0: any free one.")
]
Speed = Annotated[
    float, typer.Option("--speed", min=0.1, max=1000, help="Simulated seconds in a second.")
]
Description = Annotated[
    Path | None,
    typer.Option(
        "--cluster",
        metavar="FILE",
        help="A YAML description of the cluster. [default: a hospital's three nodes]",
        show_default=False,
    ),
]
Command = Annotated[list[str], typer.Argument(help="A command, in quotes or not; try `help`.")]


def application() -> typer.Typer:
    """Return ``qlop sim`` and what is below it."""
    app = typer.Typer(help="A simulated Proxmox VE cluster, served over HTTPS.")
    app.callback(invoke_without_command=True)(serve)
    app.command(name="do")(do)
    return app


def serve(
    context: typer.Context,
    *,
    port: Port = FIRST_PORT,
    speed: Speed = 1.0,
    cluster: Description = None,
    directory: Directory = None,
    as_json: options.Json = False,
) -> int:
    """Serve a simulated Proxmox VE cluster over HTTPS until interrupted."""
    if context.invoked_subcommand is not None:
        return 0
    spec = world.load(cluster.read_text(encoding="utf-8")) if cluster else world.hospital()
    home = simulated.private(directory or simulated.default_directory())
    ports = {node.name: port + number if port else 0 for number, node in enumerate(spec.nodes)}
    server = SimServer(Cluster(spec, now=time.time()), speed=speed, ports=ports, directory=home)
    asyncio.run(_serve(server, home, as_json=as_json))
    return 0


def do(command: Command, directory: Directory = None) -> int:
    """Do something to the running cluster, or to the one of `qlop demo`."""
    where = simulated.find(directory or simulated.default_directory())
    screen.show(line(one) for one in simulated.do(where, command).splitlines())
    return 0


async def _serve(server: SimServer, home: Path, *, as_json: bool) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await server.start()
    with contextlib.ExitStack() as undo:
        undo.callback(simulated.forget, home)
        where = simulated.announce(server, home)
        if as_json:
            screen.show_json(
                {
                    "endpoints": [*where.endpoints],
                    "ca_file": where.ca_file,
                    "fingerprint": server.fingerprint,
                    "token_id": where.token_id,
                    "token_file": where.token_file,
                }
            )
        else:
            screen.show(_greeting(where, server))
        await stopping.wait()
    await server.stop()


def _greeting(where: Whereabouts, server: SimServer) -> list[Line]:
    exports = [
        line(f"  export {name}={shlex.quote(value)}")
        for name, value in where.environment().items()
    ]
    return [
        line(Span("A simulated cluster is up.", Tone.GOOD), " Ctrl-C ends it."),
        line(f"  endpoints    {' '.join(where.endpoints)}"),
        line(f"  CA file      {where.ca_file}"),
        line(f"  fingerprint  {server.fingerprint}"),
        line(f"  token        {where.token_id}, its secret in {where.token_file}"),
        line(),
        line("To connect qlop to it, in another terminal:"),
        *exports,
        line("  export QLOP_JOURNAL=./journal.sqlite3 QLOP_DESIRED_STATE=./desired-state"),
        line("  qlop plan"),
        line(),
        line("To do something to it:  qlop sim do help"),
    ]
