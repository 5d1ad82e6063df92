"""Put the noun modules' handlers together."""

from qlop.sim import (
    access_api,
    agent,
    bulk_api,
    cluster_api,
    console,
    datacenter_api,
    disks,
    firewall_api,
    ha_api,
    ha_rule_api,
    ha_status_api,
    lxc_clone,
    lxc_config,
    lxc_create,
    lxc_power,
    mapping_api,
    node_api,
    node_guests_api,
    pool_api,
    qemu_clone,
    qemu_config,
    qemu_create,
    qemu_migrate,
    qemu_power,
    replication_api,
    resources,
    sdn_api,
    snapshots,
    status,
    storage_api,
    task_api,
    token_api,
    upload_api,
    vzdump,
)
from qlop.sim.call import Handler

_MODULES = (
    access_api,
    agent,
    bulk_api,
    cluster_api,
    console,
    datacenter_api,
    disks,
    firewall_api,
    ha_api,
    ha_rule_api,
    ha_status_api,
    lxc_config,
    lxc_clone,
    lxc_create,
    lxc_power,
    mapping_api,
    node_api,
    node_guests_api,
    pool_api,
    qemu_clone,
    qemu_config,
    qemu_create,
    qemu_migrate,
    qemu_power,
    replication_api,
    resources,
    vzdump,
    snapshots,
    sdn_api,
    status,
    storage_api,
    task_api,
    token_api,
    upload_api,
)

_NAMED = {"/cluster", "/nodes/{node}", "/cluster/config", "/cluster/mapping", "/cluster/jobs"}
"""Directories that list their children under ``name``; the others use ``subdir``."""


def handlers() -> dict[str, Handler]:
    """Return every handler by its method and path template."""
    found: dict[str, Handler] = {}
    for module in _MODULES:
        doubled = found.keys() & module.HANDLERS.keys()
        assert not doubled, doubled
        found.update(module.HANDLERS)
    return found


def index_key(template: str) -> str:
    """Return the key under which a directory lists its children."""
    return "name" if template in _NAMED else "subdir"
