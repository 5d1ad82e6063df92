"""Actions and their endings in words."""

from dataclasses import replace

import pytest

from qlop.model.action import (
    Action,
    CloneGuest,
    ConfigureGuest,
    MigrateGuest,
    MigrationMode,
    ShutdownGuest,
    Verb,
)
from qlop.model.guest import GuestKind
from qlop.model.history import Ending
from qlop.render.action import action_text, ending_text, started_text
from tests.executor.planned import action_of
from tests.journal.records import finished, intended

TEXTS = {
    Verb.CREATE: "create VM web (110) on pve1",
    Verb.CLONE: "clone template 9000 to web (110) on pve2",
    Verb.CONFIGURE: "configure web (110): cipassword, memory",
    Verb.REPLACE: "replace web (110) by a guest built from template debian-13",
    Verb.HAND_OVER: "hand scsi0 of web (110) over to 111",
    Verb.RESIZE: "grow scsi0 of web (110) to 64GiB",
    Verb.REGENERATE: "regenerate the cloud-init drive of web (110)",
    Verb.ASSIGN_POOL: "put web (110) into pool ward",
    Verb.START: "start web (110) on pve1",
    Verb.RESUME: "resume web (110) on pve1",
    Verb.SHUTDOWN: "shut down web (110) on pve1, by force if need be",
    Verb.REBOOT: "reboot web (110) on pve1",
    Verb.MIGRATE: "migrate web (110) from pve1 to pve2, live",
    Verb.SNAPSHOT: "take snapshot weekly of web (110)",
    Verb.DELETE_SNAPSHOT: "delete snapshot old of web (110)",
    Verb.ROLLBACK: "roll web (110) back to snapshot old, its disks included",
    Verb.DESTROY: "destroy web (110) and its disks on pve1",
}


@pytest.mark.parametrize("verb", Verb)
def test_every_action_has_a_text(verb: Verb) -> None:
    assert action_text(action_of(verb)) == TEXTS[verb]


def variants() -> list[tuple[Action, str]]:
    create, clone = action_of(Verb.CREATE), action_of(Verb.CLONE)
    configure, move = action_of(Verb.CONFIGURE), action_of(Verb.MIGRATE)
    shutdown = action_of(Verb.SHUTDOWN)
    assert isinstance(clone, CloneGuest)
    assert isinstance(configure, ConfigureGuest)
    assert isinstance(move, MigrateGuest)
    assert isinstance(shutdown, ShutdownGuest)
    return [
        (replace(create, kind=GuestKind.CONTAINER), "create container web (110) on pve1"),
        (replace(clone, full=False), "clone linked template 9000 to web (110) on pve2"),
        (replace(configure, set={}, delete=("net1",)), "configure web (110): without net1"),
        (replace(shutdown, force_stop=False), "shut down web (110) on pve1"),
        (
            replace(move, mode=MigrationMode.RESTART),
            "migrate web (110) from pve1 to pve2, by restarting it",
        ),
        (
            replace(move, mode=MigrationMode.OFFLINE),
            "migrate web (110) from pve1 to pve2, stopped",
        ),
    ]


@pytest.mark.parametrize(("action", "text"), variants())
def test_variants_are_told_apart(action: Action, text: str) -> None:
    assert action_text(action) == text


WISH = intended(0)


def test_what_begins_says_why() -> None:
    assert started_text(WISH) == "start simrs-1: it should run"
    assert started_text(replace(WISH, reason="")) == "start simrs-1"


@pytest.mark.parametrize(
    ("minute", "ending", "text"),
    [
        (2, Ending.SUCCEEDED, "start simrs-1: done in 2m"),
        (0.005, Ending.SUCCEEDED, "start simrs-1: done in 300ms"),
        (0.0217, Ending.SUCCEEDED, "start simrs-1: done in 1s"),
        (2, Ending.FAILED, "start simrs-1: failed: said PVE"),
        (2, Ending.SUPERSEDED, "start simrs-1: not sent: said PVE"),
        (
            2,
            Ending.UNKNOWN,
            (
                "start simrs-1: said PVE; nothing else happens to the guest until looking has "
                "shown how it ended"
            ),
        ),
    ],
)
def test_what_ended_says_how(minute: float, ending: Ending, text: str) -> None:
    error = "" if ending is Ending.SUCCEEDED else "transient"

    assert ending_text(WISH, finished(minute, WISH, ending, error)) == text
