"""Know a container's options: types, defaults, network and mount point strings.

Lists as in ``pve-container src/PVE/LXC/Config.pm`` and ``src/PVE/LXC.pm``.
"""

import functools
import re
from collections.abc import Iterable, Mapping

from qlop.sim import drives, qemu_options, schema
from qlop.sim.access import denied
from qlop.sim.call import Call
from qlop.sim.engine import World
from qlop.sim.wire import Row

FAST = {
    "description",
    "onboot",
    "startup",
    "protection",
    "hostname",
    "hookscript",
    "cores",
    "tags",
    "lock",
}
"""Options that a running container takes at once, whatever they are."""

LIVE = {"cpulimit", "cpuunits", "memory", "swap"}
"""Options that a running container's control group takes."""

_NOT_OPTIONS = {"delete", "digest", "revert", "node", "vmid"}


def exists(option: str) -> bool:
    """Return whether a container has an option of this name."""
    found = schema.table().find("PUT", "/nodes/x/lxc/100/config")
    assert found is not None
    return option not in _NOT_OPTIONS and found[0].spec(option) is not None


@functools.cache
def _integers() -> frozenset[str]:
    found = schema.table().find("PUT", "/nodes/x/lxc/100/config")
    assert found is not None
    names = {name for name, spec in found[0].params.items() if spec.type in {"i", "b"}}
    return frozenset(names | {"snaptime"})


def integer_options() -> frozenset[str]:
    """Return the options a read shows as numbers."""
    return _integers()


def shown(config: Mapping[str, str]) -> Row:
    """Return a configuration section as a read shows it."""
    row: Row = {}
    for key, value in config.items():
        if key == "description":
            if text := value.rstrip("\n"):
                row[key] = text + "\n"
        else:
            row[key] = qemu_options.shown_value(key, value, _integers())
    return row


def print_net(world: World, value: str) -> str:
    """Return a network interface as PVE stores it; it gets an address if it has none."""
    net = drives.parse(value, "name")
    net.setdefault("hwaddr", qemu_options.new_mac(world))
    net["hwaddr"] = net["hwaddr"].upper()
    net.setdefault("type", "veth")
    rest = ",".join(f"{key}={net[key]}" for key in sorted(net) if key != "name")
    return f"name={net['name']},{rest}"


def memory_bytes(config: Mapping[str, str]) -> int:
    """Return a container's memory."""
    return int(config.get("memory", "512")) * 1024**2


def swap_bytes(config: Mapping[str, str]) -> int:
    """Return a container's swap."""
    return int(config.get("swap", "0")) * 1024**2


def cpus(config: Mapping[str, str], host_cores: int) -> float:
    """Return how many processors a container may use: its cores, its limit, or all."""
    limit = float(config.get("cpulimit", "0"))
    number = float(config.get("cores", "0")) or limit or host_cores
    return int(number) if number == int(number) else number


def check_permissions(
    call: Call, options: Iterable[str], config: Mapping[str, str], *, unprivileged: bool, pool: str
) -> None:
    """Refuse the call unless the caller may change each of ``options``."""
    if call.who.is_root:
        return
    path = f"/vms/{call.vmid}"
    for option in sorted(options):
        if option == "tags":
            continue  # Each tag counts: ``tags.check``.
        if pool and call.may(f"/pool/{pool}", *_privilege(option)):
            continue
        if option.startswith("dev") and option[3:].isdigit():
            raise denied("configuring device passthrough is only allowed for root@pam")
        if option == "hookscript":
            raise denied("changing the hookscript is only allowed for root@pam")
        if option == "features":
            _check_features(call, config.get("features", ""), unprivileged=unprivileged)
            continue
        if drives.is_mount(option) and option in config:
            volume = drives.parse(config[option]).get("file", "")
            if volume.startswith("/"):
                kind = "device" if volume.startswith("/dev/") else "bind"
                raise denied(f"mount point type {kind} is only allowed for root@pam")
        call.demand(path, *_privilege(option))


def _privilege(option: str) -> tuple[str, ...]:
    if option in {"cores", "cpuunits", "cpulimit"}:
        return ("VM.Config.CPU",)
    if drives.is_mount(option) or option.startswith("unused"):
        return ("VM.Config.Disk",)
    if option in {"memory", "swap"}:
        return ("VM.Config.Memory",)
    if re.fullmatch(r"net\d+", option) or option in {"nameserver", "searchdomain", "hostname"}:
        return ("VM.Config.Network",)
    return ("VM.Config.Options",)


def _check_features(call: Call, value: str, *, unprivileged: bool) -> None:
    if not unprivileged:
        raise denied(
            "changing feature flags for privileged container is only allowed for root@pam"
        )
    if set(drives.parse(value, "nesting")) - {"nesting"}:
        raise denied("changing feature flags (except nesting) is only allowed for root@pam")
    call.demand(f"/vms/{call.vmid}", "VM.Allocate")
