"""Which endpoint is asked, and when none is."""

from qlop.pve.endpoints import FAILURES_OPEN, REST_MAX_S, Endpoints

A, B, C = "a:8006", "b:8006", "c:8006"


def failing(endpoints: Endpoints, authority: str, times: int, now: float = 0.0) -> list[bool]:
    return [endpoints.failed(authority, f"{authority}: no", now) for _ in range(times)]


def test_the_first_is_preferred_and_each_is_known_once() -> None:
    assert Endpoints((A, B, A)).candidates(0) == (A, B)


def test_whoever_answered_last_is_asked_first() -> None:
    endpoints = Endpoints((A, B, C))

    endpoints.answered(B)

    assert endpoints.candidates(0) == (B, A, C)


def test_a_failed_one_rests_and_is_the_last_resort_meanwhile() -> None:
    endpoints = Endpoints((A, B))

    endpoints.failed(A, "a: no", 0)

    assert endpoints.candidates(0.5) == (B, A)
    assert [(one.healthy, one.rest_s) for one in endpoints.health(0.5)] == [
        (False, 0.5),
        (True, 0.0),
    ]


def test_after_its_rest_it_is_tried_behind_those_that_work() -> None:
    endpoints = Endpoints((A, B))

    endpoints.failed(A, "a: no", 0)

    assert endpoints.candidates(1.0) == (B, A)


def test_rests_grow_up_to_a_limit() -> None:
    endpoints = Endpoints((A, B))

    rests = []
    for _ in range(8):
        endpoints.failed(A, "no", 0)
        rests.append(endpoints.health(0)[0].rest_s)

    assert rests == [1, 2, 4, 8, 16, REST_MAX_S, REST_MAX_S, REST_MAX_S]


def test_the_circuit_opens_once_when_all_have_failed_often() -> None:
    endpoints = Endpoints((A, B))

    assert failing(endpoints, A, FAILURES_OPEN) == [False, False, False]
    assert failing(endpoints, B, FAILURES_OPEN + 1) == [False, False, True, False]
    assert endpoints.candidates(1.0) == ()
    assert endpoints.reopens_in_s(1.0) == 3.0
    assert endpoints.errors() == "a:8006: no; b:8006: no"


def test_after_the_rest_one_call_is_let_through() -> None:
    endpoints = Endpoints((A,))
    failing(endpoints, A, FAILURES_OPEN)

    assert endpoints.candidates(4.0) == (A,)
    endpoints.claim(A, 4.0, 30.0)

    assert endpoints.candidates(4.1) == ()


def test_an_answer_closes_the_circuit() -> None:
    endpoints = Endpoints((A,))
    failing(endpoints, A, FAILURES_OPEN)

    assert endpoints.answered(A)
    assert endpoints.candidates(0) == (A,)
    assert not endpoints.answered(A)
    assert endpoints.errors() == ""
