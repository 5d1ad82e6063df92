"""Find the method of PVE's API that a request names, and what it demands.

The facts come from ``schema.json``: names, types, limits and privileges of each method of
PVE 9.1.5, distilled from the description PVE gives of itself.
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import orjson

_INDEXED = re.compile(r"^([a-z]+)(0|[1-9]\d{0,3})$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What one parameter, or one key of a property string, may be."""

    type: str
    format: str = ""
    enum: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    requires: str = ""
    optional: bool = False
    default_key: bool = False
    alias: str = ""
    key_alias: str = ""
    items: "Spec | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of the API."""

    method: str
    template: str
    params: Mapping[str, Spec]
    counted: Mapping[str, tuple[int, Spec]]
    """Parameters that exist with numbers: ``scsi`` with 31, say."""
    protected: bool = False
    proxy_to_node: bool = False
    no_token: bool = False
    user: str = ""
    check: tuple[Any, ...] | None = None
    open: bool = False

    @property
    def key(self) -> str:
        """Return the name under which handlers are registered."""
        return f"{self.method} {self.template}"

    def spec(self, name: str) -> Spec | None:
        """Return what the parameter ``name`` may be, or ``None`` if there is none."""
        found = self.params.get(name)
        if found is not None:
            return found
        indexed = _INDEXED.match(name)
        if indexed is None or indexed[1] not in self.counted:
            return None
        count, spec = self.counted[indexed[1]]
        return spec if int(indexed[2]) < count else None


@dataclass(slots=True)
class _Branch:
    literal: dict[str, "_Branch"] = field(default_factory=dict)
    variable: tuple[str, "_Branch"] | None = None
    routes: dict[str, Route] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Every method and every property-string format."""

    root: _Branch
    formats: Mapping[str, Mapping[str, Spec]]
    children: Mapping[str, tuple[str, ...]]

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Return the method of a decoded path, with the path's variables."""
        at: dict[str, str] = {}
        branch = self.root
        segments = [segment for segment in path.split("/") if segment]
        for index, segment in enumerate(segments):
            if segment in branch.literal:
                branch = branch.literal[segment]
            elif branch.variable is not None:
                name, branch = branch.variable
                at[name] = segment
                if name == "volume" and not branch.literal and "content" in segments[:index]:
                    at[name] = "/".join(segments[index:])
                    break
            else:
                return None
        route = branch.routes.get(method)
        return None if route is None else (route, at)


def _spec(raw: Mapping[str, Any]) -> Spec:
    return Spec(
        type=raw.get("t", "s"),
        format=raw.get("f", ""),
        enum=tuple(str(value) for value in raw.get("e") or ()),
        minimum=_number(raw.get("min")),
        maximum=_number(raw.get("max")),
        min_length=raw.get("minlen"),
        max_length=raw.get("maxlen"),
        pattern=_pattern(raw.get("pat")),
        requires=raw.get("req", ""),
        optional=bool(raw.get("o")),
        default_key=bool(raw.get("key")),
        alias=raw.get("alias", ""),
        key_alias=raw.get("keyAlias", ""),
        items=_spec(raw["items"]) if "items" in raw else None,
    )


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))


def _pattern(perl: str | None) -> str | None:
    """Return a Perl pattern in Python's spelling."""
    return None if perl is None else perl.replace("(?^i:", "(?i:").replace("(?^:", "(?:")


@functools.cache
def table() -> Table:
    """Return the API's table; read once, never changed."""
    raw = orjson.loads(resources.files("qlop.sim").joinpath("schema.json").read_bytes())
    root = _Branch()
    for key, entry in raw["routes"].items():
        method, _, template = key.partition(" ")
        counted = {
            name[:-3]: (spec["n"], _spec(spec))
            for name, spec in entry["params"].items()
            if name.endswith("[n]")
        }
        params = {
            name: _spec(spec) for name, spec in entry["params"].items() if not name.endswith("[n]")
        }
        check = entry.get("check")
        route = Route(
            method=method,
            template=template,
            params=params,
            counted=counted,
            protected=bool(entry.get("protected")),
            proxy_to_node=entry.get("proxyto") == "node",
            no_token=bool(entry.get("notoken")),
            user=entry.get("user", ""),
            check=tuple(check) if check else None,
            open=bool(entry.get("open")),
        )
        _insert(root, route)
    formats = {
        name: {key: _spec(spec) for key, spec in keys.items()}
        for name, keys in raw["formats"].items()
    }
    children = {path: tuple(names) for path, names in raw["children"].items()}
    return Table(root=root, formats=formats, children=children)


def _insert(root: _Branch, route: Route) -> None:
    branch = root
    for segment in [part for part in route.template.split("/") if part]:
        if segment.startswith("{"):
            name = segment.strip("{}")
            if branch.variable is None:
                branch.variable = (name, _Branch())
            branch = branch.variable[1]
        else:
            branch = branch.literal.setdefault(segment, _Branch())
    branch.routes[route.method] = route
