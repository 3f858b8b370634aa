"""Dates and sums in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from server.embedded.planner.recipes import WrongEntityError, read_entities
from server.embedded.planner.replies import reply

MARCH_1 = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("entities", "now", "words"),
    [
        ({"day": "tomorrow"}, MARCH_1.replace(day=31), "Tomorrow is Wednesday, April 1st."),
        ({"day": "yesterday"}, MARCH_1, "Yesterday was Saturday, February 28th."),
        ({"day": "doomsday"}, MARCH_1, "Today is Sunday, March 1st."),
        ({"part": "month"}, MARCH_1, "It is March."),
        ({"part": "year"}, MARCH_1, "It is 2026."),
    ],
)
def test_another_days_date_and_parts_of_todays(entities: dict[str, str], now: datetime, words: str) -> None:
    assert reply("get_date", entities, [], now) == words


@pytest.mark.parametrize(
    ("first", "operation", "second", "words"),
    [
        (2, "plus", 2, "2 plus 2 is 4."),
        (0.1, "plus", 0.2, "0.1 plus 0.2 is 0.3."),
        (3, "minus", 5, "3 minus 5 is -2."),
        (1000.0, "times", 2.5, "1000 times 2.5 is 2500."),
        (25, "divided by", 4, "25 divided by 4 is 6.25."),
        (10, "divided by", 3, "10 divided by 3 is about 3.3333."),
        (15, "percent of", 80, "15 percent of 80 is 12."),
        (50, "plus percent", 20, "50 plus 20 percent is 60."),
        (80, "minus percent", 2.5, "80 minus 2.5 percent is 78."),
        (20, "share", 80, "20 is 25 percent of 80."),
        (1, "share", 3, "1 is about 33.3333 percent of 3."),
        (1, "share", 0, "Nothing can be divided by zero."),
        (15, "percent of", None, "15 percent of what?"),
        (2, "power", 10, "2 to the power of 10 is 1024."),
        (2, "power", -1, "2 to the power of -1 is 0.5."),
        (0, "power", 0, "0 to the power of 0 is 1."),
        (0, "power", -1, "Nothing can be divided by zero."),
        (9, "power", 999_999_999, "9 to the power of 999999999 is more than I can say."),
        (2, "power", 0.5, "2 to the power of 0.5 is about 1.4142."),
        (144, "root", 2, "The square root of 144 is 12."),
        (2, "root", 2, "The square root of 2 is about 1.4142."),
        (0.25, "root", 2, "The square root of 0.25 is 0.5."),
        (0, "root", 2, "The square root of 0 is 0."),
        (-27, "root", 3, "The cube root of -27 is -3."),
        (-4, "root", 2, "-4 has no square root among the real numbers."),
        (10, "remainder", 3, "10 divided by 3 leaves 1."),
        (10, "remainder", 0, "Nothing can be divided by zero."),
        (10, "divided by", 0, "Nothing can be divided by zero."),
        (10, "to the power of", 2, "I cannot work out that sum."),
        (2, "plus", None, "I cannot work out that sum."),
    ],
)
def test_sums(first: float, operation: str, second: float | None, words: str) -> None:
    assert reply("calculate", {"first": first, "operation": operation, "second": second}, [], MARCH_1) == words


@pytest.mark.parametrize(
    ("first", "then", "words"),
    [
        (2, ["plus", 4], "2 plus 3 plus 4 is 9."),
        (2, ["times", 4], "2 plus 3 times 4 is 14."),
        (0.1, ["minus", 0.1, "divided by", 3], "0.1 plus 3 minus 0.1 divided by 3 is about 3.0667."),
        (2, ["divided by", 0], "Nothing can be divided by zero."),
    ],
)
def test_longer_sums(first: float, then: list[str | float], words: str) -> None:
    asked = {"first": first, "operation": "plus", "second": 3, "then": then}
    assert reply("calculate", read_entities(asked), [], MARCH_1) == words


@pytest.mark.parametrize("then", ["plus 4", ["plus"], [4, "plus"], ["power", 4], ["plus", "4"], [["plus"], 4]])
def test_a_sum_that_goes_on_oddly_is_refused(then: object) -> None:
    with pytest.raises(WrongEntityError, match=r"^entities\.then has to be"):
        read_entities({"first": 2, "operation": "plus", "second": 3, "then": then})


def test_what_cannot_be_done_is_said_shortly() -> None:
    asked = {"cannot": "play music or videos", "heard": "play a song"}
    assert reply("unknown", asked, [], MARCH_1) == "I am sorry, I cannot play music or videos."
