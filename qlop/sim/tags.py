"""Decide which tags a caller may give to guests and take away, and how PVE stores them.

After ``get_allowed_tags``, ``assert_tag_permissions`` and ``get_unique_tags`` (pve-guest-common,
``PVE/GuestHelpers.pm``): ``registered-tags`` are for those with ``Sys.Modify`` on ``/`` alone,
``user-tag-access`` says what everybody else may use.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from qlop.sim import drives
from qlop.sim.access import denied
from qlop.sim.call import Call
from qlop.sim.engine import World

_HASH = "HASH(0x55d0c8a1b2f8)"
"""What a creation takes for the tag that was there before: it hands an empty Perl hash where a
text is wanted, and its address becomes a tag (``create_vm`` in ``PVE/API2/Qemu.pm``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """The tags a caller may use; ``is_free``: others as well, but for the ``registered``."""

    tags: frozenset[str]
    registered: frozenset[str]
    is_free: bool

    def holds(self, tag: str) -> bool:
        """Return whether the caller may set and remove ``tag``."""
        return (self.is_free or tag in self.tags) and tag not in self.registered


def split(text: str) -> list[str]:
    """Return the tags of an option's text."""
    return [tag for tag in re.split(r"[,;\s]+", text) if tag]


def allowed(call: Call) -> Allowed:
    """Return what the caller may use. Who has ``Sys.Modify`` on ``/`` may use any."""
    options = call.world.options
    is_privileged = call.may("/", "Sys.Modify")
    registered = frozenset(split(options.get("registered-tags", "")))
    access = drives.parse(options.get("user-tag-access", ""), "user-allow")
    who = access.get("user-allow", "free")
    found: set[str] = set()
    if who != "none" or is_privileged:
        found |= set(split(access.get("user-allow-list", "")))
    if who in {"free", "existing"} or is_privileged:
        for guest in call.world.guests.values():
            if is_privileged or call.may(f"/vms/{guest.vmid}", "VM.Audit"):
                found |= set(split(guest.config.get("tags", "")))
    tags = found | registered if is_privileged else found - registered
    return Allowed(tags=frozenset(tags), registered=registered, is_free=who == "free")


def check(call: Call, vmid: int, before: str, after: str) -> None:
    """Refuse to change a guest's tags from ``before`` to ``after`` unless each may change.

    Raises:
        ApiError: 403, which names the first of the tags that the caller may not touch.
    """
    call.demand(f"/vms/{vmid}", "VM.Config.Options")
    if call.may("/", "Sys.Modify"):
        return
    mine = allowed(call)
    old, new = Counter(split(before)), Counter(split(after))
    for tag in _changed(old, new):
        if not mine.holds(tag):
            raise denied(f"/, Sys.Modify for modifying tag '{tag}'")


def _changed(old: Counter[str], new: Counter[str]) -> Iterable[str]:
    return (tag for tag in sorted(old | new) if old[tag] != new[tag])


def check_created(call: Call, vmid: int, given: str) -> None:
    """Refuse a new VM's tags: rights on its pool do not count, for it is not in it yet."""
    check(call, vmid, _HASH, given)


def unique(world: World, text: str) -> str:
    """Return tags as an update stores them: sorted, in lower case, without repetition.

    ``tag-style`` of the datacenter can keep their case and their order.
    """
    style = drives.parse(world.options.get("tag-style", ""), "shape")
    keeps_case = style.get("case-sensitive", "0") in {"1", "on", "yes", "true"}
    found = split(text) if keeps_case else split(text.lower())
    if style.get("ordering") != "config":
        found = sorted(found)
    return ";".join(dict.fromkeys(found))
