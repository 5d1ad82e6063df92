"""What the demonstration shows, on a terminal and elsewhere."""

import io
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from rich.live import Live

from qlop.cli import demo_view
from qlop.cli.asking import Answer
from qlop.cli.demo_view import Lines, Picture, Sight
from qlop.cli.stage import Stage
from qlop.render import event, status
from qlop.render.plain_value import Plain
from qlop.settings import Address, WebSettings
from tests.render import worlds


@pytest.fixture
def ready(tmp_path: Path) -> Stage:
    (tmp_path / "daemon.log").write_text("\n".join(f"line {number}" for number in range(20)))
    daemon = subprocess.Popen(["true"])
    daemon.wait()
    return Stage(
        home=tmp_path,
        manifests=tmp_path / "desired-state",
        web=WebSettings(listen=Address(host="127.0.0.1", port=9650)),
        daemon=daemon,
        log=tmp_path / "daemon.log",
    )


def answer(document: Plain) -> Answer:
    lines = status.status_lines(
        worlds.STATUS, now=worlds.NOW, stale_after=worlds.DESIRED.cluster.interval
    )
    return Answer(document=json.loads(json.dumps(document)), lines=tuple(lines))


def sight() -> Sight:
    found = Sight.of(answer(status.status_document(worlds.STATUS)))
    assert found is not None
    return found


def test_a_sight_says_how_far_it_is() -> None:
    seen = sight()

    assert seen.headline == "converged: 1/4 guests"
    assert not seen.is_converged
    assert seen.under_way
    assert seen.running_vmid == 10002


def test_all_guests_as_wanted_is_converged_but_not_if_stalled() -> None:
    good = replace(worlds.STATUS, subjects=worlds.STATUS.subjects[2:3])
    stalled = replace(good, stalled="no quorum")

    seen = [Sight.of(answer(status.status_document(one))) for one in (good, stalled)]

    assert [one.is_converged for one in seen if one is not None] == [True, False]


def test_what_is_no_status_is_no_sight() -> None:
    assert Sight.of(answer([])) is None


def test_elsewhere_there_is_a_line_per_event_and_per_new_count() -> None:
    stream = io.StringIO()
    lines = Lines(Console(file=stream))

    lines.show(None)
    lines.event(event.event_line(worlds.EVENTS[0]))
    lines.show(sight())
    lines.show(sight())
    lines.show(replace(sight(), is_converged=True, headline="converged: 4/4 guests"))

    assert stream.getvalue() == (
        "the daemon does not answer yet\n"
        "07:58:45  node-lost          pve2  node pve2 is offline\n"
        "converged: 1/4 guests\n"
    )


def test_on_a_terminal_there_is_the_whole_picture(ready: Stage) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=140, height=80)
    with Live(console=console, auto_refresh=False) as live:
        picture = Picture(live, ready)
        picture.event(event.event_line(worlds.EVENTS[0]))
        picture.show(sight())
        picture.show(None)

    shown = console.file.getvalue() if isinstance(console.file, io.StringIO) else ""
    for expected in (
        "converged: 1/4 guests",
        "pve1",
        "node pve2 is offline",
        'sim do "guest 10002 stop"',
        "The daemon does not answer.",
    ):
        assert expected in shown


def test_elsewhere_it_begins_with_where_things_are(ready: Stage) -> None:
    console = Console(file=io.StringIO())
    with demo_view.view_for(console, ready):
        pass

    shown = console.file.getvalue() if isinstance(console.file, io.StringIO) else ""
    assert f"manifests: {ready.manifests}" in shown
    assert "http://127.0.0.1:9650/" in shown


def test_the_daemon_s_last_words_are_the_end_of_its_log(ready: Stage) -> None:
    assert ready.last_words().splitlines()[-1] == "line 19"
    assert len(ready.last_words().splitlines()) == 12


def test_an_event_is_known_again() -> None:
    document = event.event_document(worlds.EVENTS[0])

    assert demo_view.event_key(document) == (
        "2026-03-01T07:58:45.000Z/node-lost/pve2/node pve2 is offline"
    )
    assert demo_view.event_key("x") == "x"
