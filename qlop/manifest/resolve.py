"""Resolve a service: what it says and inherits, and where each of it stands."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from qlop.manifest import kinds, merge, vocabulary
from qlop.manifest.document import Document
from qlop.manifest.marks import Path, Yaml, text_of
from qlop.manifest.merge import Base, Layer
from qlop.manifest.schema import ServiceSpec
from qlop.manifest.validate import Entry
from qlop.model.finding import Finding, Origin, Severity


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scope:
    """Knows where each value of a resolved service was written.

    ``complete``: the cluster and every profile it names could be read. If not, nothing
    can be said about what is missing.
    """

    entry: Entry
    inherited: Mapping[str, str]
    layers: Mapping[str, Layer]
    complete: bool

    def origin(self, path: Path) -> Origin:
        """Return where the value at ``path`` below ``spec`` was written."""
        document, place = self._place(path)
        return document.value_origin(place)

    def error(self, path: Path, code: str, message: str, hint: str = "") -> Finding:
        """Return an error about the value at ``path`` below ``spec``."""
        return self._finding(Severity.ERROR, path, code, message, hint)

    def warning(self, path: Path, code: str, message: str, hint: str = "") -> Finding:
        """Return a warning about the value at ``path`` below ``spec``."""
        return self._finding(Severity.WARNING, path, code, message, hint)

    def _finding(
        self, severity: Severity, path: Path, code: str, message: str, hint: str
    ) -> Finding:
        document, place = self._place(path)
        return Finding(
            severity=severity,
            code=code,
            message=f"{self.entry.name}: {message}",
            origin=document.value_origin(place),
            field=text_of(place),
            hint=hint,
        )

    def _place(self, path: Path) -> tuple[Document, Path]:
        for length in range(len(path), 0, -1):
            layer = self.layers.get(self.inherited.get(text_of(path[:length]), ""))
            if layer is not None:
                return layer.document, (*layer.above, *path)
        return self.entry.document, ("spec", *path)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resolved:
    """A service with everything it inherits, ``guest_type`` decided."""

    scope: Scope
    spec: ServiceSpec
    findings: tuple[Finding, ...]


class Resolver:
    """Resolves services; what several inherit in the same way is merged once.

    ``defaults`` is None if the cluster's document can't be used.
    """

    def __init__(self, defaults: Layer | None, profiles: Mapping[str, Entry]) -> None:
        """Take the layers there are; profiles that are not valid are known all the same."""
        self._defaults = defaults
        self._profiles = profiles
        self._bases: dict[tuple[tuple[str, ...], str], Base] = {}

    def resolve(self, entry: Entry) -> Resolved:
        """Return what ``entry``, which is a valid service, amounts to."""
        names = _profile_names(entry)
        layers = self._layers(names)
        usable = [name for name in names if name in self._profiles and self._profiles[name].valid]
        complete = self._defaults is not None and len(usable) == len(names)
        own = merge.normal(entry.spec)
        guest_type = _type_of(own, layers)
        base = self._base(tuple(usable), guest_type, layers)
        inherited = {
            text_of(path): label
            for path, label in base.leaves.items()
            if not merge.is_said(own, path)
        }
        scope = Scope(
            entry=entry,
            inherited=inherited,
            layers={layer.label: layer for layer in layers},
            complete=complete,
        )
        findings = [
            *self._unknown_profiles(scope, names),
            *_misplaced(scope, own, guest_type),
            *_left_out(scope, layers, guest_type),
        ]
        fitting = kinds.fitting(own, guest_type) if guest_type else own
        spec = ServiceSpec.model_validate(merge.overlay(base.spec, fitting))
        return Resolved(scope=scope, spec=spec, findings=tuple(findings))

    def inputs(self, entry: Entry) -> tuple[object, ...]:
        """Return what decides what ``entry`` amounts to, to be compared by identity."""
        profiles = [self._profiles.get(name) for name in _profile_names(entry)]
        return (
            entry.document,
            self._defaults.document if self._defaults is not None else None,
            *(profile.document if profile is not None else None for profile in profiles),
        )

    def _layers(self, names: tuple[str, ...]) -> list[Layer]:
        found = [self._defaults] if self._defaults is not None else []
        for name in names:
            profile = self._profiles.get(name)
            if profile is not None and profile.valid:
                found.append(
                    Layer(
                        label=name,
                        spec=profile.spec,
                        document=profile.document,
                        above=("spec",),
                    )
                )
        return found

    def _base(self, names: tuple[str, ...], guest_type: str, layers: list[Layer]) -> Base:
        key = (names, guest_type)
        if key not in self._bases:
            self._bases[key] = merge.merge_layers(_fitted(layer, guest_type) for layer in layers)
        return self._bases[key]

    def _unknown_profiles(self, scope: Scope, names: tuple[str, ...]) -> list[Finding]:
        return [
            scope.error(
                ("profiles", position),
                "unknown-profile",
                f"there is no Profile {name}",
                _profile_hint(name, self._profiles),
            )
            for position, name in enumerate(names)
            if name not in self._profiles
        ]


def _profile_hint(name: str, profiles: Mapping[str, Entry]) -> str:
    near = vocabulary.alike(name, profiles)
    return f"did you mean {near}?" if near else ""


def _profile_names(entry: Entry) -> tuple[str, ...]:
    names = entry.spec.get("profiles")
    return tuple(str(name) for name in names) if isinstance(names, list) else ()


def _type_of(own: Mapping[str, Yaml], layers: list[Layer]) -> str:
    """Return ``vm`` or ``container``, empty if nobody says."""
    said = [own.get("type"), *(layer.spec.get("type") for layer in reversed(layers))]
    return next((str(value) for value in said if value is not None), "")


def _fitted(layer: Layer, guest_type: str) -> Layer:
    if not guest_type:
        return layer
    return replace(layer, spec=kinds.fitting(layer.spec, guest_type))


def _misplaced(scope: Scope, own: Mapping[str, Yaml], guest_type: str) -> list[Finding]:
    if not guest_type:
        return []
    return [
        scope.error(
            wrong.path,
            "wrong-kind",
            f"a {guest_type} can't have {text_of(wrong.path)}",
            wrong.instead,
        )
        for wrong in kinds.misplaced(own, guest_type)
    ]


def _left_out(scope: Scope, layers: list[Layer], guest_type: str) -> list[Finding]:
    """Return a warning for each profile that says what this kind of guest can't have."""
    found = []
    for layer in layers:
        wrong = kinds.misplaced(layer.spec, guest_type) if guest_type else ()
        if wrong and layer.label != merge.DEFAULTS_LABEL:
            what = ", ".join(text_of(item.path) for item in wrong)
            message = f"profile {layer.label} says {what}, which a {guest_type} can't have"
            hint = "it is left out; name another profile, or split this one"
            found.append(scope.warning(("profiles",), "left-out", message, hint))
    return found
