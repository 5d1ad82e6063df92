"""Print the two files under ``/etc/pve`` that show every configuration change.

Texts as ``pmxcfs`` makes them (``pve-cluster src/pmxcfs/status.c``).
"""

from qlop.sim.engine import World


def vmlist_text(world: World) -> str:
    """Return ``/etc/pve/.vmlist``: each guest's node, type and file version."""
    rows = [
        f'"{guest.vmid}": {{ "node": "{guest.node}", "type": "{guest.kind.value}", '
        f'"version": {guest.version} }}'
        for guest in world.guests.values()
    ]
    if not rows:
        return f'{{\n"version": {world.vmlist_version}\n\n}}\n'
    body = ",\n".join(rows)
    return f'{{\n"version": {world.vmlist_version},\n"ids": {{\n{body}}}\n\n}}\n'


def version_text(world: World) -> str:
    """Return ``/etc/pve/.version``: one counter for the list, one for each other file."""
    files = "".join(
        f',\n"{name}": {version}' for name, version in sorted(world.file_versions.items())
    )
    return (
        f'{{\n"starttime": {int(world.started_at)},\n"clinfo": {len(world.nodes) + 2},\n'
        f'"vmlist": {world.vmlist_version}{files}\n}}\n'
    )
