"""Run the benchmarks: ``scripts/bench`` prints a table, then JSON."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import structlog
from rich.console import Console
from rich.table import Table

from bench import api, dispatch, idle, makespan, serve
from qlop.sim import world

SIZES = (30, 300, 3000, 10000)
WIDTH = 160
"""Columns of a table, on a terminal or in a file: no figure is cut."""


def main() -> None:
    """Run all, or the one part that the arguments name."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    match sys.argv[1:]:
        case ["serve", guests, directory]:
            serve.serve(int(guests), Path(directory))
        case ["fleet", nodes, guests, directory]:
            serve.serve_spec(world.fleet(int(nodes), int(guests)), Path(directory))
        case ["api"]:
            _tell(api.measure())
        case ["idle", guests]:
            _tell(idle.measure(int(guests)))
        case ["dispatch"]:
            _tell(dispatch.measure())
        case ["makespan"]:
            _tell(makespan.measure())
        case []:
            _all()
        case _:
            raise SystemExit("usage: scripts/bench [api | idle GUESTS | dispatch | makespan]")


def _all() -> None:
    """Run each part in a process of its own: memory and caches of one are not another's."""
    results: dict[str, Any] = {
        "api": _part("api"),
        "idle": [_part("idle", str(size)) for size in SIZES],
        "dispatch": _part("dispatch"),
        "makespan": _part("makespan"),
    }
    console = Console(width=WIDTH)
    console.print(_table("the simulated API over HTTPS", results["api"]))
    console.print(_idle_table(results["idle"]))
    console.print(_table("save of a manifest to first mutation sent", results["dispatch"]))
    console.print(_table("creating guests, in simulated time", results["makespan"]))
    console.print_json(data=results)


def _tell(figures: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")


def _part(*arguments: str) -> Any:
    command = [sys.executable, "-m", "bench", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603 - ours
    return json.loads(done.stdout.splitlines()[-1])


def _idle_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="an idle cycle, against the same reads done bare")
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(_shown(value) for value in row.values()))
    return table


def _table(title: str, row: dict[str, Any]) -> Table:
    table = Table(title=title)
    for name in row:
        table.add_column(name, justify="right")
    table.add_row(*(_shown(value) for value in row.values()))
    return table


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
