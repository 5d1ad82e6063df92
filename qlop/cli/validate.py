"""``qlop validate``: are the manifests good?"""

from pathlib import Path
from typing import Annotated

import typer

from qlop.cli import options, screen
from qlop.manifest.load import load
from qlop.model.finding import Severity
from qlop.model.units import counted
from qlop.render.finding import finding_document, findings_lines
from qlop.render.line import Span, Tone, line
from qlop.settings import Settings
from qlop.sources import files

Directory = Annotated[
    Path | None,
    typer.Argument(
        help="Where the manifests are. [default: the setting desired_state]", show_default=False
    ),
]


def validate(
    directory: Directory = None,
    *,
    config: options.Config = None,
    overrides: options.Overrides = None,
    as_json: options.Json = False,
) -> int:
    """Check manifests without asking any cluster. 0: they are good, 1: they are not."""
    root = directory or Path(
        options.setting_of("desired_state", config, overrides)
        or Settings.model_fields["desired_state"].default
    )
    loaded = load(files.load(root))
    good = loaded.desired is not None and not any(
        one.severity is Severity.ERROR for one in loaded.findings
    )
    if as_json:
        screen.show_json(
            {
                "valid": good,
                "revision": loaded.desired.revision if loaded.desired else None,
                "services": len(loaded.desired.services) if loaded.desired else 0,
                "guests": len(loaded.desired.guests) if loaded.desired else 0,
                "findings": [finding_document(one) for one in loaded.findings],
            }
        )
        return options.CONVERGED if good else options.ERROR
    screen.show(findings_lines(loaded.findings))
    if loaded.desired is not None and good:
        services, guests = loaded.desired.services, loaded.desired.guests
        count = f"{counted(len(services), 'service')}, {counted(len(guests), 'guest')}"
        screen.show([line(Span("valid", Tone.GOOD), f": {count} in {root}")])
    return options.CONVERGED if good else options.ERROR
