"""Bring guests' processes to life and to their end, whoever asks for it.

The API's calls are in ``qemu_power`` and ``lxc_power``; hosts, the HA manager and hands on
the console use the same functions.
"""

from qlop.sim import drives, hotplug, lxc_pending, volumes, workers
from qlop.sim.engine import World, guest_lock
from qlop.sim.qemu_options import agent_is_on, cpus
from qlop.sim.state import Guest, Kind, Os, Run, Task, Worker
from qlop.sim.wire import TaskError

REBOOT_GAP_S = 3.0
"""After an API reboot stopped a VM, until ``qmeventd`` starts it again."""

_AGENT_WAIT_S = 3.0
"""How long a ping to a silent guest agent takes."""


def check_target(world: World, target: str) -> None:
    """Refuse a migration to a node that can't be reached.

    Raises:
        TaskError: the migration's error.
    """
    if not world.is_reachable(target):
        raise TaskError(f"can't connect to node '{target}' - Connection refused")


def installed(world: World, guest: Guest) -> Os:
    """Return what would boot if the VM were started; a container always has a system."""
    if guest.kind is Kind.LXC:
        return Os.PLAIN
    disk = drives.boot_disk(guest.config)
    if disk is None:
        return Os.NONE
    volid = drives.parse(guest.config[disk]).get("file", "")
    return volumes.has_os(volumes.find(world, volid, guest.node))


def launch(world: World, guest: Guest, *, boot_s: float | None = None) -> Run:
    """Give the guest a process; its system answers after the boot time.

    Raises:
        TaskError: the host can't run it (missing volume or bridge, too many CPUs).
    """
    _check_startable(world, guest)
    os = installed(world, guest)
    timing = world.spec.timing
    wait_s = timing.boot_s if boot_s is None else boot_s
    if guest.kind is Kind.LXC:
        wait_s = 0.5
    guest.run = Run(
        pid=world.new_pid(guest.node),
        started_at=world.now,
        booted_at=world.now + wait_s if os is not Os.NONE else float("inf"),
        devices=dict(guest.config),
        agent_hung=os is not Os.AGENT,
    )
    guest.restarting = False
    guest.cloudinit = {}
    world.changed(guest)
    return guest.run


def _check_startable(world: World, guest: Guest) -> None:
    node = world.nodes[guest.node]
    for key, value in guest.config.items():
        is_disk = drives.is_drive(key) or drives.is_mount(key)
        if is_disk:
            volid = drives.parse(value).get("file", "none")
            if ":" in volid and volumes.find(world, volid, guest.node) is None:
                raise TaskError(f"volume '{volid}' does not exist")
        elif key.startswith("net") and key[3:].isdigit():
            bridge = drives.parse(value, "model").get("bridge")
            if bridge is not None and bridge not in node.bridges:
                if guest.kind is Kind.LXC:
                    raise TaskError(f"startup for container '{guest.vmid}' failed")
                raise TaskError(f"bridge '{bridge}' does not exist")
    if guest.kind is Kind.LXC:
        return
    if not node.has_kvm and guest.config.get("kvm") != "0":
        raise TaskError(
            "KVM virtualisation configured, but not available. Either disable in VM "
            "configuration or enable in BIOS."
        )
    if cpus(guest.config) > node.cores:
        raise TaskError(f"MAX {node.cores} vcpus allowed per VM on this node")


def kill(world: World, guest: Guest) -> None:
    """Let the process be gone at once; nothing is applied, nothing is logged."""
    if guest.run is None:
        return
    guest.run = None
    world.changed(guest)


def stopped(world: World, guest: Guest) -> None:
    """Clean up after a stop through PVE: pending changes are applied."""
    kill(world, guest)
    if guest.vmid not in world.guests:
        return
    if guest.pending or guest.deletes:
        apply_pending(world, guest)


def apply_pending(world: World, guest: Guest) -> None:
    """Apply a stopped guest's pending changes."""
    if guest.kind is Kind.QEMU:
        hotplug.apply_cold(world, guest)
    else:
        lxc_pending.apply_cold(world, guest)
    world.wrote(guest)


def agent_answers(world: World, guest: Guest) -> bool:
    """Return whether the guest agent would answer now."""
    run = guest.run
    if run is None or run.paused or guest.agent_hung or run.agent_hung:
        return False
    return agent_is_on(run.devices) and world.now >= run.booted_at


def start_vm(world: World, task: Task, guest: Guest) -> Worker:
    """Start a VM under its lock file; the caller has checked templates and lock marks.

    Raises:
        TaskError: it runs already, or can't.
    """
    if guest.is_running:
        raise TaskError(f"VM {guest.vmid} already running")
    resumes = guest.lock == "suspended"
    if not resumes and (guest.pending or guest.deletes):
        apply_pending(world, guest)
    _check_startable(world, guest)
    if resumes:
        task.say("Resuming suspended VM")
    if any("cloudinit" in value for value in guest.config.values()):
        task.say("generating cloud-init ISO")
    yield world.spec.timing.start_s
    if world.guests.get(guest.vmid) is not guest:
        raise TaskError(f"Configuration file '{guest.conf_path}' does not exist")
    launch(world, guest, boot_s=0.0 if resumes else None)
    if resumes:
        task.say("Resumed VM, removing state")
        forget_state(world, guest)


def forget_state(world: World, guest: Guest) -> None:
    """Drop the state a hibernation left."""
    volid = guest.config.get("vmstate", "")
    volume = volumes.find(world, volid, guest.node)
    if volume is not None:
        volumes.drop(world, volume)
    for key in ("lock", "vmstate", "runningmachine", "runningcpu", "running-nets-host-mtu"):
        guest.config.pop(key, None)
    world.wrote(guest)


def ask_down(world: World, task: Task, guest: Guest, timeout_s: float, *, force: bool) -> Worker:
    """Ask the guest to power off and wait for it.

    Raises:
        TaskError: it did not within ``timeout_s``, and ``force`` was not asked for.
    """
    run = guest.run
    assert run is not None
    if agent_is_on(guest.config) and not agent_answers(world, guest):
        yield _AGENT_WAIT_S
        task.say(
            f"QEMU Guest Agent is not running - VM {guest.vmid} qga command 'guest-ping' "
            f"failed - got timeout"
        )
    needed_s = world.spec.timing.guest_shutdown_s
    listens = world.now >= run.booted_at and not run.acpi_deaf and not guest.acpi_deaf
    if listens and needed_s <= timeout_s:
        yield needed_s
    else:
        yield timeout_s
        if guest.run is run and not force:
            raise TaskError("VM quit/powerdown failed - got timeout")
        if guest.run is run:
            task.say("VM still running - terminating now with SIGTERM")
            yield world.spec.timing.stop_s
    if guest.run is run:
        stopped(world, guest)


def ask_ct_down(
    world: World, task: Task, guest: Guest, timeout_s: float, *, force: bool
) -> Worker:
    """Ask a container's init to end and wait for it.

    Raises:
        TaskError: it did not within ``timeout_s``, and ``force`` was not asked for.
    """
    run = guest.run
    if run is None:
        return
    needed_s = world.spec.timing.lxc_shutdown_s
    if guest.acpi_deaf or run.acpi_deaf or needed_s > timeout_s:
        yield float(timeout_s)
        if not force:
            task.say(
                f"command 'lxc-stop -n {guest.vmid} --nokill --timeout {timeout_s}' failed: "
                f"exit code 1"
            )
            raise TaskError("container did not stop")
        yield world.spec.timing.stop_s
    else:
        yield needed_s
    if guest.run is run:
        kill(world, guest)


def autostart(world: World, guest: Guest, user: str) -> str:
    """Start a guest in a task of its own (``start=1`` at creation, ``onboot``): its UPID."""
    if guest.kind is Kind.QEMU:
        return workers.fork(
            world,
            node=guest.node,
            kind="qmstart",
            subject=str(guest.vmid),
            user=user,
            work=lambda task: _autostart_vm(world, task, guest),
        )
    return workers.fork(
        world,
        node=guest.node,
        kind="vzstart",
        subject=str(guest.vmid),
        user=user,
        work=lambda task: start_ct(world, task, guest),
    )


def _autostart_vm(world: World, task: Task, guest: Guest) -> Worker:
    yield from world.hold(task, guest_lock(guest.vmid))
    if guest.lock not in {None, "suspended"}:
        raise TaskError(f"VM is locked ({guest.lock})")
    yield from start_vm(world, task, guest)


def start_ct(world: World, task: Task, guest: Guest) -> Worker:
    """Start a container in a worker.

    Raises:
        TaskError: it is a template, locked, or can't start.
    """
    yield from world.hold(task, guest_lock(guest.vmid))
    if guest.is_template:
        raise TaskError("you can't start a CT if it's a template")
    if guest.lock is not None:
        raise TaskError(f"CT is locked ({guest.lock})")
    if guest.is_running:
        raise TaskError(f"CT {guest.vmid} already running")
    if guest.pending or guest.deletes:
        apply_pending(world, guest)
    _check_startable(world, guest)
    yield world.spec.timing.lxc_start_s
    launch(world, guest)


def reboot_later(world: World, guest: Guest) -> None:
    """Start a VM again that an API reboot has stopped."""
    guest.restarting = True

    def again() -> None:
        if guest.restarting and world.guests.get(guest.vmid) is guest and not guest.is_running:
            autostart(world, guest, "root@pam")
        guest.restarting = False

    world.schedule(REBOOT_GAP_S, again)
