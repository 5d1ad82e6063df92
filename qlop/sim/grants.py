"""Check what a caller needs beyond rights on the guest: for bridges, tags and mappings.

After ``check_vnet_access`` and ``assert_tag_permissions`` (pve-guest-common,
``PVE/GuestHelpers.pm``) and ``check_rng_perm`` (qemu-server, ``PVE/API2/Qemu.pm``).
"""

from collections.abc import Mapping

from qlop.sim import drives
from qlop.sim.call import Call

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


def check_tags(call: Call, vmid: int, pool: str = "") -> None:
    """Refuse to change a guest's tags; which tags is anybody's choice (PVE's default)."""
    if pool and call.may(f"/pool/{pool}", "VM.Config.Options"):
        return
    call.demand(f"/vms/{vmid}", "VM.Config.Options")


def check_rng(call: Call, config: Mapping[str, str]) -> None:
    """Refuse the host's own source of chance without a right to that mapping."""
    source = drives.parse(config.get("rng0", ""), "source").get("source", "")
    if source == HOST_RNG and not call.who.is_root:
        call.demand("/mapping/hwrng", "Mapping.Use")


def check_new_container(call: Call, config: Mapping[str, str], *, unprivileged: bool) -> None:
    """Refuse bridges that the caller may not use, and root on the host, so to speak."""
    if not unprivileged and not call.who.is_root:
        call.demand("/", "Sys.Modify")
    check_bridges(call, config)
