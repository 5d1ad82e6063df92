"""``qlop run``: the daemon."""

import asyncio
from typing import Annotated

import typer

from qlop import service
from qlop.cli import options

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Observe and plan for ever, and change nothing.")
]


def run(
    *,
    dry_run: DryRun = False,
    config: options.Config = None,
    overrides: options.Overrides = None,
) -> int:
    """Keep the cluster as the manifests say, until told to stop."""
    settings = options.settings_of(config, overrides)
    asyncio.run(service.run(settings, act=not dry_run))
    return 0
