"""Check what a caller needs beyond rights on the guest: for bridges and mappings.

After ``check_vnet_access`` (pve-guest-common, ``PVE/GuestHelpers.pm``) and ``check_usb_perm``,
``check_hostpci_perm``, ``check_rng_perm``, ``check_dir_perm`` (qemu-server, ``PVE/API2/Qemu.pm``).
"""

from collections.abc import Mapping

from qlop.sim import drives, tags
from qlop.sim.call import Call
from qlop.sim.wire import ApiError

HOST_RNG = "/dev/hwrng"


def check_bridges(call: Call, *configs: Mapping[str, str]) -> None:
    """Refuse NICs on bridges that the caller may not use; each VLAN counts by itself."""
    if call.who.is_root:
        return
    for config in configs:
        for option in drives.numbered(config, "net"):
            net = drives.parse(config[option], "model")
            bridge = net.get("bridge")
            if bridge is not None:
                _check_bridge(call, bridge, net)


def _check_bridge(call: Call, bridge: str, net: Mapping[str, str]) -> None:
    vnet = call.world.vnets.get(bridge)
    zone = vnet.get("zone", "localnetwork") if vnet is not None else "localnetwork"
    path = f"/sdn/zones/{zone}/{bridge}"
    tags = {net["tag"]} if net.get("tag") else set()
    for trunk in filter(None, net.get("trunks", "").split(";")):
        low, _, high = trunk.partition("-")
        tags |= {str(vlan) for vlan in range(int(low), int(high or low) + 1)}
    for tag in sorted(tags):
        call.demand(f"{path}/{tag}", "SDN.Use")
    if not tags:
        call.demand(path, "SDN.Use")


def check_devices(
    call: Call, config: Mapping[str, str], vmid: int, pool: str = "", *, verb: str = "set"
) -> None:
    """Refuse the host's devices, directories and chance to whom they are not granted.

    A device itself is for root alone; a mapping of one is for who may use that mapping, and
    has ``VM.Config.HWType`` on the guest (``VM.Config.Disk`` for a directory). ``verb`` is
    what the refusal of a serial port says.
    """
    if call.who.is_root:
        return
    for option in sorted(config):
        kind, value = option.rstrip("0123456789"), config[option]
        if kind in {"serial", "parallel"}:
            if value != "socket":
                raise ApiError(f"only root can {verb} '{option}' config for real devices")
            _demand(call, vmid, pool, "VM.Config.HWType")
        elif kind == "usb":
            _demand(call, vmid, pool, "VM.Config.HWType")
            if drives.parse(value, "host").get("host", "").lower() != "spice":
                _check_mapping(call, "usb", option, value)
        elif kind == "hostpci":
            _check_mapping(call, "pci", option, value)
            _demand(call, vmid, pool, "VM.Config.HWType")
        elif kind in {"rng", "virtiofs"}:
            right = "VM.Config.HWType" if kind == "rng" else "VM.Config.Disk"
            _demand(call, vmid, pool, right)
            _check_source(call, kind, value)


def _check_mapping(call: Call, kind: str, option: str, value: str) -> None:
    device = drives.parse(value, "host")
    if device.get("host"):
        what = "non-mapped" if kind == "pci" else "real"
        raise ApiError(f"only root can set '{option}' config for {what} devices")
    if not device.get("mapping"):
        raise ApiError("either 'host' or 'mapping' must be set.")
    call.demand(f"/mapping/{kind}/{device['mapping']}", "Mapping.Use")


def _check_source(call: Call, kind: str, value: str) -> None:
    if kind == "virtiofs":
        folder = drives.parse(value, "dirid").get("dirid")
        call.demand(f"/mapping/dir/{folder}", "Mapping.Use")
    elif drives.parse(value, "source").get("source") == HOST_RNG:
        call.demand("/mapping/hwrng", "Mapping.Use")


def _demand(call: Call, vmid: int, pool: str, privilege: str) -> None:
    """Demand a right on a guest: that on the pool it is made in will do (``check_vm_perm``)."""
    if not (pool and call.may(f"/pool/{pool}", privilege)):
        call.demand(f"/vms/{vmid}", privilege)


def check_new_container(call: Call, config: Mapping[str, str], *, unprivileged: bool) -> None:
    """Refuse bridges that the caller may not use, and root on the host, so to speak."""
    if not unprivileged and not call.who.is_root:
        call.demand("/", "Sys.Modify")
    if "tags" in config:
        tags.check(call, call.vmid, "", config["tags"])
    check_bridges(call, config)
