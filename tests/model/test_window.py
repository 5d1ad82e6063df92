from datetime import date, time

import pytest

from qlop.model.window import Cron, parse_cron, parse_date, parse_time, parse_weekdays

EVERY_DAY, EVERY_MONTH = frozenset(range(1, 32)), frozenset(range(1, 13))


def cron(text: str) -> Cron:
    return parse_cron(text)


@pytest.mark.parametrize(
    ("text", "day", "due"),
    [
        pytest.param("0 2 * * *", date(2026, 11, 24), True, id="every-day"),
        pytest.param("0 2 * * 2", date(2026, 11, 24), True, id="tuesday-is-two"),
        pytest.param("0 2 * * tue", date(2026, 11, 24), True, id="tuesday-by-name"),
        pytest.param("0 2 * * mon,wed-fri", date(2026, 11, 24), False, id="not-a-tuesday"),
        pytest.param("0 2 * * 0", date(2026, 11, 22), True, id="sunday-is-zero"),
        pytest.param("0 2 * * 7", date(2026, 11, 22), True, id="sunday-is-seven"),
        pytest.param("0 2 1 * *", date(2026, 12, 1), True, id="first-of-the-month"),
        pytest.param("0 2 1 * *", date(2026, 12, 2), False, id="not-the-first"),
        pytest.param("0 2 1 * tue", date(2026, 12, 1), True, id="either-by-both"),
        pytest.param("0 2 1 * tue", date(2026, 11, 24), True, id="either-by-weekday"),
        pytest.param("0 2 1 * tue", date(2027, 1, 1), True, id="either-by-date"),
        pytest.param("0 2 1 * tue", date(2026, 11, 25), False, id="neither"),
        pytest.param("0 2 */2 * tue", date(2026, 11, 24), False, id="a-step-is-no-choice"),
        pytest.param("0 2 * jan-mar *", date(2026, 4, 1), False, id="not-in-april"),
        pytest.param("0 2 29 feb *", date(2028, 2, 29), True, id="leap-day"),
    ],
)
def test_on_which_days_a_cron_line_is_due(text: str, day: date, due: bool) -> None:  # noqa: FBT001  # a column
    assert cron(text).is_due_on(day) is due


@pytest.mark.parametrize(
    ("text", "minutes", "hours"),
    [
        pytest.param("0 2 * * *", (0,), (2,), id="one"),
        pytest.param("0,30 1-3 * * *", (0, 30), (1, 2, 3), id="lists-and-ranges"),
        pytest.param("5 */6 * * *", (5,), (0, 6, 12, 18), id="steps"),
        pytest.param("5 20/2 * * *", (5,), (20, 22), id="steps-from"),
    ],
)
def test_at_which_times(text: str, minutes: tuple[int, ...], hours: tuple[int, ...]) -> None:
    assert (cron(text).minutes, cron(text).hours) == (minutes, hours)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("0 2 * *", "has 4 fields", id="too-few"),
        pytest.param("60 2 * * *", "from 0 to 59", id="minute"),
        pytest.param("0 24 * * *", "from 0 to 23", id="hour"),
        pytest.param("0 2 0 * *", "from 1 to 31", id="day"),
        pytest.param("0 2 * 13 *", "from 1 to 12", id="month"),
        pytest.param("0 2 * * 8", "from 0 to 7", id="weekday"),
        pytest.param("0 2 * * fun", "no weekday", id="word"),
        pytest.param("0 2 * * */0", "no weekday", id="step-of-nothing"),
        pytest.param("0 5-2 * * *", "no hour", id="backwards"),
        pytest.param("0 2 30 feb *", "never due", id="no-such-day"),
        pytest.param("*/5 * * * *", "288 times a day", id="never-shut"),
    ],
)
def test_what_is_no_cron_line(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_cron(text)


def test_weekdays_go_round_the_week() -> None:
    assert parse_weekdays("sat-mon") == {5, 6, 0}
    assert parse_weekdays("Wed") == {2}
    with pytest.raises(ValueError, match="no weekday"):
        parse_weekdays("weekend")


def test_times_and_dates() -> None:
    assert parse_time("02:30") == time(2, 30)
    assert parse_date("2026-12-24") == date(2026, 12, 24)
    for wrong in ("2:30", "24:00", "02:30:00"):
        with pytest.raises(ValueError, match="no time of day"):
            parse_time(wrong)
    with pytest.raises(ValueError, match="no date"):
        parse_date("24.12.2026")
