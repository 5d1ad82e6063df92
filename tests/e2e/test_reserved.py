"""What PVE lets root@pam alone set is left to root@pam, and nothing else is."""

from pathlib import Path

import pytest

from tests.e2e.served import service, site, spec

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,  # real HTTPS
    pytest.mark.timeout(60),
]


def test_a_hook_script_keeps_nothing_else_from_being_done(tmp_path: Path) -> None:
    with site(tmp_path, spec(), speed=10) as place:
        place.declare(
            service("web", power="running", hookScript="local:snippets/hook.pl", memory="768MiB")
        )

        held = place.qlop("apply")
        place.do("guest 10000 set hookscript=local:snippets/hook.pl")
        done = place.qlop("apply")

        assert held.returncode == 3, held.stdout
        assert "qm set 10000 --hookscript local:snippets/hook.pl" in held.stdout
        assert "not started for the first time without hookscript" in held.stdout
        assert done.returncode == 0, done.stdout
        assert "hookscript" not in str([one.params for one in place.cluster.changes])
