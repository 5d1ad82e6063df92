"""Carry requests to a simulated cluster by calling it."""

import re
from dataclasses import replace

from typing_extensions import override

from qlop.sim import forms
from qlop.sim.cluster import Cluster
from qlop.sim.wire import ApiError, SimRequest, SimResponse, extjs
from tests.contract.wire import Answer, Transport, Wire

_POLL_S = 0.25


class InProcess(Transport):
    """Calls ``Cluster.handle``; there are no bytes and no headers."""

    def __init__(self, cluster: Cluster, contacted: str) -> None:
        self._cluster = cluster
        self._contacted = contacted

    @override
    def send(self, wire: Wire, now: float) -> Answer | None:
        found = re.match("/api2/(json|extjs)", wire.path)
        if found is None:
            return None
        response = self._response(wire, re.sub("/+", "/", wire.path[found.end() :]), now)
        if found[1] == "extjs":
            response = extjs(response)
        return Answer(status=response.status, reason=response.reason, body=response.body())

    @override
    def close(self) -> None:
        pass

    def _response(self, wire: Wire, path: str, now: float) -> SimResponse:
        query = wire.target.partition("?")[2]
        try:
            params = forms.parameters(wire.method, query, wire.headers, wire.body)
        except ApiError as error:
            return error.response()
        content_type = wire.headers.get("content-type", "")
        world = self._cluster.world
        request = SimRequest(
            method=wire.method,
            path=path.rstrip("/") or "/",
            params=params,
            upload=forms.uploaded(content_type, wire.body),
            authorization=forms.authorization(wire.headers),
            node=self._contacted if world.is_reachable(self._contacted) else "",
        )
        response = self._cluster.handle(request, now)
        waited_s = 0.0
        while response.blocked:
            waited_s += _POLL_S
            again = replace(request, waited_s=waited_s)
            response = self._cluster.handle(again, now + waited_s)
        self._cluster.advance(now + waited_s + response.delay_s)
        return response
