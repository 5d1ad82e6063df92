"""Write manifests in which everything but the point of a test has a default."""

from textwrap import dedent, indent

from qlop.manifest.load import Loaded, load
from qlop.model.finding import Finding, Severity
from qlop.model.source import SourceFile, SourceTree

CLUSTER = """\
apiVersion: qlop/v1
kind: Cluster
metadata: {name: testland}
spec:
  nodes: [pve1, pve2, pve3]
  storages: [local, local-lvm, nas]
"""

VM = """\
type: vm
memory: 2GiB
source: {clone: {template: 9000}}
"""

CONTAINER = """\
type: container
memory: 1GiB
source: {archive: "local:vztmpl/debian.tar.zst"}
rootfs: {storage: local-lvm, size: 8GiB}
"""


def file(content: str | bytes, path: str = "a.yaml") -> SourceFile:
    raw = content.encode() if isinstance(content, str) else content
    return SourceFile(path=path, content=raw, size_bytes=len(raw))


def tree(*documents: str, **files: str) -> SourceTree:
    """Return a tree with one file of ``documents``, and others by name."""
    found = [file("---\n".join(documents))] if documents else []
    found += [file(content, f"{name}.yaml") for name, content in files.items()]
    return SourceTree(root="desired-state", files=tuple(found))


def service(spec: str = VM, name: str = "web") -> str:
    return _document("Service", name, spec)


def profile(spec: str, name: str) -> str:
    return _document("Profile", name, spec)


def _document(kind: str, name: str, spec: str) -> str:
    head = f"apiVersion: qlop/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n"
    return head + indent(dedent(spec), "  ")


def cluster(more: str) -> str:
    return CLUSTER + indent(dedent(more), "  ")


def loaded(*documents: str) -> Loaded:
    return load(tree(CLUSTER, *documents))


def said(result: Loaded) -> list[tuple[str, str]]:
    """Return code and field of each finding."""
    return [(finding.code, finding.field) for finding in result.findings]


def only(result: Loaded) -> Finding:
    """Return the one finding there is."""
    (finding,) = result.findings
    return finding


def is_error(finding: Finding) -> bool:
    return finding.severity is Severity.ERROR
