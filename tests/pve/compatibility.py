"""Hold every call that qlop makes against PVE's own description of its API.

``python -m tests.pve.compatibility > docs/compatibility.md`` writes the page; a test
proves that it is up to date. The descriptions (the tree of PVE's API viewer, one file a
version) are not part of the project: ``QLOP_PVE_REFERENCE`` names the directory that
holds them under ``schema/``, by default the one beside the checkout.
"""

import itertools
import json
import os
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qlop.model.guest import GuestKind
from qlop.model.ids import NodeName, StorageId, Upid, VmId
from qlop.model.option_table import RULES
from qlop.ports import PveCall, Scalar
from qlop.pve import calls
from qlop.pve.versions import remark_on
from tests.pve.test_calls import ACTIONS

REFERENCE = Path(
    os.environ.get("QLOP_PVE_REFERENCE", Path(__file__).parents[3] / "shared" / "pve")
)
VERSIONS = ("7.4", "8.2", "8.4.5", "9.1.5", "9.2.11")
NODE, VMID = NodeName("pve1"), VmId(110)
Schema = Mapping[str, Mapping[str, Any]]
"""A version's methods: by path template, then by verb."""

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
        yield calls.guest_interfaces(kind, NODE, VMID)
    yield calls.agent_info(NODE, VMID)
    yield calls.task_status(NODE, UPID)
    yield calls.task_log(NODE, UPID)
    yield calls.node_tasks(NODE, VMID)
    yield calls.storage_content(NODE, StorageId("local"), "iso")
    yield calls.guest_backups(NODE, StorageId("nas"), VMID)
    for _, action, *_ in ACTIONS:
        yield calls.call_for(action)


def load(version: str) -> Schema:
    """Return a version's methods by path template."""
    text = (REFERENCE / "schema" / f"pve-{version}.json").read_text(encoding="utf-8")
    return {node["path"]: node.get("info") or {} for node in _nodes(json.loads(text))}


def _nodes(nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in nodes:
        yield node
        yield from _nodes(node.get("children") or [])


def complaints(call: PveCall, schema: Schema) -> list[str]:
    """Return what a version of PVE would not take about a call."""
    method = schema.get(call.route, {}).get(call.method.value)
    if method is None:
        return ["no such method"]
    known = _parameters(schema, call.route, call.method.value)
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


def missing_options(kind: GuestKind, schema: Schema) -> set[str]:
    """Return the options qlop has rules for that a version of PVE does not know."""
    method = schema[f"/nodes/{{node}}/{kind.value}/{{vmid}}/config"]["PUT"]
    known = {name.rstrip("0123456789") for name in method["parameters"]["properties"]}
    known |= {name.removesuffix("[n]") for name in method["parameters"]["properties"]}
    return set(RULES[kind]) - known


def refused(version: str) -> dict[tuple[str, str], list[str]]:
    """Return what a version would not take, by route and method of the calls."""
    schema = load(version)
    found: dict[tuple[str, str], list[str]] = {}
    for call in every_call():
        for complaint in complaints(call, schema):
            told = found.setdefault((call.route, call.method.value), [])
            if complaint not in told:
                told.append(complaint)
    return found


def page() -> str:
    """Return ``docs/compatibility.md``."""
    schemas = {version: load(version) for version in VERSIONS}
    refusals = {version: refused(version) for version in VERSIONS}
    rows: dict[tuple[str, str], set[str]] = {}
    for call in every_call():
        rows.setdefault((call.route, call.method.value), set()).update(call.params)
    lines = [_introduction(), _row(["Call", "Parameters", *VERSIONS])]
    lines.append(_row(["---"] * (2 + len(VERSIONS))))
    for (route, method), names in sorted(rows.items()):
        marks = ["**no**" if (route, method) in refusals[one] else "yes" for one in VERSIONS]
        lines.append(_row([f"`{method} {route}`", _named(names), *marks]))
    lines += [_REFUSED, *_refusals(refusals)]
    lines += [_CHANGES, *_changes(schemas, sorted(rows)), _OPTIONS, *_unknown_options(schemas)]
    return "\n".join(lines) + "\n"


def _refusals(refusals: Mapping[str, Mapping[tuple[str, str], list[str]]]) -> Iterator[str]:
    for version, found in refusals.items():
        for (route, method), complaints_ in sorted(found.items()):
            yield f"- {version}: `{method} {route}`: {', '.join(complaints_)}"


def _parameters(schema: Schema, route: str, method: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (
        schema.get(route, {}).get(method, {}).get("parameters", {}).get("properties", {})
    )
    return found


def _changes(schemas: Mapping[str, Schema], routes: list[tuple[str, str]]) -> Iterator[str]:
    """Yield, for each method, which parameters came and went with which version."""
    for route, method in routes:
        told = []
        for older, newer in itertools.pairwise(VERSIONS):
            before = _parameters(schemas[older], route, method).keys()
            after = _parameters(schemas[newer], route, method).keys()
            came = [f"`{name}`" for name in sorted(after - before)]
            went = [f"`{name}`" for name in sorted(before - after)]
            if method not in schemas[older].get(route, {}):
                told.append(f"new in {newer}")
                continue
            if came or went:
                words = [", ".join(came) and f"has {', '.join(came)}"]
                words.append(", ".join(went) and f"lacks {', '.join(went)}")
                told.append(f"{newer} {' and '.join(word for word in words if word)}")
        if told:
            yield f"- `{method} {route}`: {'; '.join(told)}"


def _unknown_options(schemas: Mapping[str, Schema]) -> Iterator[str]:
    for kind in GuestKind:
        for version, schema in schemas.items():
            absent = missing_options(kind, schema)
            word = ", ".join(f"`{name}`" for name in sorted(absent)) or "none"
            noun = "VMs" if kind is GuestKind.VM else "containers"
            yield f"- {noun}, {version}: {word}"


def _named(names: set[str]) -> str:
    options = {name for name in names if len(names) > 1}
    return ", ".join(f"`{name}`" for name in sorted(options or names))


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _introduction() -> str:
    said = "\n".join(f"> {line}" for line in _wrapped(remark_on((7, 4, 0))))
    return f"""\
# PVE versions

qlop works with Proxmox VE 8.2 and later, 9.x included. The table lists every call that it
makes, and whether path, method, parameter names and types are valid in each version that
was checked, by that version's own description of its API. Configuration options are among
the parameters of `config` and of the calls that create a guest; only those of an example
are shown here.

Of a cluster that is older or newer than that, the daemon, `qlop plan` and `qlop status` say
it; they do not refuse to work. Of a 7.4, say:

{said}

This page is generated: `python -m tests.pve.compatibility > docs/compatibility.md`.
"""


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 90)


_REFUSED = """
## What a version would not take
"""

_CHANGES = """
## Parameters that came and went

Of the methods that qlop calls, compared with the version before in this list. qlop sends
none of them that one of the supported versions lacks, unless a manifest names the option:
"""

_OPTIONS = """
## Options

Options that qlop has rules for and that a version does not know (writing one there is
answered with a 400, which qlop shows):
"""

if __name__ == "__main__":
    sys.stdout.write(page())
