"""Show what adopting guests would do to each of them."""

from collections.abc import Iterable

from qlop.model.guest import GuestKind
from qlop.model.proof import Proof
from qlop.render.line import Line, Span, Tone, line
from qlop.render.plain_value import Document, plain_value
from qlop.render.plan import change_lines


def proof_lines(proofs: Iterable[Proof]) -> list[Line]:
    """Return a paragraph per guest: what is written, or why it is not adopted."""
    lines: list[Line] = []
    for proof in proofs:
        kind = "VM" if proof.kind is GuestKind.VM else "container"
        where = f": {kind} {proof.vmid} on {proof.node} "
        if proof.fits:
            lines.append(_head(proof, where, Span("fits its manifest", Tone.GOOD)))
            lines += change_lines(proof.writes, indent="    ")
            continue
        lines.append(_head(proof, where, Span("is not adopted", Tone.WARN)))
        lines += change_lines(proof.changes, indent="    ")
        lines += [line(f"    {reason}") for reason in proof.reasons]
        if not proof.changes and not proof.reasons and proof.held is not None:
            lines.append(line(f"    {proof.held.message}"))
        if proof.held is not None and proof.held.remedy:
            lines.append(line(Span("    remedy: ", Tone.STRONG), proof.held.remedy))
    return lines


def proof_document(proof: Proof) -> Document:
    """Return what adopting a guest would do, for JSON."""
    found = plain_value(proof)
    assert isinstance(found, dict), "a proof is a mapping of its fields"
    return {**found, "fits": proof.fits}


def _head(proof: Proof, where: str, verdict: Span) -> Line:
    return line(Span(proof.name, Tone.STRONG), where, verdict)
