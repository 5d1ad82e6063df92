"""Write the reference of metrics: ``python -m qlop.telemetry.reference > docs/metrics.md``."""

import sys

from qlop.telemetry.metrics import Family, Metrics

_HEAD = """\
# Metrics

`GET /metrics` answers in Prometheus' text format. This page is generated from
`qlop/telemetry/metrics.py` (`python -m qlop.telemetry.reference > docs/metrics.md`); a test
keeps it true. Besides there are `process_cpu_seconds_total`,
`process_resident_memory_bytes` and the others of the standard process collector.

Label values known beforehand are there with 0 from the start. `route` is the template of a
path (`/nodes/{node}/qemu/{vmid}/config`), `revision` the one in force.

| metric | kind | labels | what it says |
|---|---|---|---|
"""

_TAIL = """
## What to alert on

| condition | means |
|---|---|
| `time() - max(qlop_last_observation_timestamp_seconds) > 300` | the cluster has not been seen whole for five minutes (one that stands by never sees it: hence `max`) |
| `absent(qlop_leading == 1)` for 5 minutes | no qlop runs, or none holds the lease |
| `qlop_stalled == 1` for 10 minutes | nothing is being done: `qlop status` says why |
| `qlop_guests_ready < qlop_guests_wanted` for 30 minutes | a guest is not as wanted: `qlop explain NAME` |
| `increase(qlop_cycles_total{outcome="failed"}[15m]) > 0` | a bug: the log has the traceback |
| `qlop_fuses_blown > 0` | a plan takes away too much at once and is held: `qlop status` |
| `qlop_approvals_wanted > 0` for a day | something waits for a person: `qlop status` |
| `qlop_orders{kind="break-glass"} > 0` | somebody declared an emergency: nothing waits for windows |
| `qlop_journal_failing == 1` | the disk under the journal is full or read-only |
| `qlop_api_endpoint_up == 0` | an endpoint does not answer; the others are used |
"""


def markdown() -> str:
    """Return the page ``docs/metrics.md``."""
    rows = [_row(family) for family in Metrics(version="").families()]
    return _HEAD + "".join(rows) + _TAIL


def _row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{family.name}` | {family.kind} | {labels} | {family.help} |\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
