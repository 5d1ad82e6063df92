"""What the page on installing grants is enough, and a hold says what is not granted."""

import re

from qlop.model.verdict import Converged, Held, Hold
from qlop.ports import Method, PveCall
from qlop.render.status import held_of
from qlop.sim.inprocess import InProcessApi
from qlop.sim.world import hospital
from tests.laws.closed import Clock, House
from tests.laws.test_closed_loop import run
from tests.laws.town import TOWN, vm, wanted
from tests.sim.documented import CREDENTIAL, OPTIONAL, ROLES, granted

LEAST = {name: privileges for name, privileges in ROLES.items() if name != OPTIONAL}
FIRST = {"name": "first", "memory": "1024", "startup": {"order": "1"}}
ROLE = re.compile(r"pveum role add (\w+) --privs (\S+)")
ACL = re.compile(
    r"pveum acl modify (\S+) --users (\S+) --tokens '(\S+)' --roles (\w+) --propagate (\d)"
)


def test_a_town_is_built_with_the_least_that_the_page_grants() -> None:
    async def story() -> None:
        house = House(wanted(*TOWN), spec=granted(hospital(), LEAST), token=CREDENTIAL)

        assert await house.live(), house.left()
        assert house.last is not None
        assert all(isinstance(one.verdict, Converged) for one in house.last.status.subjects)

    run(story())


def test_the_start_order_of_a_vm_waits_for_the_right_that_its_hold_names() -> None:
    async def story() -> None:
        desired = wanted(vm("first", options=FIRST))
        house = House(desired, spec=granted(hospital(), LEAST), token=CREDENTIAL)
        assert await house.live(), house.left()
        assert house.last is not None
        held = held_of(house.last.status.subjects[0])
        assert isinstance(held, Held)
        assert (held.reason, held.message) == (
            Hold.DENIED,
            "PVE refuses configure: Permission check failed (/, Sys.Modify)",
        )
        before = len(house.sent)
        assert await house.stay_calm(200) == [], "it is not tried again and again"
        assert len(house.sent) == before

        await _obey(house, held.remedy)
        await house.stay_calm(300)
        assert await house.live(), house.left()

        assert isinstance(house.last.status.subjects[0].verdict, Converged), house.left()

    run(story())


async def _obey(house: House, remedy: str) -> None:
    """Type what a hold says, as root."""
    api = InProcessApi(house.cluster, Clock())
    role, acl = ROLE.search(remedy), ACL.search(remedy)
    assert role is not None, remedy
    assert acl is not None, remedy
    made = {"roleid": role[1], "privs": role[2]}
    await api.call(PveCall(method=Method.POST, route="/access/roles", params=made))
    given = dict(zip(("path", "users", "tokens", "roles", "propagate"), acl.groups(), strict=True))
    await api.call(PveCall(method=Method.PUT, route="/access/acl", params=given))
