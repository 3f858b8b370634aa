"""Dates in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from server.embedded.replies import reply

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
