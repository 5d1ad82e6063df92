"""Know the words of the schema, and which of them somebody may have meant."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import get_args

from qlop.manifest.marks import Path
from qlop.manifest.part import Part

_CUTOFF = 0.6
"""How alike two words must be (``difflib``): ``core`` and ``cores`` are at 0.89."""

_KNOWN_SHOWN = 12
"""Up to so many known keys are listed where none is alike."""

_PVE_WORDS: Mapping[str, str] = {
    "balloon": "balloon",
    "boot": "bootOrder",
    "cicustom": "cloudInit.userData, vendorData, networkData or metaData",
    "cipassword": "cloudInit.sshKeys (passwords have no place in a manifest)",
    "citype": "cloudInit.type",
    "ciupgrade": "cloudInit.upgrade",
    "ciuser": "cloudInit.user",
    "cpulimit": "cpu.limit",
    "cpuunits": "cpu.units",
    "efidisk0": "efiDisk",
    "features": "container.features",
    "gw": "gateway",
    "gw6": "gateway6",
    "hookscript": "hookScript",
    "hostname": "metadata.name (guests are called like their service)",
    "hwaddr": "mac",
    "ip": "address",
    "ip6": "address6",
    "link_down": "linkDown",
    "macaddr": "mac",
    "mountoptions": "mountOptions",
    "mp": "path",
    "name": "metadata.name (guests are called like their service)",
    "nameserver": "dns.servers",
    "onboot": "onBoot",
    "ostemplate": "source.archive",
    "ostype": "osType",
    "ro": "readOnly",
    "scsihw": "scsiController",
    "searchdomain": "dns.search",
    "sshkeys": "cloudInit.sshKeys",
    "tag": "vlan",
    "template": "source.clone.template",
    "tpmstate0": "tpm",
    "unprivileged": "container.unprivileged",
    "vga": "display",
}
"""What people who know PVE's options write, and what is written here."""

_PVE_NUMBERED: Mapping[str, str] = {
    "net": "networks",
    "scsi": "disks",
    "virtio": "disks",
    "sata": "disks",
    "ide": "disks",
    "mp": "mountPoints",
    "ipconfig": "networks[].address and gateway",
    "serial": "serialPorts",
    "rng": "rng",
}


def alike(word: str, known: Iterable[str]) -> str | None:
    """Return the one of ``known`` that ``word`` was most likely meant to be."""
    by_lower = {name.lower(): name for name in sorted(known, reverse=True)}
    found = get_close_matches(_loose(word), by_lower, n=1, cutoff=_CUTOFF)
    return by_lower[found[0]] if found else None


def hint_for_key(top: type[Part], path: Path) -> str:
    """Return what may have been meant by the unknown key at the end of ``path``."""
    key = str(path[-1])
    model = model_at(top, path[:-1])
    assert model is not None, "keys are refused only where the schema has a mapping"
    known = keys_of(model)
    here = {_loose(name): name for name in known}
    if _loose(key) in here:
        return f"did you mean `{here[_loose(key)]}`?"
    pve = _PVE_WORDS.get(key) or _PVE_NUMBERED.get(key.rstrip("0123456789"))
    elsewhere = _elsewhere(top)
    if pve is not None and _loose(key) not in elsewhere:
        return f"did you mean {pve}?"
    found = get_close_matches(_loose(key), [*here, *elsewhere], n=1, cutoff=_CUTOFF)
    if found:
        return f"did you mean `{here.get(found[0]) or elsewhere[found[0]]}`?"
    return f"known here: {', '.join(known)}" if len(known) <= _KNOWN_SHOWN else ""


def keys_of(model: type[Part]) -> list[str]:
    """Return the keys of a mapping, in the order of the reference."""
    return [str(field.alias) for field in model.model_fields.values()]


def model_at(top: type[Part], path: Path) -> type[Part] | None:
    """Return what describes the mapping at ``path``, None if it is none of the schema's."""
    model: type[Part] | None = top
    for step in path:
        if isinstance(step, int):
            continue
        fields = model.model_fields.values() if model is not None else ()
        model = next((part_in(field.annotation) for field in fields if field.alias == step), None)
    return model


def part_in(annotation: object) -> type[Part] | None:
    """Return the mapping inside ``X``, ``X | None``, ``list[X]`` or ``Annotated[X, …]``."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    found = (part_in(argument) for argument in get_args(annotation))
    return next((part for part in found if part is not None), None)


def _loose(word: str) -> str:
    """Return a word without what people vary: case and underscores."""
    return word.lower().replace("_", "")


def _elsewhere(top: type[Part]) -> dict[str, str]:
    """Return the keys that occur in one place below ``spec`` only, with that place."""
    found: dict[str, list[str]] = {}
    spec = model_at(top, ("spec",))
    for place in _places(spec, "") if spec is not None else ():
        found.setdefault(_loose(place.rpartition(".")[2]), []).append(place)
    return {key: places[0] for key, places in found.items() if len(places) == 1}


def _places(model: type[Part], above: str) -> Iterator[str]:
    for field in model.model_fields.values():
        place = f"{above}{field.alias}"
        yield place
        inner = part_in(field.annotation)
        if inner is not None:
            is_list = "list[" in str(field.annotation)
            yield from _places(inner, f"{place}[]." if is_list else f"{place}.")
