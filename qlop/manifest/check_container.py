"""Check what is said of a container against itself."""

from collections.abc import Iterator

from qlop.manifest import devices
from qlop.manifest.marks import Path
from qlop.manifest.parts import MountPoint
from qlop.manifest.resolve import Scope
from qlop.manifest.schema import ServiceSpec
from qlop.model.finding import Finding


def check_container(scope: Scope, spec: ServiceSpec) -> Iterator[Finding]:
    """Yield what is wrong with a container, apart from its networks."""
    has_archive = spec.source is not None and spec.source.archive is not None
    if has_archive and scope.complete:
        if spec.rootfs is None:
            message = "a container made from an archive needs a rootfs"
            hint = "add rootfs: {storage: …, size: 8GiB}"
            yield scope.error(("source", "archive"), "missing", message, hint)
        elif spec.rootfs.storage is None or spec.rootfs.size is None:
            message = "the rootfs needs a storage and a size"
            yield scope.error(("rootfs",), "missing", message, "")
    slots: dict[str, int] = {}
    paths: dict[str, int] = {}
    for position, mount in enumerate(spec.mount_points or ()):
        yield from _check_mount_point(scope, mount, position, must_be_made=has_archive)
        slot, inside = devices.mount_slot(mount, position), mount.path.rstrip("/")
        path: Path = ("mountPoints", position)
        if slot in slots:
            message = f"{slot} is taken by mountPoints[{slots[slot]}]"
            yield scope.error(path, "slot-collision", message, "use another slot")
        if inside in paths:
            message = f"{mount.path} is taken by mountPoints[{paths[inside]}]"
            yield scope.error((*path, "path"), "duplicate", message)
        slots.setdefault(slot, position)
        paths.setdefault(inside, position)


def _check_mount_point(
    scope: Scope, mount: MountPoint, position: int, *, must_be_made: bool
) -> Iterator[Finding]:
    path: Path = ("mountPoints", position)
    if mount.host_path is not None:
        if mount.storage is not None or mount.size is not None:
            message = "a mount point is either a hostPath, or a storage and a size"
            yield scope.error(path, "either-or", message, "leave one of them out")
        return
    if must_be_made and (mount.storage is None or mount.size is None):
        message = "a mount point needs a storage and a size, or a hostPath"
        yield scope.error(path, "missing", message)
    if mount.shared is not None:
        message = "shared is for a hostPath; PVE knows of a volume whether it is"
        yield scope.error((*path, "shared"), "no-effect", message, "leave it out")
