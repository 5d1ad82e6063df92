"""Hold every call that qlop makes against PVE's own description of its API.

``python -m tests.pve.compatibility > docs/compatibility.md`` writes the page; a test
proves that it is up to date. The descriptions (the tree of PVE's API viewer, one file a
version) are not part of the project: ``QLOP_PVE_REFERENCE`` names the directory that
holds them under ``schema/``, by default the one beside the checkout.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qlop.model.guest import GuestKind
from qlop.model.ids import NodeName, StorageId, Upid, VmId
from qlop.model.option_table import RULES
from qlop.ports import PveCall, Scalar
from qlop.pve import calls
from tests.pve.test_calls import ACTIONS

REFERENCE = Path(
    os.environ.get("QLOP_PVE_REFERENCE", Path(__file__).parents[3] / "shared" / "pve")
)
VERSIONS = ("8.2", "8.4.5", "9.1.5", "9.2.11")
NODE, VMID = NodeName("pve1"), VmId(110)
UPID = Upid("UPID:pve1:00003869:0003B2E9:6B04FC3A:qmcreate:101:root@pam!test:")


def every_call() -> Iterator[PveCall]:
    """Yield each call that qlop makes, at least once, with every parameter it can have."""
    yield calls.version()
    yield calls.permissions()
    yield calls.resources()
    yield calls.cluster_status()
    yield calls.cluster_tasks()
    yield calls.cluster_log()
    for kind in GuestKind:
        yield calls.guest_config(kind, NODE, VMID)
        yield calls.guest_pending(kind, NODE, VMID)
        yield calls.guest_status(kind, NODE, VMID)
        yield calls.guest_snapshots(kind, NODE, VMID)
    yield calls.task_status(NODE, UPID)
    yield calls.task_log(NODE, UPID)
    yield calls.node_tasks(NODE, VMID)
    yield calls.storage_content(NODE, StorageId("local"), "iso")
    yield calls.guest_backups(NODE, StorageId("nas"), VMID)
    for _, action, *_ in ACTIONS:
        yield calls.call_for(action)


def load(version: str) -> dict[str, dict[str, Any]]:
    """Return a version's methods by path template."""
    text = (REFERENCE / "schema" / f"pve-{version}.json").read_text(encoding="utf-8")
    return {node["path"]: node.get("info") or {} for node in _nodes(json.loads(text))}


def _nodes(nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in nodes:
        yield node
        yield from _nodes(node.get("children") or [])


def complaints(call: PveCall, schema: dict[str, dict[str, Any]]) -> list[str]:
    """Return what a version of PVE would not take about a call."""
    method = schema.get(call.route, {}).get(call.method.value)
    if method is None:
        return ["no such method"]
    known: dict[str, Any] = method.get("parameters", {}).get("properties", {})
    given: dict[str, Scalar] = {**call.at, **call.params}
    found = [
        f"{name} is missing"
        for name, spec in known.items()
        if not spec.get("optional") and name not in given
    ]
    for name, value in given.items():
        spec = known.get(name) or known.get(re.sub(r"\d+$", "[n]", name))
        if spec is None:
            found.append(f"{name} is unknown")
        elif not _fits(value, spec):
            found.append(f"{name}={value!r} is not of its type")
    return found


def _fits(value: Scalar, spec: dict[str, Any]) -> bool:
    match spec.get("type"):
        case "boolean":
            return value in {0, 1}
        case "integer":
            least, most = spec.get("minimum", 0), spec.get("maximum", sys.maxsize)
            return str(value).isdecimal() and least <= int(value) <= most
        case "number":
            return str(value).replace(".", "", 1).isdecimal()
        case _:
            text = str(value)
            return (
                text in spec.get("enum", [text])
                and len(text) <= spec.get("maxLength", len(text))
                and ("pattern" not in spec or re.fullmatch(spec["pattern"], text) is not None)
            )


def missing_options(kind: GuestKind, schema: dict[str, dict[str, Any]]) -> set[str]:
    """Return the options qlop has rules for that a version of PVE does not know."""
    method = schema[f"/nodes/{{node}}/{kind.value}/{{vmid}}/config"]["PUT"]
    known = {name.rstrip("0123456789") for name in method["parameters"]["properties"]}
    known |= {name.removesuffix("[n]") for name in method["parameters"]["properties"]}
    return set(RULES[kind]) - known


def page() -> str:
    """Return ``docs/compatibility.md``."""
    schemas = {version: load(version) for version in VERSIONS}
    rows: dict[tuple[str, str], tuple[set[str], dict[str, bool]]] = {}
    for call in every_call():
        names, valid = rows.setdefault(
            (call.route, call.method.value), (set(), dict.fromkeys(VERSIONS, True))
        )
        names |= set(call.params)
        for version, schema in schemas.items():
            valid[version] &= not complaints(call, schema)
    lines = [_INTRODUCTION, _row(["Call", "Parameters", *VERSIONS]), _row(["---"] * 6)]
    for (route, method), (names, valid) in sorted(rows.items()):
        marks = ["yes" if valid[version] else "**no**" for version in VERSIONS]
        lines.append(_row([f"`{method} {route}`", _named(names), *marks]))
    lines.append(_OPTIONS)
    for kind in GuestKind:
        for version, schema in schemas.items():
            absent = missing_options(kind, schema)
            word = ", ".join(f"`{name}`" for name in sorted(absent)) or "none"
            noun = "VMs" if kind is GuestKind.VM else "containers"
            lines.append(f"- {noun}, {version}: {word}")
    return "\n".join(lines) + "\n"


def _named(names: set[str]) -> str:
    options = {name for name in names if len(names) > 1}
    return ", ".join(f"`{name}`" for name in sorted(options or names))


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


_INTRODUCTION = """\
# PVE versions

qlop works with Proxmox VE 8.2 and later, 9.x included. The table lists every call that it
makes, and whether path, method, parameter names and types are valid in each version that
was checked, by that version's own description of its API. Configuration options are among
the parameters of `config` and of the calls that create a guest; only those of an example
are shown here.

This page is generated: `python -m tests.pve.compatibility > docs/compatibility.md`.
"""

_OPTIONS = """
## Options

Options that qlop has rules for and that a version does not know (writing one there is
answered with a 400, which qlop shows):
"""

if __name__ == "__main__":
    sys.stdout.write(page())
