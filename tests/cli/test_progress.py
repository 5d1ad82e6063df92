"""What ``apply`` shows while it works."""

import pytest
from rich.console import Console

from qlop.cli.progress import Progress
from qlop.model.verdict import Converged
from tests.cli.scripts import result, subject
from tests.render import worlds


def test_without_a_terminal_there_is_a_line_per_event(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress(quiet=False) as progress:
        progress.event(worlds.EVENTS[0])
        progress.cycle(result())

    assert capsys.readouterr().err == "07:58:45  node-lost          pve2  node pve2 is offline\n"


def test_for_machines_there_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(quiet=True) as progress:
        progress.event(worlds.EVENTS[0])

    assert capsys.readouterr().err == ""


def test_on_a_terminal_there_is_a_bar_for_all_and_one_for_each_action(
    capsys: pytest.CaptureFixture[str],
) -> None:
    terminal = Console(stderr=True, force_terminal=True, width=120)
    with Progress(quiet=False, console=terminal) as progress:
        progress.cycle(result(subject(Converged(), flying=True)))
        progress.refresh()
        progress.cycle(result(subject(Converged())))
        progress.refresh()

    shown = capsys.readouterr().err
    assert "guests converged" in shown
    assert "clone template 9000 to web-1" in shown
    assert "1/1" in shown
