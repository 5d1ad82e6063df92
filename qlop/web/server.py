"""Answer questions about the daemon over HTTP: people, probes, Prometheus, the CLI."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from pydantic import SecretStr

from qlop.render import event, explain, history, line, order, page, plan, status
from qlop.render.line import Line
from qlop.render.plain_value import Plain
from qlop.settings import Address
from qlop.web import access, health
from qlop.web.access import Access
from qlop.web.view import View

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BODY_BYTES_MAX = 1024
"""A trigger carries no data."""
SHUTDOWN_S = 2.0
"""How long answers under way may take when the daemon ends."""
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(
    view: View, *, listen: Address, token: SecretStr | None, trigger: Callable[[], None]
) -> AsyncIterator[int]:
    """Serve ``view`` while the context lasts, and give the port that is listened on.

    ``trigger`` is called for each POST to ``/trigger``; it returns at once.

    Raises:
        OSError: if the address can't be listened on.
    """
    runner = web.AppRunner(
        application(view, listen=listen, token=token, trigger=trigger),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=SHUTDOWN_S,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, listen.host, listen.port).start()
        except OSError as error:
            why = (error.strerror or str(error)).rpartition(": ")[2]
            text = f"can't be listened on (web.listen): {why}"
            raise OSError(error.errno, text, f"{listen.host}:{listen.port}") from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def application(
    view: View, *, listen: Address, token: SecretStr | None, trigger: Callable[[], None]
) -> web.Application:
    """Return the application, not yet listening anywhere."""
    pages = _Pages(view=view, trigger=trigger)
    app = web.Application(
        middlewares=[_guard(listen, token.get_secret_value() if token else None)],
        client_max_size=BODY_BYTES_MAX,
    )
    app.add_routes(
        [
            web.get("/", pages.home),
            web.get("/healthz", pages.healthz),
            web.get("/readyz", pages.readyz),
            web.get("/metrics", pages.metrics),
            web.get("/status", pages.status),
            web.get("/plan", pages.plan),
            web.get("/explain/{name}", pages.explain),
            web.get("/events", pages.events),
            web.get("/orders", pages.orders),
            web.get("/history", pages.history),
            web.get("/history/{name}", pages.history),
            web.post("/trigger", pages.post_trigger),
        ]
    )
    return app


def _guard(listen: Address, token: str | None) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        may = access.decide(
            method=request.method,
            path=request.path,
            peer=request.remote or "",
            listen=listen.host,
            headers=request.headers,
            token=token,
        )
        response: web.StreamResponse
        if may is Access.GRANTED:
            try:
                response = await handler(request)
            except web.HTTPException as refused:
                response = refused
        elif may is Access.TOKEN_NEEDED:
            response = _text("this needs the token: Authorization: Bearer …\n", 401)
            response.headers["WWW-Authenticate"] = 'Basic realm="qlop", charset="UTF-8"'
        else:
            response = _text("this may be asked from this machine only\n", 403)
        response.headers.update(_HEADERS)
        if isinstance(response, web.HTTPException):
            raise response
        return response

    return guard


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pages:
    view: View
    trigger: Callable[[], None]

    async def home(self, _: web.Request) -> web.Response:
        text = page.status_page(
            self.view.status(),
            events=self.view.events(),
            now=self.view.now(),
            stale_after=health.stale_after(self.view),
            refused=health.why_not_ready(self.view),
        )
        return web.Response(text=text, content_type="text/html")

    async def healthz(self, _: web.Request) -> web.Response:
        return _verdict(health.why_dead(self.view))

    async def readyz(self, _: web.Request) -> web.Response:
        return _verdict(health.why_not_ready(self.view))

    async def metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self.view.metrics(), headers={"Content-Type": METRICS_TYPE})

    async def status(self, request: web.Request) -> web.Response:
        now = self.view.status()
        if now is None:
            return _text("no cycle ended yet\n", 503)
        lines = status.status_lines(
            now, now=self.view.now(), stale_after=health.stale_after(self.view)
        )
        return _answer(request, status.status_document(now), lines)

    async def plan(self, request: web.Request) -> web.Response:
        found = self.view.plan()
        if found is None:
            return _text("nothing could be planned yet\n", 503)
        return _answer(request, plan.plan_document(found), plan.plan_lines(found))

    async def explain(self, request: web.Request) -> web.Response:
        given, found_plan = self.view.source(), self.view.plan()
        if given is None or found_plan is None:
            return _text("nothing could be planned yet\n", 503)
        name = request.match_info["name"]
        found = explain.explain(name, given=given, plan=found_plan, records=self.view.records())
        if not found:
            known = ", ".join(explain.known_names(given, found_plan))
            return _text(f"nothing is called {name}; there are: {known}\n", 404)
        lines: list[Line] = []
        for one in found:
            lines += [*explain.explanation_lines(one, now=self.view.now()), line.line()]
        documents: list[Plain] = [explain.explanation_document(one) for one in found]
        return _answer(request, documents, lines[:-1])

    async def events(self, request: web.Request) -> web.Response:
        found = self.view.events()
        documents: list[Plain] = [event.event_document(one) for one in found]
        return _answer(request, documents, [event.event_line(one) for one in found])

    async def orders(self, request: web.Request) -> web.Response:
        now = self.view.status()
        standing = now.orders if now is not None else ()
        document: Plain = {
            "book": self.view.order_book(),
            "orders": [order.order_document(one) for one in standing],
        }
        return _answer(request, document, [line.line(order.order_text(one)) for one in standing])

    async def history(self, request: web.Request) -> web.Response:
        name = request.match_info.get("name")
        done = history.entries(self.view.records(), name)
        entries = history.with_orders(done, self.view.orders(), name)
        documents: list[Plain] = [*history.history_document(entries)]
        lines = history.history_lines(entries, now=self.view.now())
        return _answer(request, documents, lines)

    async def post_trigger(self, _: web.Request) -> web.Response:
        self.trigger()
        return _text("a cycle was asked for\n", 202)


def _verdict(reason: str) -> web.Response:
    return _text(f"{reason}\n", 503) if reason else _text("ok\n", 200)


def _answer(request: web.Request, document: Plain, lines: Sequence[Line]) -> web.Response:
    match request.query.get("as", "json"):
        case "json":
            return web.json_response(document)
        case "text":
            return _text(line.plain(lines), 200)
        case "lines":
            return web.json_response({"document": document, "lines": line.document(lines)})
        case _:
            return _text("as=json, as=text or as=lines\n", 400)


def _text(text: str, code: int) -> web.Response:
    return web.Response(text=text, status=code, content_type="text/plain")
