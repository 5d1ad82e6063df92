"""Name what of the API the simulator does not model, and why.

Nothing here is about guests, tasks, snapshots, HA resources or the resource list, and qlop
calls none of it.
"""

from collections.abc import Mapping

REASONS: Mapping[str, str] = {
    "/": "the web interface itself",
    "/api2/html/version": "pages for people without the web interface",
    "/api2/htmljs/version": "pages for people without the web interface",
    "/cluster/sdn": "virtual networks are laid by the network's own tools",
    "/cluster/metrics": "export of metrics to other systems",
    "/cluster/notifications": "mail and webhooks of the host",
    "/cluster/acme": "certificates of the host's own web server",
    "/cluster/ceph": "no Ceph is simulated",
    "/cluster/config": "forming a cluster of hosts",
    "/access/domains": "realms for people to log in",
    "/access/tfa": "second factors of people",
    "/nodes/{node}/aplinfo": "the appliance index is downloaded from the internet",
    "/nodes/{node}/apt": "packages of the host",
    "/nodes/{node}/capabilities": "what the host's processor and QEMU can do",
    "/nodes/{node}/dns": "the host's own settings",
    "/nodes/{node}/hosts": "the host's own settings",
    "/nodes/{node}/hardware": "the host's hardware",
    "/nodes/{node}/journal": "the host's journal",
    "/nodes/{node}/syslog": "the host's journal",
    "/nodes/{node}/network": "bridges are given by the world, not made over the API",
    "/nodes/{node}/report": "the host's report for support",
    "/nodes/{node}/rrddata": "time series of the host",
    "/nodes/{node}/storage/{storage}/rrddata": "time series of a storage",
    "/nodes/{node}/services": "services of the host",
    "/nodes/{node}/subscription": "the host's subscription",
    "/nodes/{node}/vzdump/defaults": "defaults for the backup form of the web interface",
}

PAGES = frozenset({"/", "/api2/html/version", "/api2/htmljs/version"})
"""What is no API: the simulator answers that there is no such file, or formatter."""


def reason(template: str) -> str | None:
    """Return why a route is not modelled; ``None`` if it is meant to be."""
    for prefix, why in REASONS.items():
        if template == prefix or template.startswith(f"{prefix}/"):
            return why
    return None
