"""Answer every call of a simulated Proxmox VE cluster: sans I/O, in given time.

    cluster = Cluster(world.hospital(), seed=1, now=1_800_000_000.0)
    response = cluster.handle(SimRequest(method="GET", path="/cluster/resources",
                                         authorization=f"PVEAPIToken={DEFAULT_TOKEN}"), now)

``handle`` first lets everything happen that is due, then answers. Checks come in the real
order: authentication, route, conflicts of path and body, permission, the way to the node,
parameters, the method itself. Use ``inprocess.InProcessApi`` as a ``PveApi`` in virtual
time, ``server.SimServer`` over HTTPS; ``script.do`` for what hands do to a cluster.
"""

from collections.abc import Mapping
from dataclasses import replace

from qlop.ports import Json
from qlop.sim import builder, guard, injection, params, routes, schema, vmlist
from qlop.sim.access import Identity
from qlop.sim.call import Call
from qlop.sim.faults import Fault
from qlop.sim.schema import Route
from qlop.sim.wire import ApiError, LockWait, SimRequest, SimResponse, TaskError, bad_parameters
from qlop.sim.world import ClusterSpec

_LOOKUP_S = 6.15
"""How long the look-up of an unknown node's name takes to fail."""


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE"})

_TOP = ("version", "cluster", "nodes", "storage", "access", "pools")


def _not_implemented(request: SimRequest) -> ApiError:
    text = f"Method '{request.method} {request.path}' not implemented"
    return ApiError(text, status=501, bare=True)


class Cluster:
    """A simulated cluster. Equal specifications, seeds, times and calls give equal answers.

    ``world`` is what exists in it; tests may look into it and, between calls, change it.
    """

    def __init__(self, spec: ClusterSpec, *, seed: int = 0, now: float) -> None:
        self.world = builder.build(spec, seed=seed, now=now)
        self._handlers = routes.handlers()
        self._table = schema.table()

    @property
    def now(self) -> float:
        """Return the time up to which the world has come, in epoch seconds."""
        return self.world.now

    def advance(self, now: float) -> None:
        """Let tasks, status daemons, guests and the HA manager act until ``now``."""
        self.world.advance(now)

    def next_event_at(self) -> float | None:
        """Return when the next thing will happen by itself."""
        return self.world.next_event_at()

    def arm(self, fault: Fault) -> None:
        """Let ``fault`` strike from now on."""
        self.world.faults.append(fault)

    def disarm(self) -> None:
        """Drop every armed fault; what they did stays done."""
        self.world.faults.clear()

    def vmlist_text(self) -> str:
        """Return the text of ``/etc/pve/.vmlist``."""
        return vmlist.vmlist_text(self.world)

    def version_text(self) -> str:
        """Return the text of ``/etc/pve/.version``."""
        return vmlist.version_text(self.world)

    def handle(self, request: SimRequest, now: float) -> SimResponse:
        """Answer ``request``, made at ``now``.

        A response with ``status`` 0 means that the node refused the connection. One that
        is ``blocked`` waits for a lock: ask again a little later, with ``waited_s`` counting
        how long it has waited; a lock gives up after ten seconds.
        """
        self.advance(now)
        contacted = request.node or self._first_node()
        found = self._table.find(request.method, request.path)
        struck = injection.Struck(
            method=request.method,
            template=found[0].template if found else request.path,
            path=request.path,
            node=contacted,
        )
        try:
            self._check_reachable(contacted)
            if request.waited_s == 0:
                injection.strike_before(self.world, struck)
                self._check_reachable(contacted)
            response = self._answer(request, contacted, found)
        except ApiError as error:
            response = error.response()
        except TaskError as error:
            response = ApiError(str(error)).response()
        except LockWait:
            return SimResponse(blocked=True)
        return injection.strike_after(self.world, response, struck)

    def daemon_of(self, request: SimRequest) -> str:
        """Return the node whose pvedaemon carries a call out; empty if none does."""
        found = self._table.find(request.method, request.path)
        if found is None or not found[0].protected:
            return ""
        route, at = found
        contacted = request.node or self._first_node()
        node = at.get("node", contacted) if route.proxy_to_node else contacted
        node = contacted if node == "localhost" else node
        return node if node in self.world.nodes else ""

    def is_handed_on(self, request: SimRequest) -> bool:
        """Return whether the proxy that was asked hands a call to another daemon."""
        found = self._table.find(request.method, request.path)
        if found is None:
            return False
        route, at = found
        contacted = request.node or self._first_node()
        node = at.get("node", contacted) if route.proxy_to_node else contacted
        return route.protected or node not in {"localhost", contacted}

    def _first_node(self) -> str:
        names = list(self.world.nodes)
        return next((name for name in names if self.world.is_reachable(name)), names[0])

    def _check_reachable(self, contacted: str) -> None:
        if contacted not in self.world.nodes or not self.world.is_reachable(contacted):
            raise ApiError("Connection refused", status=0, empty=True)

    def _answer(
        self, request: SimRequest, contacted: str, found: tuple[Route, dict[str, str]] | None
    ) -> SimResponse:
        world = self.world
        if request.method not in _METHODS:
            raise ApiError(f"method '{request.method}' not available", status=501, empty=True)
        is_login = request.method == "POST" and request.path.rstrip("/") == "/access/ticket"
        who = Identity(user="")
        if not is_login:
            who = world.access.identify(
                request.authorization,
                world.stamp(),
                is_mutation=request.method not in {"GET", "HEAD"},
            )
        if found is None and request.method == "GET" and request.path in {"", "/"}:
            return SimResponse(data=[{"subdir": name} for name in _TOP])
        if found is None:
            raise _not_implemented(request)
        route, at = found
        raw = dict(request.params)
        for name, value in at.items():
            if name in raw and str(raw[name]) != value:
                raise bad_parameters(
                    {name: "duplicate parameter (already defined in URI) with conflicting values!"}
                )
        if not is_login:
            guard.check(world, route, who, {**raw, **at})
        node = self._resolve(route, at, contacted)
        call = Call(
            world=world,
            route=route,
            params=params.checked(route, raw, at),
            who=who,
            node=node,
            contacted=contacted,
            waited_s=request.waited_s,
            upload=request.upload,
        )
        if "node" in call.params and route.proxy_to_node:
            call.params["node"] = node
        return self._run(call, request)

    def _resolve(self, route: Route, at: Mapping[str, str], contacted: str) -> str:
        """Return the node that does the work; refuse if it can't be reached."""
        world = self.world
        node = at.get("node", contacted) if route.proxy_to_node else contacted
        if node == "localhost":
            node = contacted
        if node not in world.nodes:
            text = (
                f"hostname lookup '{node}' failed - failed to get address info for: {node}: "
                f"Temporary failure in name resolution"
            )
            raise ApiError(text, delay_s=_LOOKUP_S)
        if node != contacted and not world.is_reachable(node):
            raise ApiError("Connection refused", status=595, empty=True)
        if route.protected and not world.nodes[node].daemon_up:
            raise ApiError("Connection refused", status=595, empty=True)
        return node

    def _run(self, call: Call, request: SimRequest) -> SimResponse:
        handler = self._handlers.get(call.route.key)
        if handler is None:
            return SimResponse(data=self._index(call, request))
        try:
            result = handler(call)
        except ApiError as error:
            error.delay_s = max(error.delay_s, call.delay_s)
            raise
        hops = _hops(call)
        if isinstance(result, SimResponse):
            return replace(result, hops=hops) if hops else result
        return SimResponse(data=result, extra=call.extra, delay_s=call.delay_s, hops=hops)

    def _index(self, call: Call, request: SimRequest) -> Json:
        """Answer a directory of the API, or say that the method is not simulated."""
        children = self._table.children.get(call.route.template)
        if call.route.method != "GET" or not children or children[0].startswith("{"):
            raise _not_implemented(request)
        key = routes.index_key(call.route.template)
        return [{key: name} for name in children if not name.startswith("{")]


def _hops(call: Call) -> tuple[str, ...]:
    """Return what the daemons on the way say of their connections.

    pvedaemon keeps none. Another node's proxy keeps one for reads only, and then adds its
    own word to that (``proxy_request`` in ``PVE/APIServer/AnyEvent.pm``).
    """
    if call.node == call.contacted:
        return ("close",) if call.route.protected else ()
    if call.route.method != "GET":
        return ("close",)
    return ("close,Keep-Alive",) if call.route.protected else ("Keep-Alive",)
