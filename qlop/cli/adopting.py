"""Have adoptions and releases carried out: by the daemon if one acts, else here and alone."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from qlop.cli.door import Door
from qlop.controller.cycle import Acting, CycleResult
from qlop.model.event import Event
from qlop.model.history import Ending, Notice
from qlop.model.ids import ActionId, CycleId, Upid, VmId
from qlop.model.plan import Plan, PlannedAction
from qlop.model.policy import Limits
from qlop.planner import adoption
from qlop.ports import ErrorKind, PortError
from qlop.settings import Settings

PATIENCE_S = 60.0
"""Writing a guest's notes takes a second; a daemon begins a cycle as soon as it is ordered."""
LOOK_AGAIN = timedelta(seconds=2)

Done = Callable[[CycleResult], bool]
"""Whether a look shows that what was ordered is done."""


@dataclass(slots=True, kw_only=True)
class Only:
    """Let through only what makes certain guests ours, or no longer ours."""

    behind: Acting
    vmids: frozenset[VmId]

    @property
    def ends(self) -> int:
        """Return how many actions have ended so far."""
        return self.behind.ends

    @property
    def trouble(self) -> str:
        """Return why the journal can't be written, empty if it can."""
        return self.behind.trouble

    def start(
        self, plan: Plan, *, cycle: CycleId, seen: int, limits: Limits
    ) -> tuple[ActionId, ...]:
        """Start what is about these guests and nothing else of them."""
        agreed = tuple(planned for planned in plan.actions if self.allows(planned))
        return self.behind.start(
            replace(plan, actions=agreed), cycle=cycle, seen=seen, limits=limits
        )

    def allows(self, planned: PlannedAction) -> bool:
        """Return whether an action does no more than write or take away an owner mark."""
        return planned.action.vmid in self.vmids and adoption.changes_owner(planned)

    def note(self, notices: Iterable[Notice]) -> None:
        """Write nothing down: that is the business of whoever carries out the whole plan."""

    def settle(
        self,
        action: ActionId,
        attempt: int,
        ending: Ending,
        message: str,
        *,
        upid: Upid | None = None,
    ) -> bool:
        """Pass on how an ambiguous action ended."""
        return self.behind.settle(action, attempt, ending, message, upid=upid)


async def carried_out(
    door: Door, settings: Settings, vmids: frozenset[VmId], done: Done
) -> CycleResult | None:
    """Return the last look, once all of it is done or patience is at an end.

    Raises:
        PortError: if neither a daemon nor we can act.
    """
    try:
        return await _here(door, settings, vmids, done)
    except PortError as error:
        if error.kind is not ErrorKind.CONFLICT:
            raise
    return await _by_daemon(door, settings, vmids, done)


async def _here(
    door: Door, settings: Settings, vmids: frozenset[VmId], done: Done
) -> CycleResult | None:
    last: list[CycleResult] = []
    errors: list[Exception] = []

    def ignored(_: Event) -> None:
        """Say nothing: the outcome is what counts."""

    async with door.acting(settings, ignored) as assembly:
        executor = assembly.engine.executor
        assert executor is not None, "parts that act have an executor"
        assembly.engine.executor = Only(behind=executor, vmids=vmids)
        began = asyncio.get_running_loop().time()

        def told(result: CycleResult, _: float) -> None:
            last[:] = [result]
            if done(result) or asyncio.get_running_loop().time() - began > PATIENCE_S:
                assembly.stop()

        def failed(error: Exception) -> None:
            errors.append(error)
            assembly.stop()

        await assembly.run(on_cycle=told, on_error=failed)
    if errors:
        raise errors[0]
    return last[0] if last else None


async def _by_daemon(
    door: Door, settings: Settings, vmids: frozenset[VmId], done: Done
) -> CycleResult | None:
    async with door.looking(settings) as assembly:
        began = asyncio.get_running_loop().time()
        while True:
            for vmid in vmids:  # What another one writes to a container leaves no trace.
                assembly.engine.observer.touch(vmid)
            result = await assembly.engine.cycle(read_manifests=True, act=False)
            if done(result) or asyncio.get_running_loop().time() - began > PATIENCE_S:
                return result
            await assembly.engine.clock.sleep(LOOK_AGAIN)
