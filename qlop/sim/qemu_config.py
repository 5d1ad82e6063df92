"""Read and change a VM's configuration: now, or pending until its next start.

After ``update_vm_api`` of ``qemu-server src/PVE/API2/Qemu.pm``: every change goes to the
pending section first and is then applied, hot to a running VM, cold to a stopped one.
"""

import re
from collections.abc import Mapping

from qlop.ports import Json
from qlop.sim import (
    drives,
    grants,
    hotplug,
    qemu_disks,
    qemu_options,
    replication,
    ssh_keys,
    tags,
    volume_access,
    volumes,
)
from qlop.sim.call import Call, Handlers, check_lock, write
from qlop.sim.engine import guest_lock
from qlop.sim.state import Guest, Task, Worker
from qlop.sim.wire import ApiError, Row, bad_parameters

_NOT_CONFIG = {
    "node",
    "vmid",
    "digest",
    "background_delay",
    "skip_cloud_init",
    "import-working-storage",
    "skiplock",
    "delete",
    "revert",
    "force",
}


def read(call: Call) -> Json:
    """Answer ``GET …/config``: pending values merged in unless ``current=1``."""
    if call.get("snapshot") is not None and call.flag("current"):
        text = "cannot use 'snapshot' parameter with 'current'"
        raise bad_parameters({"snapshot": text, "current": text})
    guest = call.guest()
    integers = qemu_options.integer_options()
    if (name := call.get("snapshot")) is not None:
        if name not in guest.snapshots:
            raise ApiError(f"snapshot '{name}' does not exist")
        row = qemu_options.shown(guest.snapshots[name], integers)
    else:
        config = dict(guest.config)
        if not call.flag("current"):
            config.update(guest.pending)
            for option in guest.deletes:
                config.pop(option, None)
        row = qemu_options.shown(config, integers)
    row["digest"] = guest.digest()
    return row


def pending(call: Call) -> Json:
    """Answer ``GET …/pending``."""
    guest = call.guest()
    return pending_rows(guest, qemu_options.integer_options())


def pending_rows(guest: Guest, integers: frozenset[str]) -> list[Json]:
    """Return each option with its current and its pending value."""
    shown = qemu_options.shown
    current, later = shown(guest.config, integers), shown(guest.pending, integers)
    rows: list[Json] = []
    for key, value in current.items():
        row: Row = {"key": key, "value": value}
        if key in later:
            row["pending"] = later[key]
        if key in guest.deletes:
            row["delete"] = 2 if guest.deletes[key] else 1
        rows.append(row)
    rows += [{"key": key, "pending": value} for key, value in later.items() if key not in current]
    rows.append({"key": "digest", "value": guest.digest()})
    return rows


def put(call: Call) -> Json:
    """Answer ``PUT …/config``: the change is done when the answer comes."""
    change = _prepared(call)
    call.enter()
    call.delay_s += _apply(call, change)
    return None


def post(call: Call) -> Json:
    """Answer ``POST …/config``: a worker makes the change."""
    change = _prepared(call)
    return call.fork("qmconfig", call.vmid, lambda task: _work(call, task, change))


def _work(call: Call, task: Task, change: "_Change") -> Worker:
    yield from call.world.hold(task, guest_lock(call.vmid))
    _check_config(call, change)
    task.say(change.line)
    yield call.world.spec.timing.config_s
    created = qemu_disks.Created()
    seconds = _apply(call, change, created)
    for line in created.lines:
        task.say(line)
    yield seconds


class _Change:
    """A checked change: what to set, what to remove, what to revert."""

    __slots__ = ("delete", "force", "line", "params", "revert")

    def __init__(self, call: Call) -> None:
        call.refuse_skiplock()
        given = {key: value for key, value in call.params.items() if key not in {"node", "vmid"}}
        shown = {
            key: "<hidden>" if key == "cipassword" else given[key]
            for key in sorted(given)
            if key not in {"digest", "background_delay", "skip_cloud_init"}
        }
        words = " ".join(f"-{key} {value}" for key, value in shown.items())
        self.line = f"update VM {call.vmid}: {words}"
        self.params = {key: value for key, value in given.items() if key not in _NOT_CONFIG}
        self.force = call.flag("force")
        if "sshkeys" in self.params:
            ssh_keys.check(self.params["sshkeys"])
        if not self.params and not call.text("delete") and not call.text("revert"):
            raise ApiError("no options specified")
        if (alias := self.params.pop("cdrom", None)) is not None:
            self.params["ide2"] = f"{alias},media=cdrom"
        self.revert = self._revert(call)
        self.delete = self._delete(call)

    def _revert(self, call: Call) -> list[str]:
        names = split_list(call.text("revert"))
        for option in names:
            if not qemu_options.exists(option):
                raise bad_parameters({"revert": f"unknown option '{option}'"})
            if option in self.params:
                raise bad_parameters(
                    {"delete": f"you can't use '-{option}' and -revert {option}' at the same time"}
                )
        return names

    def _delete(self, call: Call) -> list[str]:
        names = ["ide2" if name == "cdrom" else name for name in split_list(call.text("delete"))]
        for option in names:
            if option in self.params:
                raise bad_parameters(
                    {"delete": f"you can't use '-{option}' and -delete {option}' at the same time"}
                )
            if option in self.revert:
                raise bad_parameters(
                    {
                        "revert": f"you can't use '-delete {option}' and -revert {option}' at the same time"
                    }
                )
            if not qemu_options.exists(option):
                raise bad_parameters({"delete": f"unknown option '{option}'"})
        return names


def split_list(value: str) -> list[str]:
    """Return the items of a PVE list: comma, semicolon, space or NUL apart."""
    return [item for item in re.split(r"[,;\s\0]+", value) if item]


def _prepared(call: Call) -> _Change:
    world = call.world
    change = _Change(call)
    qemu_disks.check_drives(call, change.params)
    for option, value in change.params.items():
        if re.fullmatch(r"net\d+", option):
            change.params[option] = qemu_options.print_net(world, value)
        elif option == "vmgenid" and value == "1":
            change.params[option] = qemu_options.new_uuid(world)
        elif option == "hookscript":
            _check_hookscript(call, value)
    qemu_options.check_permissions(call, call.vmid, change.delete)
    qemu_options.check_permissions(call, call.vmid, change.params)
    qemu_disks.check_storage_access(call, change.params, call.vmid)
    replication.check_new_volumes(call.world, call.vmid, change.params)
    _check_config(call, change)
    old = call.guest().config
    for names, verb in ((change.delete, "delete"), (change.params, "modify")):
        touched = {key: old[key] for key in names if key in old}
        grants.check_devices(call, touched, call.vmid, verb=verb)
    grants.check_devices(call, change.params, call.vmid, verb="modify")
    if "tags" in change.params or "tags" in change.delete:
        tags.check(call, call.vmid, old.get("tags", ""), change.params.get("tags", ""))
    touched = {key: old[key] for key in (*change.params, *change.delete) if key in old}
    grants.check_bridges(call, touched, change.params)
    return change


def _check_hookscript(call: Call, volid: str) -> None:
    """Refuse what is no script in a storage's snippets (``check_hookscript``)."""
    parts = volume_access.split(volid)
    if parts is None:
        raise bad_parameters({"hookscript": f"unable to parse volume ID '{volid}'\n"})
    told = volume_access.named(volumes.config_of(call.world, parts[0]), parts[1])
    if told.content != "snippets":
        raise bad_parameters({"hookscript": f"'{volid}' is not in the snippets directory\n"})
    if volumes.find(call.world, volid, call.node) is None:
        raise bad_parameters({"hookscript": f"script '{volid}' does not exist\n"})


def _check_config(call: Call, change: _Change) -> Guest:
    guest = call.guest()
    if (digest := call.get("digest")) and digest != guest.digest():
        raise ApiError("checksum mismatch (file change by other user?)")
    check_lock(guest, *(("suspended",) if "vmstate" in change.delete else ()))
    _check_balloon(guest, change.params)
    return guest


def _check_balloon(guest: Guest, params: Mapping[str, str]) -> None:
    if "memory" not in params and "balloon" not in params:
        return
    merged = {**guest.config, **guest.pending, **params}
    if int(merged.get("balloon", "0")) > qemu_options.memory_mib(merged):
        raise ApiError("balloon value too large (must be smaller than assigned memory)")


def _apply(call: Call, change: _Change, created: qemu_disks.Created | None = None) -> float:
    """Make the change; return the seconds it takes."""
    world = call.world
    guest = _check_config(call, change)
    created = created or qemu_disks.Created()
    world.note(call.node, call.who.full, change.line)
    delete = list(change.delete)
    params = dict(change.params)
    for option in change.revert:
        if option in guest.config:
            params[option] = guest.config[option]
        elif option in guest.pending:
            delete.append(option)
    modified = _to_pending(call, guest, change, delete=delete, params=params, created=created)
    cleanup(guest)
    write(world, guest)
    if not guest.pending and not guest.deletes:
        return created.seconds
    if guest.is_running:
        errors, seconds = hotplug.apply_hot(world, guest, modified)
    else:
        errors, seconds = hotplug.apply_cold(world, guest), 0.0
    write(world, guest)
    if errors:
        error = bad_parameters(errors)
        error.delay_s = seconds
        raise error
    return created.seconds + seconds


def _to_pending(
    call: Call,
    guest: Guest,
    change: _Change,
    *,
    delete: list[str],
    params: dict[str, str],
    created: qemu_disks.Created,
) -> set[str]:
    modified: set[str] = set()
    order = drives.parse(guest.config.get("boot", ""), "legacy").get("order", "")
    bootorder = [name for name in order.split(";") if name]
    for option in delete:
        if option not in guest.config and option not in guest.pending:
            continue
        modified.add(option)
        if option in bootorder:
            bootorder.remove(option)
            guest.pending["boot"] = f"order={';'.join(bootorder)}" if bootorder else " "
            modified.add("boot")
        _delete_one(call, guest, option, force=change.force)
    for option in sorted(params):
        value = params[option]
        modified.add(option)
        if guest.pending.get(option) == value:
            continue
        _set_one(call, guest, option, value, created)
        is_rom = drives.is_drive(option) and drives.is_cdrom(guest.pending[option])
        if is_rom and bootorder and option not in bootorder:
            bootorder.append(option)
            guest.pending["boot"] = f"order={';'.join(bootorder)}"
            modified.add("boot")
        guest.deletes.pop(option, None)
    _check_boot_order(guest, params, delete)
    return modified


def _delete_one(call: Call, guest: Guest, option: str, *, force: bool) -> None:
    world = call.world
    value = guest.config.get(option, guest.pending.get(option, ""))
    was_pending = guest.pending.pop(option, None)
    is_protected = guest.config.get("protection") == "1"
    if option.startswith("unused"):
        volid = drives.parse(value).get("file", "")
        if is_protected:
            raise ApiError(f"can't remove unused disk '{volid}' - protection mode enabled")
        qemu_disks.free_unused(world, guest, option)
    elif drives.is_drive(option):
        if is_protected:
            raise ApiError(f"can't remove drive '{option}' - protection mode enabled")
        qemu_options.check_drive_permission(call, guest.vmid, value)
        if was_pending is not None:
            qemu_disks.register_unused(world, guest, was_pending)
        guest.deletes[option] = force
    elif option == "tags":
        guest.config.pop(option, None)
    elif option == "vmstate":
        for key in ("vmstate", "lock", "runningmachine", "runningcpu"):
            guest.config.pop(key, None)
    else:
        guest.deletes[option] = force


def _set_one(
    call: Call, guest: Guest, option: str, value: str, created: qemu_disks.Created
) -> None:
    if drives.is_drive(option):
        qemu_options.check_drive_permission(call, guest.vmid, guest.config.get(option, value))
        qemu_options.check_drive_permission(call, guest.vmid, value)
        if option in guest.pending:
            qemu_disks.register_unused(call.world, guest, guest.pending[option])
        qemu_disks.create(call.world, guest.node, guest.vmid, {option: value}, created)
        guest.pending[option] = created.values[option]
    elif option == "tags":
        guest.pending[option] = tags.unique(call.world, value) or " "
    elif option == "cipassword":
        guest.config[option] = value
    else:
        guest.pending[option] = value


def _check_boot_order(guest: Guest, params: Mapping[str, str], delete: list[str]) -> None:
    if "boot" not in params:
        return
    order = drives.parse(params["boot"], "legacy").get("order", "")
    for device in split_list(order):
        there = device in guest.config or device in guest.pending or device in params
        if not there or device in delete:
            guest.pending.pop("boot", None)
            raise ApiError(f"invalid bootorder: device '{device}' does not exist'")


def cleanup(guest: Guest) -> None:
    """Drop pending changes that change nothing (``cleanup_pending``)."""
    for option in [
        name for name, value in guest.pending.items() if guest.config.get(name) == value
    ]:
        del guest.pending[option]
    for option in [name for name in guest.deletes if name not in guest.config]:
        del guest.deletes[option]


def unlink(call: Call) -> Json:
    """Answer ``PUT …/unlink``: the same as deleting the drives from the configuration."""
    call.params = {
        "node": call.params["node"],
        "vmid": call.params["vmid"],
        "delete": call.params["idlist"],
        **({"force": call.params["force"]} if "force" in call.params else {}),
    }
    return put(call)


HANDLERS: Handlers = {
    "GET /nodes/{node}/qemu/{vmid}/config": read,
    "PUT /nodes/{node}/qemu/{vmid}/config": put,
    "POST /nodes/{node}/qemu/{vmid}/config": post,
    "GET /nodes/{node}/qemu/{vmid}/pending": pending,
    "PUT /nodes/{node}/qemu/{vmid}/unlink": unlink,
}
