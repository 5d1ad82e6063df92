"""Check what a service says of its checks, its rollouts and its rollbacks."""

from collections.abc import Iterator

from qlop.manifest import lower_care
from qlop.manifest.care import Check
from qlop.manifest.marks import Path
from qlop.manifest.resolve import Scope
from qlop.manifest.schema import ServiceSpec
from qlop.model.finding import Finding
from qlop.model.health import RunningCheck
from qlop.model.rollout import RollbackMode
from qlop.model.units import format_span


def check_care(scope: Scope, spec: ServiceSpec) -> Iterator[Finding]:
    """Yield what is wrong with the care that a service asks for."""
    for position, check in enumerate(spec.health or ()):
        yield from _check_check(scope, spec, check, position)
    yield from _check_update(scope, spec)
    yield from _check_rollback(scope, spec)
    for position, name in enumerate(spec.depends_on or ()):
        if name == scope.entry.name:
            path: Path = ("dependsOn", position)
            yield scope.error(path, "itself", "dependsOn names the service itself")


def _check_check(
    scope: Scope, spec: ServiceSpec, check: Check, position: int
) -> Iterator[Finding]:
    path: Path = ("health", position)
    named = [
        key
        for key, value in (
            ("running", check.running),
            ("agent", check.agent),
            ("tcp", check.tcp),
            ("http", check.http),
        )
        if value is not None
    ]
    if len(named) != 1:
        message = f"the check asks for {' and '.join(named) or 'nothing'}: a check is one question"
        hint = "name one of running, agent, tcp and http; several are several entries"
        yield scope.error(path, "one-check", message, hint)
        return
    if check.agent and spec.type == "container":
        message = "a container has no guest agent"
        yield scope.error((*path, "agent"), "wrong-kind", message, "use tcp, http or running")
    if check.agent and spec.agent is not None and spec.agent.enabled is False:
        message = "the guest agent is asked and switched off"
        yield scope.error((*path, "agent"), "contradiction", message, "write agent: true")
    if (check.tcp or check.http) and not _has_address(spec):
        message = "its address is not known: it has no fixed one, and no agent that could tell it"
        yield scope.warning(path, "no-address", message, "give it an address, or agent: true")


def _has_address(spec: ServiceSpec) -> bool:
    """Return whether the address of each guest is said, or can be asked for."""
    if spec.type == "container" or (spec.agent is not None and spec.agent.enabled is not False):
        return True
    addresses = [
        address
        for nic in spec.networks or ()
        for said in (nic.address, nic.address6)
        for address in (said or ())
    ]
    return any("/" in address for address in addresses)


def _check_update(scope: Scope, spec: ServiceSpec) -> Iterator[Finding]:
    part = spec.update
    guests = spec.replicas or 1
    if part is not None and part.canary and part.canary >= guests:
        message = f"the {part.canary} guests that go first are all there are"
        yield scope.warning(("update", "canary"), "no-effect", message, "have more replicas")


def _check_rollback(scope: Scope, spec: ServiceSpec) -> Iterator[Finding]:
    rollback = lower_care.rollback(spec)
    if rollback.mode is RollbackMode.NONE:
        return
    for check in lower_care.checks(spec):
        if isinstance(check, RunningCheck):
            continue
        needed = check.start_period + check.failures * (check.interval + check.timeout)
        if rollback.watch < needed:
            message = (
                f"a watch of {format_span(rollback.watch)} ends before a check can fail, which"
                f" takes {format_span(needed)} (startPeriod, and failures times interval and timeout)"
            )
            hint = f"write watch: {format_span(needed)} or more"
            yield scope.error(("rollback", "watch"), "too-small", message, hint)
            return
