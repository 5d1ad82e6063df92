"""List rules of the simulator, how each is broken, and what notices."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A rule of PVE in ``qlop.sim.MODULE``: its text ``rule`` is replaced by ``instead``.

    ``catcher`` is what notices: a story of the recordings by its name (see
    ``tests.contract.recordings``), ``https: NAME`` if its bytes must be seen, or
    ``story: NAME`` of ``tests/scenarios``.
    """

    name: str
    module: str
    rule: str
    instead: str
    catcher: str = "stopped guests"


MUTANTS = (
    Mutant(
        name="an error ends the connection",
        module="http",
        rule="keeps = answer.status < 400 and",
        instead="keeps =",
        catcher="https: http",
    ),
    Mutant(
        name="pvedaemon says that it closes, and the proxy that it keeps",
        module="cluster",
        rule='return ("close",) if call.route.protected else ()',
        instead="return ()",
        catcher="https: http",
    ),
    Mutant(
        name="another node's proxy keeps connections for reads only",
        module="cluster",
        rule='    if call.route.method != "GET":\n        return ("close",)\n',
        instead="",
        catcher="https: two nodes",
    ),
    Mutant(
        name="what is no API answers in plain words",
        module="proxy",
        rule="return self._plain(500, f\"no such file '{path}'\\n\")",
        instead="return self._plain(404, f\"no such file '{path}'\\n\")",
        catcher="https: http",
    ),
    Mutant(
        name="a 401 is told after three seconds, with no body",
        module="access",
        rule="status=401, delay_s=AUTH_DELAY_S, empty=True",
        instead="status=401, delay_s=AUTH_DELAY_S",
        catcher="https: http",
    ),
    Mutant(
        name="whoever comes with a cookie changes nothing without its CSRF token",
        module="access",
        rule="if is_mutation and self.csrf.get(ticket) != csrf:",
        instead="if False:",
        catcher="http",
    ),
    Mutant(
        name="a token has no more than its own rights",
        module="access",
        rule='return own & self._granted(path, {("token", who.full)}, set())',
        instead="return own",
        catcher="access",
    ),
    Mutant(
        name="permission is looked at before parameters",
        module="cluster",
        rule="            guard.check(world, route, who, {**raw, **at})",
        instead="            params.checked(route, raw, at), guard.check(world, route, who, {**raw, **at})",
        catcher="access",
    ),
    Mutant(
        name="a body may not contradict the path",
        module="cluster",
        rule="if name in raw and str(raw[name]) != value:",
        instead="if False:",
        catcher="http",
    ),
    Mutant(
        name="booleans are 0 and 1",
        module="params",
        rule='case "b" if value not in {"0", "1"}:',
        instead='case "b" if value not in {"0", "1", "on", "yes", "true", "True"}:',
    ),
    Mutant(
        name="numbers have limits",
        module="params",
        rule="if spec.minimum is not None and number < spec.minimum:",
        instead="if False:",
    ),
    Mutant(
        name="unknown parameters are refused",
        module="params",
        rule="        elif not route.open:\n            errors[name] = _UNKNOWN",
        instead="",
    ),
    Mutant(
        name="an unescaped equals sign cuts a value",
        module="forms",
        rule='pieces = part.split("=")',
        instead='pieces = part.split("=", 1)',
    ),
    Mutant(
        name="a semicolon separates parameters",
        module="forms",
        rule='for part in re.split("[&;]", text):',
        instead='for part in re.split("[&]", text):',
    ),
    Mutant(
        name="another node that is down is a 595",
        module="cluster",
        rule="if node != contacted and not world.is_reachable(node):",
        instead="if False:",
        catcher="two nodes",
    ),
    Mutant(
        name="without pvedaemon whatever it does is a 595",
        module="cluster",
        rule="if route.protected and not world.nodes[node].daemon_up:",
        instead="if False:",
        catcher="daemon down",
    ),
    Mutant(
        name="a VMID is given once",
        module="qemu_create",
        rule="    refuse_taken(call, vmid)\n    for key",
        instead="    for key",
    ),
    Mutant(
        name="creation adds an order of boot devices",
        module="qemu_create",
        rule='if "boot" not in done:',
        instead="if False:",
    ),
    Mutant(
        name="a protected guest is not destroyed",
        module="qemu_create",
        rule='if guest.config.get("protection") == "1":',
        instead="if False:",
    ),
    Mutant(
        name="a running guest is not destroyed",
        module="qemu_create",
        rule='    if guest.is_running:\n        raise ApiError(f"VM {call.vmid} is running',
        instead='    if False:\n        raise ApiError(f"VM {call.vmid} is running',
        catcher="running vm",
    ),
    Mutant(
        name="a template with linked clones is not destroyed",
        module="qemu_create",
        rule="    refuse_used_base(call, guest)\n    if call.flag",
        instead="    if call.flag",
    ),
    Mutant(
        name="destroying takes the disks along",
        module="qemu_create",
        rule="            volumes.drop(world, volume)\n    forget_guest",
        instead="            pass\n    forget_guest",
    ),
    Mutant(
        name="a template is made of a stopped guest without snapshots",
        module="qemu_create",
        rule="if guest.snapshots:",
        instead="if False:",
    ),
    Mutant(
        name="a stale digest is refused",
        module="qemu_config",
        rule='if (digest := call.get("digest")) and digest != guest.digest():',
        instead="if False:",
    ),
    Mutant(
        name="a lock mark keeps changes away",
        module="call",
        rule="if guest.lock is not None and guest.lock not in allowed:",
        instead="if False:",
    ),
    Mutant(
        name="a read shows pending values",
        module="qemu_config",
        rule="config.update(guest.pending)",
        instead="pass",
        catcher="running vm",
    ),
    Mutant(
        name="what a running VM can't take stays pending",
        module="hotplug",
        rule='_need(option in {"cpuunits", "cpulimit"})',
        instead="pass",
        catcher="running vm",
    ),
    Mutant(
        name="a detached disk is kept as unused",
        module="qemu_disks",
        rule="    add_unused(world, guest, file)\n",
        instead="",
    ),
    Mutant(
        name="a card's model carries its address",
        module="qemu_options",
        rule='[f"{model}={mac}", *',
        instead='[f"{model},macaddr={mac}", *',
    ),
    Mutant(
        name="tags are sorted and lowered by an update",
        module="tags",
        rule="split(text.lower())",
        instead="split(text)",
    ),
    Mutant(
        name="a password is not shown",
        module="qemu_options",
        rule="row[key] = HIDDEN",
        instead="row[key] = value",
    ),
    Mutant(
        name="raw options are for root itself",
        module="qemu_options",
        rule="raise ApiError(f\"only root can set '{option}' config\")",
        instead="continue",
    ),
    Mutant(
        name="unsetting what is unknown is refused",
        module="qemu_config",
        rule='if not qemu_options.exists(option):\n                raise bad_parameters({"delete"',
        instead='if False:\n                raise bad_parameters({"delete"',
    ),
    Mutant(
        name="a guest that runs does not start again",
        module="power",
        rule='    if guest.is_running:\n        raise TaskError(f"VM {guest.vmid} already running")',
        instead="",
        catcher="running vm",
    ),
    Mutant(
        name="a template does not start",
        module="qemu_power",
        rule="    if guest.is_template:\n        raise TaskError(\"you can't start a vm",
        instead="    if False:\n        raise TaskError(\"you can't start a vm",
    ),
    Mutant(
        name="reboot, reset and suspend need a running VM",
        module="qemu_power",
        rule='    if not guest.is_running:\n        raise ApiError(f"VM {call.vmid} not running")\n    return guest',
        instead="    return guest",
        catcher="running vm",
    ),
    Mutant(
        name="stopping a stopped container is refused",
        module="lxc_power",
        rule="    if not _is_running(call):\n        raise ApiError",
        instead="    if False:\n        raise ApiError",
        catcher="containers",
    ),
    Mutant(
        name="a guest that is deaf to a shutdown outlives it",
        module="power",
        rule="        if guest.run is run and not force:",
        instead="        if False:",
        catcher="running vm",
    ),
    Mutant(
        name="an API reboot applies what is pending, and starts the VM again",
        module="qemu_power",
        rule="    power.reboot_later(world, guest)",
        instead="    pass",
        catcher="guest os",
    ),
    Mutant(
        name="a paused VM can't be rebooted",
        module="qemu_power",
        rule='    if guest.run.paused:\n        raise ApiError("VM is paused - cannot shutdown")\n    return',
        instead="    return",
        catcher="guest os",
    ),
    Mutant(
        name="a silent agent costs three seconds",
        module="power",
        rule="if run is None or run.paused or guest.agent_hung or run.agent_hung:",
        instead="if run is None:",
        catcher="guest os",
    ),
    Mutant(
        name="a snapshot's name is given once",
        module="snapshots",
        rule='    if name in guest.snapshots:\n        raise TaskError(f"snapshot name',
        instead='    if False:\n        raise TaskError(f"snapshot name',
    ),
    Mutant(
        name="raw images in a directory have no snapshots",
        module="volumes",
        rule='return volume.format == "qcow2"',
        instead="return True",
    ),
    Mutant(
        name="the list of snapshots ends with current",
        module="snapshots",
        rule="    rows.append(current)\n",
        instead="",
    ),
    Mutant(
        name="a rollback stops the guest",
        module="snapshots",
        rule="        power.kill(world, guest)\n",
        instead="        pass\n",
        catcher="containers",
    ),
    Mutant(
        name="a linked clone is made of a template only",
        module="qemu_clone",
        rule="else not guest.is_template",
        instead="else False",
    ),
    Mutant(
        name="a clone has new addresses and a new UUID",
        module="qemu_clone",
        rule='config["name"] = call.get("name") or f"Copy-of-VM-{source_name}"',
        instead='config["name"] = call.get("name") or f"{source_name}"',
    ),
    Mutant(
        name="a clone that fails leaves nothing behind",
        module="qemu_clone",
        rule="        world.guests.pop(newid, None)\n",
        instead="",
        catcher="story: clone-fails-half-way",
    ),
    Mutant(
        name="a running VM moves only with online",
        module="qemu_migrate",
        rule='if guest.is_running and not call.flag("online"):',
        instead="if False:",
        catcher="two nodes",
    ),
    Mutant(
        name="local disks move live only if that is asked for",
        module="qemu_migrate",
        rule='if guest.is_running and is_image and not call.flag("with-local-disks"):',
        instead="if False:",
        catcher="two nodes",
    ),
    Mutant(
        name="a guest under HA is asked for, not started",
        module="ha",
        rule='return service is not None and service.request != "ignored"',
        instead="return False",
        catcher="ha",
    ),
    Mutant(
        name="a service that fails to start ends in error",
        module="ha_crm",
        rule='service.enter("error")\n            return\n        service.enter("started")',
        instead='service.enter("started")',
        catcher="ha",
    ),
    Mutant(
        name="a lost node's services are recovered elsewhere",
        module="ha_crm",
        rule='        service.enter("recovery")',
        instead="        pass",
        catcher="ha",
    ),
    Mutant(
        name="an unknown task has a status of 400",
        module="task_api",
        rule='        raise bad_parameters({"upid": "no such task"})',
        instead='        raise ApiError("no such task")',
        catcher="tasks",
    ),
    Mutant(
        name="the lines of a log are numbered from one",
        module="task_api",
        rule='{"n": start + offset + 1, "t": line}',
        instead='{"n": str(offset), "t": line}',
        catcher="tasks",
    ),
    Mutant(
        name="without quorum nothing is changed",
        module="engine",
        rule="        if self.is_quorate():\n            return\n        if what:",
        instead="        if True:\n            return\n        if what:",
        catcher="two nodes",
    ),
    Mutant(
        name="a backup leaves its lock until it ends",
        module="vzdump",
        rule='guest.config["lock"] = "backup"',
        instead="pass",
        catcher="story: backup-runs",
    ),
    Mutant(
        name="a disk never shrinks",
        module="disks",
        rule="shrinking disks is not supported",
        instead="shrinking is fine",
    ),
)
