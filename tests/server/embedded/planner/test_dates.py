"""Other days, times and places than here and now, from words to the reply. It is Sunday, 1 March 2026, 12:05 UTC."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from server.embedded.intent.recognition import recognise
from server.embedded.planner.replies import reply
from tests.server.embedded.planner.told import told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("What day is it in 3 days?", "That will be Wednesday, March 4th."),
        ("what is the date in two weeks", "That will be Sunday, March 15th."),
        ("what will the date be in 3 weeks", "That will be Sunday, March 22nd."),
        ("what day was it ten days ago", "That was Thursday, February 19th."),
        ("what date is it a month from now", "That will be Wednesday, April 1st."),
        ("what year was it ten years ago", "That was Tuesday, March 1st, 2016."),
        ("what date is it tomorrow", "Tomorrow is Monday, March 2nd."),
        ("What day is today?", "Today is Sunday, March 1st."),
        ("what is the day after tomorrow", "That will be Tuesday, March 3rd."),
        ("how long until Friday", "There are 5 days until Friday, March 6th."),
        ("how many days until March 2nd", "There is 1 day until Monday, March 2nd."),
        ("How many days are there until Christmas?", "There are 299 days until Friday, December 25th."),
        ("what day is next Sunday", "That will be Sunday, March 8th."),
        ("when is this Sunday", "That is today, Sunday, March 1st."),
        ("how many days until this Sunday", "That is today, Sunday, March 1st."),
        ("when is this coming Sunday", "That will be Sunday, March 8th."),
        ("what day is this Monday", "That will be Monday, March 2nd."),
        ("what day was last Sunday", "That was Sunday, February 22nd."),
        ("what day was last Friday", "That was Friday, February 27th."),
        ("when is New Year's Eve", "That will be Thursday, December 31st."),
        ("what day is March 1", "That is today, Sunday, March 1st."),
        ("what day is the 28th of February", "That will be Sunday, February 28th, 2027."),
        ("when is February 29", "That will be Tuesday, February 29th, 2028."),
        ("what day of the week is January 1, 2030", "That will be Tuesday, January 1st, 2030."),
        ("what day was 2023-02-29", "I know no such date."),
        ("what day is it in 90000 years", "I know no such date."),
        ("is today Monday", "Today is Sunday, March 1st."),
        ("what week is it", "It is week 9."),
        ("what time will it be in 3 hours", "That will be 3:05 PM."),
        ("what time was it 13 hours ago", "That was 11:05 PM on Saturday, February 28th."),
        ("how long until 5 pm", "There are 4 hours and 55 minutes until 5:00 PM."),
        ("how long until noon", "There are 23 hours and 55 minutes until 12:00 PM."),
        ("how many minutes until 12:06", "There is 1 minute until 12:06 PM."),
        ("what time will it be in half an hour", "That will be 12:35 PM."),
        ("what time is it in an hour and a half", "That will be 1:35 PM."),
        ("what time will it be in 2 and a half hours", "That will be 2:35 PM."),
        ("what time will it be in 2.5 hours", "That will be 2:35 PM."),
        ("what time was it a quarter of an hour ago", "That was 11:50 AM."),
        ("what day is it in a year and a half", "That will be Wednesday, September 1st, 2027."),
        ("time in Paris", "It is 1:05 PM in Paris."),
        ("what time is it in Berlin, Germany?", "It is 1:05 PM in Berlin, Germany."),
        ("what time is it in San Francisco", "It is 4:05 AM in San Francisco."),
        ("what time is it UTC", "It is 12:05 PM in utc."),
        ("what time is it in the United States", "There is more than one time in the United States. Tell me a city."),
        ("what time is it in Narnia", "I do not know what time it is in Narnia."),
        ("what day is it in Tokyo", "It is Sunday, March 1st in Tokyo."),
        ("what day is it in Narnia", "I do not know what time it is in Narnia."),
    ],
)
def test_what_is_asked_is_told(text: str, words: str) -> None:
    assert told(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "when is my birthday",
        "when is the meeting",
        "how long is a mile",
        "what is the weather tomorrow",
        "what is Halloween?",
    ],
)
def test_other_questions_are_not_about_the_calendar(text: str) -> None:
    assert recognise(text)[0].intent not in {"get_date", "get_time"}


@pytest.mark.parametrize("when", ["+1 days", "never", "99:99", "weekday 9"])
def test_a_time_that_is_none(when: str) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=ZoneInfo("UTC"))
    assert reply("get_time", {"when": when, "ask": "time"}, [], now) == "I know no such date."


def test_a_span_without_an_end() -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=ZoneInfo("UTC"))
    assert reply("get_date", {"when": "+1 days", "ask": "between"}, [], now) == "I know no such date."


def test_hours_are_counted_across_a_change_of_the_clocks() -> None:
    before = datetime(2026, 3, 29, 1, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert reply("get_time", {"when": "+1 hours", "ask": "time"}, [], before) == "That will be 3:30 AM."


def test_hours_until_a_time_are_counted_across_a_change_of_the_clocks() -> None:
    before = datetime(2026, 3, 29, 1, 0, tzinfo=ZoneInfo("Europe/Berlin"))
    assert reply("get_time", {"when": "08:00", "ask": "until"}, [], before) == "There are 6 hours until 8:00 AM."


def test_hours_until_a_day_are_counted_across_a_change_of_the_clocks() -> None:
    before = datetime(2026, 3, 29, 1, 0, tzinfo=ZoneInfo("Europe/Berlin"))
    asked = {"when": "+1 days", "ask": "until", "measure": "hours"}
    assert reply("get_date", asked, [], before) == "There are 22 hours until Monday, March 30th."


@pytest.mark.parametrize(("zone", "hours"), [("Europe/Berlin", 87649391), ("America/New_York", 87649392)])
def test_hours_are_counted_between_the_first_and_last_days_of_the_calendar(zone: str, hours: int) -> None:
    """In UTC, one of these begins on a day that no calendar has: the service failed. By their first clocks, Berlin is 6.5 minutes behind."""
    asked = {"when": "0001-01-01", "end": "9999-12-31", "ask": "between", "measure": "hours"}
    words = reply("get_date", asked, [], datetime(2026, 3, 1, 12, tzinfo=ZoneInfo(zone)))
    assert words == f"There are {hours} hours between Monday, January 1st, 1 and Friday, December 31st, 9999."
