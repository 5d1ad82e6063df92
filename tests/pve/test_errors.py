"""Every error text that PVE was seen to answer is of the kind a person would say."""

from pathlib import Path

import pytest

from qlop.ports import ErrorKind, Method, PveCall, port_error

FIXTURES = Path(__file__).parent / "fixtures"
READ = PveCall(method=Method.GET, route="/nodes")
MUTATION = PveCall(method=Method.POST, route="/nodes/{node}/qemu")


def recorded() -> list[tuple[str, int, str, str]]:
    lines = (FIXTURES / "errors.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    return [(kind, int(status), call, reason) for kind, status, call, reason in rows]


@pytest.mark.parametrize(("kind", "status", "call", "reason"), recorded())
def test_a_recorded_answer_is_classified(kind: str, status: int, call: str, reason: str) -> None:
    made = READ if call == "read" else MUTATION

    error = port_error(made, status=status, reason=reason)

    assert (error.kind.value, error.status, str(error)) == (kind, status, reason)


@pytest.mark.parametrize(
    ("call", "status", "kind"),
    [
        pytest.param(READ, 502, ErrorKind.TRANSIENT, id="read-through-a-broken-gateway"),
        pytest.param(MUTATION, 502, ErrorKind.AMBIGUOUS, id="mutation-through-a-broken-gateway"),
        pytest.param(MUTATION, 503, ErrorKind.AMBIGUOUS, id="mutation-unavailable"),
        pytest.param(MUTATION, 597, ErrorKind.AMBIGUOUS, id="answer-cut-off"),
        pytest.param(MUTATION, 429, ErrorKind.TRANSIENT, id="too-many-requests"),
        pytest.param(MUTATION, 413, ErrorKind.INVALID, id="other-refusal"),
        pytest.param(READ, 404, ErrorKind.NOT_FOUND, id="not-found"),
    ],
)
def test_statuses_that_no_text_explains(call: PveCall, status: int, kind: ErrorKind) -> None:
    error = port_error(call, status=status, reason="")

    assert (error.kind, str(error)) == (kind, f"HTTP status {status}")


def test_complaints_about_parameters_are_told_with_the_message() -> None:
    error = port_error(
        MUTATION,
        status=400,
        reason="Parameter verification failed.\n",
        fields={"vmid": "type check ('integer') failed", "cores": "too large"},
    )

    assert str(error) == (
        "Parameter verification failed. (cores: too large; vmid: type check ('integer') failed)"
    )
