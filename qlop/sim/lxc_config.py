"""Read and change a container's configuration."""

from qlop.ports import Json
from qlop.sim import (
    drives,
    grants,
    lxc_options,
    lxc_pending,
    qemu_config,
    replication,
    tags,
    volumes,
)
from qlop.sim.call import Call, Handlers, check_lock, write
from qlop.sim.state import Guest
from qlop.sim.wire import ApiError, Row, bad_parameters

_MODIFIED = "detected modified configuration - file changed by other user? Try again."
_REQUIRED = {"memory", "rootfs", "ostype"}


def read(call: Call) -> Json:
    """Answer ``GET …/config``: pending values merged in unless ``current=1``."""
    guest = call.guest()
    if (name := call.get("snapshot")) is not None:
        if name not in guest.snapshots:
            raise ApiError(f"snapshot '{name}' does not exist")
        row = lxc_options.shown(guest.snapshots[name])
    else:
        config = dict(guest.config)
        if not call.flag("current"):
            config.update(guest.pending)
            for option in guest.deletes:
                config.pop(option, None)
        row = lxc_options.shown(config)
    row["digest"] = guest.digest()
    return row


def pending(call: Call) -> Json:
    """Answer ``GET …/pending``."""
    guest = call.guest()
    current, later = lxc_options.shown(guest.config), lxc_options.shown(guest.pending)
    rows: list[Json] = []
    for key, value in current.items():
        row: Row = {"key": key, "value": value}
        if key in later:
            row["pending"] = later[key]
        if key in guest.deletes:
            row["delete"] = 1
        rows.append(row)
    rows += [{"key": key, "pending": value} for key, value in later.items() if key not in current]
    rows.append({"key": "digest", "value": guest.digest()})
    return rows


def put(call: Call) -> Json:
    """Answer ``PUT …/config``. Unlike a VM's, it leaves no line in the cluster log."""
    world = call.world
    ignored = {"node", "vmid", "digest"}
    given = {key: value for key, value in call.params.items() if key not in ignored}
    if not given:
        raise ApiError("no options specified")
    call.enter()
    guest = call.guest()
    check_lock(guest)
    if (digest := call.get("digest")) and digest != guest.digest():
        raise ApiError(_MODIFIED)
    delete = qemu_config.split_list(given.pop("delete", ""))
    revert = qemu_config.split_list(given.pop("revert", ""))
    _check_names(given, delete, revert)
    is_unprivileged = guest.config.get("unprivileged") == "1"
    for names, config in ((delete, guest.config), (revert, guest.config), (list(given), given)):
        lxc_options.check_permissions(call, names, config, unprivileged=is_unprivileged, pool="")
        if "tags" in names:
            is_set = names is not delete
            new = config.get("tags", "") if is_set else ""
            tags.check(call, call.vmid, guest.config.get("tags", ""), new)
    touched = {key: guest.config[key] for key in (*given, *delete) if key in guest.config}
    grants.check_bridges(call, touched, given)
    replication.check_new_volumes(world, call.vmid, given)
    modified = _to_pending(call, guest, given, delete, revert)
    qemu_config.cleanup(guest)
    errors: dict[str, str] = {}
    if guest.is_running:
        errors = lxc_pending.apply_hot(world, guest, modified)
    else:
        lxc_pending.apply_cold(world, guest)
    write(world, guest)
    if errors:
        raise bad_parameters(errors)
    return None


def _check_names(given: dict[str, str], delete: list[str], revert: list[str]) -> None:
    for option in revert:
        if not lxc_options.exists(option):
            raise bad_parameters({"revert": f"unknown option '{option}'"})
        if option in given:
            raise bad_parameters(
                {"revert": f"you can't use '-{option}' and '-revert {option}' at the same time"}
            )
    for option in delete:
        if not lxc_options.exists(option):
            raise bad_parameters({"delete": f"unknown option '{option}'"})
        if option in given:
            raise bad_parameters(
                {"delete": f"you can't use '-{option}' and -delete {option}' at the same time"}
            )
        if option in revert:
            raise bad_parameters(
                {
                    "delete": f"you can't use '-delete {option}' and '-revert {option}' at the same time"
                }
            )


def _to_pending(
    call: Call, guest: Guest, given: dict[str, str], delete: list[str], revert: list[str]
) -> set[str]:
    is_protected = guest.config.get("protection") == "1"
    for option in revert:
        guest.pending.pop(option, None)
        guest.deletes.pop(option, None)
    modified: set[str] = set()
    for option in delete:
        if option not in guest.config and option not in guest.pending:
            continue
        modified.add(option)
        if option in _REQUIRED:
            raise ApiError(f"unable to delete required option '{option}'")
        if option == "unprivileged":
            raise ApiError(f"unable to delete read-only option: '{option}'")
        if is_protected and option.startswith(("unused", "mp")):
            raise ApiError(
                f"can't remove CT {guest.vmid} drive '{option}' - protection mode enabled"
            )
        guest.pending.pop(option, None)
        guest.deletes[option] = False
    for option, value in sorted(given.items()):
        modified.add(option)
        guest.pending[option] = _checked(call, guest, option, value, is_protected=is_protected)
        guest.deletes.pop(option, None)
    return modified


def _checked(call: Call, guest: Guest, option: str, value: str, *, is_protected: bool) -> str:
    if drives.is_mount(option):
        if is_protected:
            raise ApiError(
                f"can't update CT {guest.vmid} drive '{option}' - protection mode enabled"
            )
        storage = drives.parse(value).get("file", "").partition(":")[0]
        if ":" in value and "rootdir" not in volumes.config_of(call.world, storage).content:
            raise ApiError(
                f"storage '{storage}' does not allow content type 'rootdir' (Container)"
            )
    elif option == "unprivileged":
        raise ApiError(f"unable to modify read-only option: '{option}'")
    elif option == "tags":
        return tags.unique(call.world, value) or " "
    return value


HANDLERS: Handlers = {
    "GET /nodes/{node}/lxc/{vmid}/config": read,
    "PUT /nodes/{node}/lxc/{vmid}/config": put,
    "GET /nodes/{node}/lxc/{vmid}/pending": pending,
}
