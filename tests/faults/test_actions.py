"""Every fault on every action that qlop can dispatch: all laws hold."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from qlop.model.action import Verb
from qlop.model.guest import GuestKind
from qlop.sim.faults import Effect, Fault, Match
from tests.faults.errands import Errand, all_errands
from tests.faults.trial import tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """Something that goes wrong with the call that carries an errand out."""

    name: str
    effect: Effect
    seconds: float = 60.0
    status: int = 500
    text: str = "internal error"

    def befalling(self, errand: Errand, times: int | None) -> Fault:
        """Return the fault that strikes the errand."""
        return Fault(
            effect=self.effect,
            match=Match(route=errand.pattern, task=errand.task or "*", storage=errand.storage),
            times=times,
            seconds=self.seconds,
            status=self.status,
            text=self.text,
        )


MISHAPS = (
    Mishap(name="refused", effect=Effect.REFUSE),
    Mishap(name="595", effect=Effect.CONNECT),
    Mishap(name="596", effect=Effect.PIPE),
    Mishap(name="500", effect=Effect.SERVER),
    Mishap(name="503", effect=Effect.SERVER, status=503, text="Service Unavailable"),
    Mishap(name="slow", effect=Effect.SLOW, seconds=50.0),
    Mishap(name="half", effect=Effect.HALF),
    Mishap(name="lost", effect=Effect.LOSE),
    Mishap(name="locked", effect=Effect.LOCKED),
    Mishap(name="node-down", effect=Effect.NODE_DOWN),
    Mishap(name="quorum-lost", effect=Effect.QUORUM_LOST),
    Mishap(name="stale", effect=Effect.STALE, seconds=45.0),
    Mishap(name="unknown", effect=Effect.UNKNOWN),
    Mishap(name="task-fails-at-once", effect=Effect.TASK, seconds=0.02),
    Mishap(name="task-fails", effect=Effect.TASK, seconds=0.7),
    Mishap(name="full", effect=Effect.FULL),
    Mishap(name="clock-forward", effect=Effect.CLOCK, seconds=3600.0),
    Mishap(name="clock-back", effect=Effect.CLOCK, seconds=-3600.0),
)
TIMES = {"once": 1, "twice": 2, "for-a-while": None}


def cases() -> Iterator[tuple[Errand, Mishap, str]]:
    """Return every case there is: a task can only fail where there is one."""
    for errand in all_errands():
        for mishap in MISHAPS:
            if mishap.effect is Effect.TASK and not errand.task:
                continue
            for times in ("for-a-while",) if mishap.effect is Effect.UNKNOWN else TIMES:
                yield errand, mishap, times


NOT_OF_CONTAINERS = frozenset({Verb.REGENERATE, Verb.RESUME})
"""They have no cloud-init drive, and only the CRIU that PVE does not offer pauses them."""


def test_there_is_an_errand_for_everything_that_can_be_done() -> None:
    sent = {(errand.kind, errand.verb) for errand in all_errands()}
    can = {(kind, verb) for kind in GuestKind for verb in Verb}

    assert sent == can - {(GuestKind.CONTAINER, verb) for verb in NOT_OF_CONTAINERS}


@pytest.mark.parametrize(
    ("errand", "mishap", "times"),
    [
        pytest.param(errand, mishap, times, id=f"{errand.id}-{mishap.name}-{times}")
        for errand, mishap, times in cases()
    ],
)
def test_no_fault_makes_an_action_break_a_law(
    errand: Errand, mishap: Mishap, times: str, tally: Counter[str]
) -> None:
    fault = mishap.befalling(errand, TIMES[times])
    name = f"{errand.id} {mishap.name} {times}"

    broken = tried(errand, [fault], name=name)
    tally["faults of actions"] += 1

    assert not broken, "\n".join(broken)
    assert fault.hits or mishap.effect is Effect.UNKNOWN, "the fault struck nothing"
