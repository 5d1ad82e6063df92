"""Distil PVE's own API schema into the compact table that the simulator carries.

``python -m tests.contract.schema_table pve-9.1.5.json > qlop/sim/schema.json`` writes it;
a test proves that the two agree. Only facts are kept: names, types, limits, privileges.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_COUNTS = {
    "ide": 4, "sata": 6, "scsi": 31, "virtio": 16, "net": 32, "unused": 256, "usb": 14,
    "hostpci": 16, "serial": 4, "parallel": 3, "numa": 8, "ipconfig": 32, "virtiofs": 10,
    "mp": 256, "dev": 256, "link": 8, "acmedomain": 6, "group": 100,
}  # fmt: skip
"""How many of each ``name[n]`` there are. Containers differ in ``net`` and ``unused`` alone,
and not by a number anybody reaches."""

_TYPES = {
    "integer": "i",
    "number": "n",
    "boolean": "b",
    "string": "s",
    "array": "a",
    "object": "o",
}


def table(schema: list[dict[str, Any]]) -> dict[str, Any]:
    """Return ``{"formats": …, "routes": …}`` for a schema as PVE's API viewer has it."""
    formats: dict[str, Any] = {}
    routes = {
        f"{method} {node['path']}": _entry(info, formats)
        for node in _nodes(schema)
        for method, info in sorted((node.get("info") or {}).items())
    }
    children = {
        node["path"]: [child["text"] for child in node["children"]]
        for node in _nodes(schema)
        if node.get("children")
    }
    return {
        "formats": formats,
        "routes": dict(sorted(routes.items())),
        "children": dict(sorted(children.items())),
    }


def _nodes(nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in nodes:
        yield node
        yield from _nodes(node.get("children") or [])


def _entry(info: dict[str, Any], formats: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    if info.get("protected"):
        entry["protected"] = 1
    if info.get("proxyto"):
        entry["proxyto"] = info["proxyto"]
    if not info.get("allowtoken", 1):
        entry["notoken"] = 1
    permissions = info.get("permissions") or {}
    if "check" in permissions:
        entry["check"] = permissions["check"]
    if "user" in permissions:
        entry["user"] = permissions["user"]
    parameters = info.get("parameters") or {}
    entry["params"] = {
        name: _spec(name, spec, formats)
        for name, spec in sorted((parameters.get("properties") or {}).items())
    }
    if parameters.get("additionalProperties") not in (0, None):
        entry["open"] = 1
    return entry


def _spec(name: str, spec: dict[str, Any], formats: dict[str, Any]) -> dict[str, Any]:
    if "alias" in spec:
        return {key: spec[key] for key in ("alias", "keyAlias") if key in spec}
    short: dict[str, Any] = {"t": _TYPES[spec.get("type", "string")]}
    for key, brief in (
        ("enum", "e"),
        ("minimum", "min"),
        ("maximum", "max"),
        ("minLength", "minlen"),
        ("maxLength", "maxlen"),
        ("pattern", "pat"),
        ("requires", "req"),
        ("default_key", "key"),
    ):
        if key in spec:
            short[brief] = spec[key]
    if spec.get("optional"):
        short["o"] = 1
    if name.endswith("[n]"):
        short["n"] = _COUNTS[name[:-3]]
    if isinstance(spec.get("items"), dict):
        short["items"] = _spec("", spec["items"], formats)
    format_ = spec.get("format")
    if isinstance(format_, str):
        short["f"] = format_
    elif isinstance(format_, dict):
        short["f"] = _format_name(name, format_, formats)
    return short


def _format_name(name: str, format_: dict[str, Any], formats: dict[str, Any]) -> str:
    brief = {key: _spec(key, value, formats) for key, value in sorted(format_.items())}
    base = "@" + name.removesuffix("[n]")
    candidate, number = base, 2
    while candidate in formats and formats[candidate] != brief:
        candidate, number = f"{base}{number}", number + 1
    formats[candidate] = brief
    return candidate


def render(data: dict[str, Any]) -> str:
    """Return the table as JSON with one entry a line, so that a change reads as a change."""
    parts = []
    for section, entries in data.items():
        lines = ",\n".join(
            f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'), sort_keys=True)}"
            for key, value in entries.items()
        )
        parts.append(f"{json.dumps(section)}: {{\n{lines}\n}}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    sys.stdout.write(render(table(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
