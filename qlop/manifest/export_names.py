"""Find names for services: what DNS allows, and nobody else has."""

import re

from qlop.manifest import facts
from qlop.model.guest import GuestKind
from qlop.model.observed import ObservedGuest

LENGTH_MAX = 63
"""Characters of a DNS label."""


def name_for(guest: ObservedGuest, taken: frozenset[str]) -> str:
    """Return what the service of ``guest`` is called: like it, as far as that can be.

    A name that somebody has already gets the VMID behind it.
    """
    kind = "vm" if guest.kind is GuestKind.VM else "ct"
    wanted = _label(guest.name) or f"{kind}-{guest.vmid}"
    if wanted not in taken:
        return wanted
    tail = f"-{guest.vmid}"
    name = f"{wanted[: LENGTH_MAX - len(tail)].rstrip('-')}{tail}"
    while name in taken:
        name = f"{name[: LENGTH_MAX - 2].rstrip('-')}-x"
    return name


def _label(name: str) -> str:
    found = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:LENGTH_MAX].rstrip("-")
    return found if re.fullmatch(facts.LABEL_PATTERN, found) else ""
