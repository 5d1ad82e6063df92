"""Manage resource pools."""

from qlop.ports import Json
from qlop.sim import resources
from qlop.sim.call import Call, Handlers
from qlop.sim.engine import Pool
from qlop.sim.qemu_config import split_list
from qlop.sim.wire import ApiError, Row


def _pool(call: Call, prefix: str = "") -> Pool:
    name = call.params["poolid"]
    pool = call.world.pools.get(name)
    if pool is None:
        raise ApiError(f"{prefix}pool '{name}' does not exist")
    return pool


def listing(call: Call) -> Json:
    """Answer ``GET /pools``."""
    if "poolid" in call.params:
        call.demand(f"/pool/{call.params['poolid']}", "Pool.Audit")
        return [{"poolid": call.params["poolid"], **_contents(call, _pool(call))}]
    rows: list[Json] = []
    for pool in call.world.pools.values():
        if call.may(f"/pool/{pool.poolid}", "Pool.Audit"):
            row: Row = {"poolid": pool.poolid}
            if pool.comment:
                row["comment"] = pool.comment
            rows.append(row)
    return rows


def read(call: Call) -> Json:
    """Answer ``GET /pools/{poolid}``."""
    return _contents(call, _pool(call))


def _contents(call: Call, pool: Pool) -> Row:
    world = call.world
    members: list[Json] = [
        resources.pool_member(world, world.guests[vmid])
        for vmid in sorted(pool.guests)
        if vmid in world.guests
    ]
    for name in sorted(pool.storages):
        members += [
            {"id": f"storage/{node}/{name}", "type": "storage", "storage": name, "node": node}
            for node in world.nodes
        ]
    row: Row = {"members": members}
    if pool.comment:
        row["comment"] = pool.comment
    return row


def create(call: Call) -> Json:
    """Answer ``POST /pools``."""
    name = call.params["poolid"]
    call.world.need_quorum_prefixed("create pool failed: ", "file-user_cfg")
    if name in call.world.pools:
        raise ApiError(f"create pool failed: pool '{name}' already exists")
    parent, _, leaf = name.rpartition("/")
    if parent and parent not in call.world.pools:
        raise ApiError(f"create pool failed: parent '{parent}' of pool '{name}' does not exist")
    if not leaf[0].isalpha():
        raise ApiError("create pool failed: pool name must start with a letter")
    call.world.pools[name] = Pool(poolid=name, comment=call.text("comment"))
    call.world.wrote_file("user.cfg")
    return None


def update(call: Call) -> Json:
    """Answer ``PUT /pools`` and ``PUT /pools/{poolid}``."""
    world, prefix = call.world, "update pools failed: "
    pool = _pool(call, prefix)
    world.need_quorum_prefixed(prefix, "file-user_cfg")
    if "comment" in call.params:
        pool.comment = call.params["comment"]
    vmids = [int(item) for item in split_list(call.text("vms"))]
    for vmid in vmids:
        if not call.may(f"/pool/{pool.poolid}", "Pool.Allocate"):
            call.demand(f"/vms/{vmid}", "Permissions.Modify")
    if call.flag("delete"):
        for vmid in vmids:
            if vmid not in pool.guests:
                raise ApiError(f"{prefix}VM {vmid} is not a pool member")
            pool.guests.discard(vmid)
            world.access.vm_pool.pop(vmid, None)
    else:
        for vmid in vmids:
            _add(call, pool, vmid, prefix)
    _change_storages(call, pool, prefix)
    world.access.changed()
    world.wrote_file("user.cfg")
    return None


def _change_storages(call: Call, pool: Pool, prefix: str) -> None:
    is_removal = call.flag("delete")
    for name in split_list(call.text("storage")):
        if is_removal is not (name in pool.storages):
            text = "is not a pool member" if is_removal else "is already a pool member"
            raise ApiError(f"{prefix}Storage '{name}' {text}")
        pool.storages ^= {name}


def _add(call: Call, pool: Pool, vmid: int, prefix: str) -> None:
    world = call.world
    if vmid in pool.guests:
        raise ApiError(f"{prefix}VM {vmid} is already a pool member")
    other = world.access.vm_pool.get(vmid)
    if other is not None:
        if not call.flag("allow-move"):
            raise ApiError(
                f"{prefix}VM {vmid} belongs already to pool '{other}' and 'allow-move' is not set"
            )
        world.pools[other].guests.discard(vmid)
    pool.guests.add(vmid)
    world.access.vm_pool[vmid] = pool.poolid


def delete(call: Call) -> Json:
    """Answer ``DELETE /pools`` and ``DELETE /pools/{poolid}``."""
    world, prefix = call.world, "delete pool failed: "
    pool = _pool(call, prefix)
    world.need_quorum_prefixed(prefix, "file-user_cfg")
    below = sorted(name for name in world.pools if name.startswith(f"{pool.poolid}/"))
    if below:
        raise ApiError(f"{prefix}pool '{pool.poolid}' is not empty (contains pool '{below[0]}')")
    if pool.guests:
        vmid = min(pool.guests)
        raise ApiError(f"{prefix}pool '{pool.poolid}' is not empty (contains VM {vmid})")
    if pool.storages:
        name = min(pool.storages)
        raise ApiError(f"{prefix}pool '{pool.poolid}' is not empty (contains storage '{name}')")
    del world.pools[pool.poolid]
    world.wrote_file("user.cfg")
    return None


HANDLERS: Handlers = {
    "GET /pools": listing,
    "POST /pools": create,
    "PUT /pools": update,
    "DELETE /pools": delete,
    "GET /pools/{poolid}": read,
    "PUT /pools/{poolid}": update,
    "DELETE /pools/{poolid}": delete,
}
