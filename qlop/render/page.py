"""Show the status as a web page: one file, no scripts, nothing loaded from elsewhere."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from html import escape

from qlop.model.event import Event
from qlop.model.finding import Finding, Severity
from qlop.model.orders import approval_id
from qlop.model.status import NodeStatus, Status, SubjectStatus
from qlop.render.action import action_text
from qlop.render.line import Span, Tone
from qlop.render.order import order_lines
from qlop.render.plan import IMPACT_TONES, IMPACT_WORDS
from qlop.render.status import (
    GIB,
    NO_QUORUM,
    age_text,
    converged_text,
    freshness,
    node_span,
    power_text,
    remedy_rows,
    short_revision,
    tombstone_rows,
    unwell_rows,
    verdict_spans,
)

REFRESH_S = 5
_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#66707a;--line:#d8dee4;
--good:#1a7f37;--warn:#9a6700;--bad:#cf222e;--change:#0969da}
@media(prefers-color-scheme:dark){:root{--bg:#0f1317;--fg:#e2e6ea;--dim:#8b949e;--line:#2b333b;
--good:#3fb950;--warn:#d29922;--bad:#ff6b61;--change:#58a6ff}}
body{font:15px/1.5 system-ui,sans-serif;background:var(--bg);color:var(--fg);max-width:72rem;
margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem;margin:0}h2{font-size:1rem;margin:2rem 0 .5rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--line);
vertical-align:top}
th{color:var(--dim);font-weight:500}
.good{color:var(--good)}.warn{color:var(--warn)}.bad,.remove{color:var(--bad);font-weight:600}
.change,.add{color:var(--change)}.dim{color:var(--dim)}.strong{font-weight:600}
.alarm{border:2px solid var(--bad);border-radius:.4rem;padding:.6rem .8rem;margin:1rem 0}
.num{font-variant-numeric:tabular-nums}meter{width:7rem}
footer{margin:2rem 0;color:var(--dim)}
"""


def status_page(
    status: Status | None,
    *,
    events: Sequence[Event],
    now: datetime,
    stale_after: timedelta,
    refused: str,
) -> str:
    """Return the page; ``refused`` says why the daemon is not ready, empty if it is.

    What is older than ``stale_after`` is said to be old, in red, so that a daemon that
    hangs can't pass for one that works.
    """
    if status is None:
        body = [
            "<h1>qlop</h1>",
            _alarm("Nothing is known yet: no cycle was completed.", refused),
        ]
        return _frame("qlop: starting", body)
    title = converged_text(status)
    good = status.ready == len(status.subjects) and not status.stalled and not refused
    body = [
        f'<h1 class="{"good" if good else "warn"}">{escape(title)}</h1>',
        _state(status, now=now, stale_after=stale_after),
        *_alarms(status, refused),
        _orders(status, now),
        _asks(status),
        _nodes(status),
        _services(status.subjects),
        _subjects(status.subjects),
        _unwell(status.subjects, now),
        _tombstones(status.subjects, now),
        _remedies(status.subjects),
        _list(
            "Whose they are is not known",
            [escape(f"{one}, on {one.node}: {one.why}") for one in status.unknown],
        ),
        _list(
            "Not managed, left alone",
            [escape(f"{one}, on {one.node}: {one.why}") for one in status.unmanaged],
        ),
        _findings(status.findings),
        _events(events, now),
    ]
    return _frame(f"qlop: {title}", body)


def _state(status: Status, *, now: datetime, stale_after: timedelta) -> str:
    leading = "leading" if status.leading else "not leading"
    return (
        f"<p>{_spans(freshness(status, now=now, stale_after=stale_after))} · revision "
        f'<span class="num">{escape(short_revision(status))}</span> · {leading}</p>'
    )


def _findings(findings: Sequence[Finding]) -> str:
    tones = {Severity.ERROR: Tone.BAD, Severity.WARNING: Tone.WARN, Severity.INFO: Tone.DIM}
    return _list(
        "Findings in the manifests",
        [
            f"{_span(Span(one.severity.value, tones[one.severity]))} "
            f"{escape(str(one.origin or ''))} {escape(one.message)} {escape(one.hint)}"
            for one in findings
        ],
    )


def _alarms(status: Status, refused: str) -> list[str]:
    found = []
    if status.stalled:
        found.append(_alarm("Stalled.", status.stalled))
    elif not status.quorate:
        found.append(_alarm(NO_QUORUM, ""))
    if refused and refused != status.stalled:
        found.append(_alarm("Not ready.", refused))
    for fuse in status.fuses:
        text = f"{fuse.message}; nothing is done until qlop acknowledge {fuse.fingerprint}"
        found.append(_alarm("Fuse.", text))
    return [*found, *(_alarm("Could not be seen.", gap) for gap in status.gaps)]


def _alarm(title: str, text: str) -> str:
    return f'<div class="alarm"><span class="bad">{escape(title)}</span> {escape(text)}</div>'


def _orders(status: Status, now: datetime) -> str:
    return _list("Orders", [_spans(one).strip() for one in order_lines(status.orders, now=now)])


def _asks(status: Status) -> str:
    return _table(
        "Waiting for approval",
        ("qlop approve", "", "impact", "why"),
        (
            (
                f'<span class="strong num">{escape(approval_id(planned.id))}</span>',
                escape(action_text(planned.action)),
                _span(Span(IMPACT_WORDS[planned.impact], IMPACT_TONES[planned.impact])),
                escape(planned.reason),
            )
            for planned in status.asks
        ),
    )


def _nodes(status: Status) -> str:
    return _table(
        "Nodes",
        ("node", "", "guests", "memory promised"),
        (
            (
                escape(node.name),
                _span(node_span(status, node)),
                f'<span class="num">{node.guests}</span>',
                _memory(node),
            )
            for node in status.nodes
        ),
    )


def _memory(node: NodeStatus) -> str:
    if not node.memory_bytes:
        return '<span class="dim">not reported</span>'
    share = node.memory_promised_bytes / node.memory_bytes
    return (
        f'<meter min="0" max="1" high="0.9" value="{min(share, 1):.3f}"></meter> '
        f'<span class="num">{node.memory_promised_bytes / GIB:.1f} of '
        f"{node.memory_bytes / GIB:.1f} GiB</span>"
    )


def _services(subjects: Sequence[SubjectStatus]) -> str:
    grouped: dict[str, list[SubjectStatus]] = {}
    for subject in subjects:
        grouped.setdefault(subject.service, []).append(subject)
    return _table(
        "Services",
        ("service", "guests as wanted"),
        (
            (
                escape(name),
                _span(
                    Span(
                        f"{sum(one.is_ready for one in guests)}/{len(guests)}",
                        Tone.GOOD if all(one.is_ready for one in guests) else Tone.WARN,
                    )
                ),
            )
            for name, guests in sorted(grouped.items())
        ),
    )


def _subjects(subjects: Sequence[SubjectStatus]) -> str:
    return _table(
        "Guests",
        ("guest", "VMID", "node", "power", "verdict", ""),
        (
            (
                escape(subject.name),
                f'<span class="num">{subject.vmid or "-"}</span>',
                escape(subject.node or "-"),
                escape(power_text(subject)),
                *(_span(span) for span in verdict_spans(subject)),
            )
            for subject in subjects
        ),
    )


def _unwell(subjects: Sequence[SubjectStatus], now: datetime) -> str:
    return _list(
        "Not healthy",
        [
            f'<span class="strong">{escape(name)}</span>: {escape(text)}'
            for name, text in unwell_rows(subjects, now)
        ],
    )


def _tombstones(subjects: Sequence[SubjectStatus], now: datetime) -> str:
    return _list(
        "Tombstones",
        [
            f'<span class="strong">{escape(name)}</span>: {escape(text)}'
            for name, text in tombstone_rows(subjects, now)
        ],
    )


def _remedies(subjects: Sequence[SubjectStatus]) -> str:
    return _list(
        "What you can do",
        [
            f'<span class="strong">{escape(names)}</span>: {escape(remedy)}'
            for names, remedy in remedy_rows(subjects)
        ],
    )


def _events(events: Sequence[Event], now: datetime) -> str:
    return _table(
        "Last events",
        ("ago", "subject", ""),
        (
            (
                f'<span class="num dim">{age_text(now - event.at)}</span>',
                escape(event.subject),
                escape(event.message),
            )
            for event in reversed(events)
        ),
    )


def _table(title: str, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in rows)
    if not body:
        return ""
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    return f"<h2>{escape(title)}</h2>\n<table><tr>{head}</tr>\n{body}</table>"


def _list(title: str, items: Sequence[str]) -> str:
    if not items:
        return ""
    return f"<h2>{escape(title)}</h2><ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def _spans(spans: Iterable[Span]) -> str:
    return "".join(_span(span) for span in spans)


def _span(span: Span) -> str:
    if span.tone is Tone.PLAIN:
        return escape(span.text)
    return f'<span class="{span.tone.value}">{escape(span.text)}</span>'


def _frame(title: str, body: Sequence[str]) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="refresh" content="{REFRESH_S}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(part for part in body if part)
        + '\n<footer><a href="/status">status</a> · <a href="/plan">plan</a> · '
        '<a href="/metrics">metrics</a> · <a href="/healthz">healthz</a> · '
        '<a href="/readyz">readyz</a></footer></body></html>\n'
    )
