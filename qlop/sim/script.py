"""Do to a cluster, in words, what hands and accidents do to a real one.

    do(cluster, "guest 110 crash", now)
    do(cluster, "storage local-lvm@pve1 fill 95%", now)

``help_text()`` lists every command. Each returns a line that says what happened.
"""

import shlex
from collections.abc import Callable, Mapping

from qlop.sim import application, drives, ha, hardware, power, qemu_options, rescan, volumes
from qlop.sim.access import Token
from qlop.sim.cluster import Cluster
from qlop.sim.engine import World
from qlop.sim.faults import Effect, Fault, Match
from qlop.sim.qemu_create import forget_guest
from qlop.sim.state import Guest, Kind


class ScriptError(ValueError):
    """The command is unknown, or names something that is not there."""


_HELP = (
    """\
guest VMID stop | start | crash | destroy        as on the node's own command line
guest VMID set KEY=VALUE… | unset KEY…           edit the configuration file by hand
guest VMID annotate TEXT                         write above what stands in its notes
guest VMID rename NAME                           give it another name
guest VMID clone NEWID                           copy it by hand, mark and all
guest VMID agent hang | answer                   the guest agent goes silent, or speaks again
guest VMID acpi deaf | listen                    the guest ignores shutdown requests, or not
guest VMID app ok | slow | wrong | hung | down   how its application answers
guest VMID app needs KEY=VALUE                   it answers wrongly with anything else
guest VMID address 127.A.B.C PORT…               where it answers, in the real world
guest VMID rescan                                `qm disk rescan`, `pct rescan`: read its sizes
guest VMID pool POOL | none                      put it into a pool
guest VMID move NODE                             move its configuration file by hand
volume VOLID[@NODE] remove                       a volume disappears from its storage
node NODE down | up                              cut a node's power; bring it back
node NODE daemon down | up                       stop or start its pvedaemon (595)
node NODE proxy down | up                        stop or start its pveproxy (refused)
node NODE maintenance on | off                   the HA manager's guests leave it, or return
quorum lose | force | restore                    the cluster's vote
storage NAME[@NODE] fill PERCENT                 strangers' data takes the space
lock VMID NAME | unlock VMID                     a lock mark, as a crashed task leaves it
token USER!ID revoke                             an API token disappears
token USER!ID give SECRET                        an API token comes (back)
clock jump SECONDS                               the cluster's clocks jump
fault EFFECT [route=…] [node=…] [vmid=…] [task=…] [storage=…]
      [times=N|all] [skip=N] [share=0..1] [seconds=S] [status=N] [text=…]
      effects: """
    + " ".join(effect.value for effect in Effect)
    + """
faults clear                                     no more faults
wait SECONDS                                     let time pass (in simulated time only)
"""
)


def help_text() -> str:
    """Return the list of commands."""
    return _HELP


def do(cluster: Cluster, command: str, now: float) -> str:
    """Carry out ``command`` at ``now``; return what happened, for people.

    Raises:
        ScriptError: with a text that says what is wrong and what there is.
    """
    cluster.advance(now)
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ScriptError(f"'{command}': {error}") from error
    if not words:
        raise ScriptError("an empty command; try 'help'")
    if words[0] == "help":
        return _HELP
    action = _COMMANDS.get(words[0])
    if action is None:
        raise ScriptError(f"unknown command '{words[0]}'; there are: {', '.join(_COMMANDS)}")
    try:
        return action(cluster, words[1:])
    except ScriptError:
        raise
    except (IndexError, KeyError, ValueError) as error:
        raise ScriptError(f"'{command}': something is missing or unknown ({error})") from error


def _guest_of(world: World, word: str) -> Guest:
    guest = world.guests.get(int(word)) if word.isdigit() else None
    if guest is None:
        known = ", ".join(str(vmid) for vmid in sorted(world.guests)[:20])
        raise ScriptError(f"there is no guest '{word}'; there are: {known}")
    return guest


def _node_of(world: World, word: str) -> str:
    if word not in world.nodes:
        raise ScriptError(f"there is no node '{word}'; there are: {', '.join(world.nodes)}")
    return word


def _guest(cluster: Cluster, words: list[str]) -> str:
    world = cluster.world
    guest = _guest_of(world, words[0])
    verb, rest = words[1], words[2:]
    match verb:
        case "stop" | "crash" | "start" | "destroy":
            return _power(world, guest, verb)
        case "set" | "unset" | "rename" | "annotate":
            return _edit(world, guest, verb, rest)
        case "clone":
            return _clone(world, guest, int(rest[0]))
        case "agent":
            guest.agent_hung = rest[0] == "hang"
            return f"guest {guest.vmid}: the agent {'hangs' if guest.agent_hung else 'answers'}"
        case "acpi":
            guest.acpi_deaf = rest[0] == "deaf"
            return f"guest {guest.vmid}: shutdown requests are {'ignored' if guest.acpi_deaf else 'obeyed'}"
        case "app" | "address":
            return application.command(guest, verb, rest)
        case "rescan":
            return rescan.rescan(world, guest)
        case "pool":
            return _pool(world, guest, rest[0])
        case "move":
            return _move(world, guest, _node_of(world, rest[0]))
        case _:
            raise ScriptError(f"'guest {guest.vmid} {verb}' is unknown; see 'help'")


def _power(world: World, guest: Guest, verb: str) -> str:
    match verb:
        case "stop":
            power.stopped(world, guest)
            return f"guest {guest.vmid} is stopped"
        case "crash":
            power.kill(world, guest)
            return f"guest {guest.vmid} is gone without a trace"
        case "start":
            if not guest.is_running:
                power.launch(world, guest)
            return f"guest {guest.vmid} is starting"
        case "destroy":
            power.kill(world, guest)
            _destroy(world, guest)
            return f"guest {guest.vmid} is destroyed"
        case _:
            raise AssertionError(verb)


def _destroy(world: World, guest: Guest) -> None:
    for volume in list(volumes.of_guest(world, guest.vmid)):
        if volume.node in {"", guest.node}:
            volumes.drop(world, volume)
    forget_guest(world, guest.vmid)


def _edit(world: World, guest: Guest, verb: str, rest: list[str]) -> str:
    if verb == "rename":
        key = "name" if guest.kind is Kind.QEMU else "hostname"
        guest.config[key] = rest[0]
        changed = f"{key}={rest[0]}"
    elif verb == "annotate":
        guest.config["description"] = f"{' '.join(rest)}\n{guest.config.get('description', '')}"
        changed = "its notes"
    elif verb == "set":
        for pair in rest:
            key, equals, value = pair.partition("=")
            if not equals:
                raise ScriptError(f"'{pair}': KEY=VALUE is wanted")
            guest.config[key] = value
        changed = " ".join(rest)
    else:
        for key in rest:
            guest.config.pop(key, None)
        changed = " ".join(f"-{key}" for key in rest)
    world.wrote(guest)
    return f"guest {guest.vmid}: edited by hand: {changed}"


def _clone(world: World, guest: Guest, newid: int) -> str:
    if newid in world.guests:
        raise ScriptError(f"guest {newid} exists already")
    copy = Guest(vmid=newid, kind=guest.kind, node=guest.node, config=dict(guest.config))
    world.guests[newid] = copy
    for key, value in list(copy.config.items()):
        if (drives.is_drive(key) or drives.is_mount(key)) and not drives.is_cdrom(value):
            _copy_disk(world, guest, copy, key)
    for key in ("smbios1", "vmgenid"):
        if key in copy.config:
            uuid = qemu_options.new_uuid(world)
            copy.config[key] = f"uuid={uuid}" if key == "smbios1" else uuid
    copy.config.pop("lock", None)
    copy.config.pop("template", None)
    world.wrote(copy)
    return f"guest {newid} is a copy of {guest.vmid}, made by hand"


def _copy_disk(world: World, guest: Guest, copy: Guest, key: str) -> None:
    drive = drives.parse(copy.config[key])
    source = volumes.find(world, drive.get("file", ""), guest.node)
    if source is None:
        return
    volume = volumes.allocate(
        world,
        storage=world.storages[source.storage],
        node=guest.node,
        vmid=copy.vmid,
        size=source.size_bytes,
        format_=source.format,
        content=source.content,
    )
    volume.os = source.os
    drive["file"] = volume.volid
    copy.config[key] = drives.show(drive)


def _move(world: World, guest: Guest, node: str) -> str:
    world.changed(guest)
    guest.node = node
    world.wrote(guest)
    return f"guest {guest.vmid}: its configuration is on {node} now"


def _pool(world: World, guest: Guest, name: str) -> str:
    old = world.access.vm_pool.pop(guest.vmid, None)
    if old is not None:
        world.pools[old].guests.discard(guest.vmid)
    if name != "none":
        if name not in world.pools:
            raise ScriptError(f"there is no pool '{name}'")
        world.pools[name].guests.add(guest.vmid)
        world.access.vm_pool[guest.vmid] = name
    world.access.changed()
    return f"guest {guest.vmid} is in pool {name}"


def _node(cluster: Cluster, words: list[str]) -> str:
    world = cluster.world
    name = _node_of(world, words[0])
    what, state = (words[1], words[2]) if len(words) > 2 else ("power", words[1])
    if what == "maintenance" and state in {"on", "off"}:
        ha.set_maintenance(world, name, is_on=state == "on")
        return f"node {name}: maintenance {state}"
    if state not in {"up", "down"} or what not in {"power", "daemon", "proxy"}:
        raise ScriptError(f"'node {' '.join(words)}' is unknown; see 'help'")
    is_up = state == "up"
    if what == "daemon":
        world.nodes[name].daemon_up = is_up
    elif what == "proxy":
        world.nodes[name].proxy_up = is_up
    elif is_up:
        hardware.power_on(world, name)
    else:
        hardware.power_off(world, name)
    return f"node {name}: {what} {state}"


def _quorum(cluster: Cluster, words: list[str]) -> str:
    if words[0] == "lose":
        cluster.world.forced_quorum = False
        return "the cluster has lost its quorum"
    if words[0] == "force":
        cluster.world.forced_quorum = True
        return "the cluster is quorate, whoever is left"
    if words[0] == "restore":
        cluster.world.forced_quorum = None
        return "the votes are counted again"
    raise ScriptError("quorum lose | force | restore")


def _storage(cluster: Cluster, words: list[str]) -> str:
    world = cluster.world
    name, _, node = words[0].partition("@")
    if name not in world.storages:
        raise ScriptError(f"there is no storage '{name}'; there are: {', '.join(world.storages)}")
    if words[1] != "fill":
        raise ScriptError("storage NAME[@NODE] fill PERCENT")
    share = float(words[2].rstrip("%")) / 100
    nodes = [_node_of(world, node)] if node else list(world.nodes)
    for each in nodes:
        hardware.fill(world, name, each, share)
    return f"storage {words[0]} is {words[2].rstrip('%')} % full"


def _volume(cluster: Cluster, words: list[str]) -> str:
    world = cluster.world
    volid, _, node = words[0].partition("@")
    found = [
        volume
        for (name, where), volume in world.volumes.items()
        if name == volid and (not node or where in {"", node})
    ]
    if not found or words[1] != "remove":
        raise ScriptError(f"volume VOLID[@NODE] remove; is there a volume '{volid}'?")
    for volume in found:
        volumes.drop(world, volume)
    return f"volume {words[0]} is gone"


def _lock(cluster: Cluster, words: list[str]) -> str:
    guest = _guest_of(cluster.world, words[0])
    guest.config["lock"] = words[1]
    cluster.world.wrote(guest)
    return f"guest {guest.vmid} is locked ({words[1]})"


def _unlock(cluster: Cluster, words: list[str]) -> str:
    guest = _guest_of(cluster.world, words[0])
    guest.config.pop("lock", None)
    cluster.world.wrote(guest)
    return f"guest {guest.vmid} is unlocked"


def _token(cluster: Cluster, words: list[str]) -> str:
    user, _, token = words[0].partition("!")
    known = cluster.world.access.users.get(user)
    if known is None or words[1] not in {"revoke", "give"}:
        raise ScriptError("token USER!ID revoke | give SECRET")
    if words[1] == "revoke":
        known.tokens.pop(token, None)
        return f"token {words[0]} is revoked"
    known.tokens[token] = Token(secret=words[2], privsep=False)
    return f"token {words[0]} exists"


def _clock(cluster: Cluster, words: list[str]) -> str:
    if words[0] != "jump":
        raise ScriptError("clock jump SECONDS")
    cluster.world.clock_offset_s += float(words[1])
    return f"the cluster's clocks jumped by {words[1]} s"


def _fault(cluster: Cluster, words: list[str]) -> str:
    names = {effect.value: effect for effect in Effect}
    if words[0] not in names:
        raise ScriptError(f"unknown effect '{words[0]}'; there are: {', '.join(names)}")
    pairs = dict(word.split("=", 1) for word in words[1:] if "=" in word)
    unknown = set(pairs) - {*_MATCH_KEYS, *_FAULT_KEYS}
    if unknown or len(pairs) != len(words) - 1:
        raise ScriptError(f"fault: can't read {sorted(unknown) or words[1:]}")
    match = Match(
        route=pairs.get("route", "*"),
        node=pairs.get("node", ""),
        vmid=int(pairs["vmid"]) if "vmid" in pairs else None,
        task=pairs.get("task", "*"),
        storage=pairs.get("storage", ""),
    )
    times = pairs.get("times", "1")
    fault = Fault(
        effect=names[words[0]],
        match=match,
        times=None if times == "all" else int(times),
        skip=int(pairs.get("skip", "0")),
        share=float(pairs.get("share", "1")),
        seconds=float(pairs.get("seconds", "30")),
        status=int(pairs.get("status", "500")),
        text=pairs.get("text", ""),
    )
    cluster.arm(fault)
    return f"armed: {' '.join(words)}"


_MATCH_KEYS = ("route", "node", "vmid", "task", "storage")
_FAULT_KEYS = ("times", "skip", "share", "seconds", "status", "text")


def _faults(cluster: Cluster, words: list[str]) -> str:
    if words != ["clear"]:
        raise ScriptError("faults clear")
    cluster.disarm()
    return "no faults are armed"


def _wait(cluster: Cluster, words: list[str]) -> str:
    cluster.advance(cluster.now + float(words[0]))
    return f"{words[0]} s later"


_COMMANDS: Mapping[str, Callable[[Cluster, list[str]], str]] = {
    "guest": _guest,
    "node": _node,
    "quorum": _quorum,
    "storage": _storage,
    "volume": _volume,
    "lock": _lock,
    "unlock": _unlock,
    "token": _token,
    "clock": _clock,
    "fault": _fault,
    "faults": _faults,
    "wait": _wait,
}
