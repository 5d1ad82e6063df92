"""Alive means cycles end; ready means they succeed. Both tell the truth."""

from dataclasses import replace
from datetime import timedelta

import pytest

from qlop.web import health
from tests.render import worlds
from tests.web.views import StaticView

LATER = worlds.NOW + timedelta(minutes=2)
NEVER_SEEN = replace(worlds.STATUS, observed_at=None, stalled="the token is refused")


@pytest.mark.parametrize(
    ("view", "dead", "unready"),
    [
        pytest.param(StaticView(), "", "", id="well"),
        pytest.param(
            StaticView(the_status=None), "", "starting: no cycle ended yet", id="starting"
        ),
        pytest.param(
            StaticView(the_status=None, the_wait="the lease"),
            "",
            "standing by: waits for the lease",
            id="standing-by",
        ),
        pytest.param(
            StaticView(the_status=None, at=LATER),
            "no cycle ended for 2m",
            "no cycle ended for 2m",
            id="never-started",
        ),
        pytest.param(
            StaticView(at=LATER), "no cycle ended for 2m2s", "no cycle ended for 2m2s", id="hung"
        ),
        pytest.param(
            StaticView(at=LATER, the_status=replace(worlds.STATUS, at=LATER, stalled="HTTP 595")),
            "",
            "last observed the cluster 2m3s ago: HTTP 595",
            id="blind-for-long",
        ),
        pytest.param(
            StaticView(the_status=NEVER_SEEN),
            "",
            "never observed the cluster: the token is refused",
            id="never-seen",
        ),
        pytest.param(
            StaticView(the_status=replace(worlds.STATUS, reconciled_at=None)),
            "",
            "never reconciled",
            id="never-reconciled",
        ),
        pytest.param(
            StaticView(the_status=replace(worlds.STATUS, revision=None)),
            "",
            "no good manifests were ever read",
            id="no-manifests",
        ),
        pytest.param(
            StaticView(the_journal_error="No space left on device"),
            "",
            "the journal can't be written: No space left on device",
            id="full-disk",
        ),
    ],
)
def test_health(view: StaticView, dead: str, unready: str) -> None:
    assert (health.why_dead(view), health.why_not_ready(view)) == (dead, unready)
