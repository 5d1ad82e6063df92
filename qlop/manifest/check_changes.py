"""Check what a service says about changes to it: the fields, and the windows."""

from collections.abc import Iterator, Mapping

from qlop.manifest import vocabulary, windows
from qlop.manifest.resolve import Scope
from qlop.manifest.schema import ClusterSpec, ServiceSpec
from qlop.model.consent import ACTS
from qlop.model.finding import Finding
from qlop.model.guest import GuestKind
from qlop.model.option import DISK_BASES, RULES, Form, base_of, rule_for

_MANIFEST_WORDS: Mapping[str, str] = {
    "cpu.cores": "cores",
    "cpu.sockets": "sockets",
    "cpu.type": "cpu",
    "cpu.limit": "cpulimit",
    "cpu.units": "cpuunits",
    "cpu.numa": "numa",
    "bootOrder": "boot",
    "disks": "scsi0",
    "networks": "net0",
    "mountPoints": "mp0",
    "display": "vga",
    "osType": "ostype",
    "scsiController": "scsihw",
    "cloudInit": "ciuser, sshkeys or ipconfig0",
    "dns": "nameserver or searchdomain",
    "node": "placement",
    "nodes": "placement",
}
"""What people write who think of the manifest, and what plans call it."""


def check_changes(
    scope: Scope, spec: ServiceSpec, cluster: ClusterSpec | None
) -> Iterator[Finding]:
    """Yield what is wrong with ``changes`` and ``windows``."""
    for name in (spec.changes.fields or {}) if spec.changes is not None else ():
        if not is_field(name):
            message = f"there is no field {name}"
            yield scope.error(("changes", "fields", name), "unknown-field", message, _near(name))
    known = {one.name for one in _windows(cluster)}
    for position, one in enumerate(spec.windows or ()):
        if windows.is_name(one):
            if one.name not in known and cluster is not None:
                near = vocabulary.alike(str(one.name), [name for name in known if name])
                hint = (
                    f"did you mean {near}?" if near else "the cluster's policy.windows names them"
                )
                message = f"the cluster has no window {one.name}"
                yield scope.error(("windows", position), "unknown-window", message, hint)
            continue
        found = windows.problem(one)
        if found is not None:
            key, message, hint = found
            yield scope.error(("windows", position, key), "window", message, hint)
    waits = _waits(spec)
    if waits and cluster is not None and not (spec.windows if spec.windows is not None else known):
        message = f"{waits} waits for a window, and there is none: it is never done"
        yield scope.warning(("changes",), "no-window", message, "add policy.windows or windows")


def is_field(name: str) -> bool:
    """Return whether some kind of guest has a field called so."""
    key, dot, inner = name.partition(".")
    if not dot:
        return key in ACTS or any(_has(kind, key) for kind in GuestKind)
    if not inner:
        return False
    return any(_has_property(kind, key, inner) for kind in GuestKind)


def _has(kind: GuestKind, key: str) -> bool:
    rule = rule_for(kind, key)
    is_base = rule is not None and rule.numbered and key == base_of(key)
    return rule is not None and not is_base


def _has_property(kind: GuestKind, key: str, inner: str) -> bool:
    rule = rule_for(kind, key)
    if rule is None or rule.form is not Form.PROPERTIES:
        return False
    # `cpu` is an option with properties; its cores are not among them.
    return f"{key}.{inner}" not in _MANIFEST_WORDS and (
        inner != "size" or base_of(key) in DISK_BASES[kind]
    )


def _near(name: str) -> str:
    word = _MANIFEST_WORDS.get(name) or _MANIFEST_WORDS.get(name.partition(".")[0])
    if word is not None:
        return f"write it as plans do: {word}"
    names = {*ACTS, *(key for rules in RULES.values() for key in rules)}
    near = vocabulary.alike(name, names)
    return (
        f"did you mean {near}?" if near else "write it as `qlop plan` shows it: memory, net0.rate"
    )


def _windows(cluster: ClusterSpec | None) -> list[windows.Window]:
    policy = cluster.policy if cluster is not None else None
    return (policy.windows or []) if policy is not None else []


def _waits(spec: ServiceSpec) -> str:
    """Return what waits for a window, empty if nothing does."""
    if spec.changes is None:
        return ""
    impact = spec.changes.impact
    said = {
        **(impact.model_dump(exclude_none=True) if impact is not None else {}),
        **(spec.changes.fields or {}),
    }
    return next((name for name, word in said.items() if word == "window"), "")
