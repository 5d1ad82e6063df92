"""``qlop undelete`` is about guests that the status shows as given up, and no others."""

from dataclasses import replace

from qlop.cli import ordering
from qlop.render.status import status_document
from tests import builders as b
from tests.render import worlds


def test_those_that_no_manifest_names_can_be_undeleted() -> None:
    status = worlds.STATUS
    first, second, *rest = status.subjects
    given_up = replace(first, orphan=True, index=1, service=b.WEB)
    seen = replace(status, subjects=(given_up, replace(second, orphan=False, index=1), *rest))

    state = ordering.parse_state(status_document(seen))

    assert state.orphans == {first.name: ("web", 1)}
