"""Convergent: every desired state is reached, or what is left a person can act on."""

from hypothesis import given

from qlop.model.verdict import Act, Converged, Held, Hold
from tests.laws.world import Stage, limit_of, run
from tests.strategies import World, calm_worlds, worlds

ACTIONABLE = frozenset(Hold) - {Hold.TASK_RUNNING, Hold.IN_FLIGHT, Hold.AMBIGUOUS, Hold.AUDIT}


def _end(world: World) -> Stage:
    return list(run(world, at_most=limit_of(world)))[-1]


@given(calm_worlds())
def test_without_faults_all_is_reached_or_held_for_a_reason(world: World) -> None:
    end = _end(world)

    for subject in end.plan.verdicts.values():
        match subject.verdict:
            case Converged():
                pass
            case Held(reason=reason, message=message, remedy=remedy):
                assert reason in ACTIONABLE
                assert message
                assert remedy
            case Act():
                raise AssertionError(subject)


@given(worlds())
def test_any_world_comes_to_rest(world: World) -> None:
    assert _end(world).done is None
