"""Days, feasts and times as they are said, in words rather than figures. It is Sunday, 1 March 2026, 12:05 UTC."""

from __future__ import annotations

from datetime import date

import pytest

from server.embedded.intent.figures import in_figures
from server.embedded.intent.recognition import recognise
from server.embedded.planner.dates import _easter
from tests.server.embedded.planner.told import told


@pytest.mark.parametrize(
    ("text", "figures"),
    [
        ("january fifth twenty twenty seven", "january 5th 2027"),
        ("the fourth of july nineteen seventy six", "the 4th of july 1976"),
        ("nineteen oh five", "1905"),
        ("two thousand and twenty six", "2026"),
        ("ten oh five pm", "10:05 pm"),
        ("twenty five past six", "25 past 6"),
        ("twenty-first of June, two thousand ten", "21st of june, 2010"),
        ("may second", "may 2nd"),
        ("one second ago", "1 second ago"),
        ("one thousand two hundred days", "1200 days"),
        ("five five", "5 5"),
    ],
)
def test_numbers_are_written_in_figures(text: str, figures: str) -> None:
    assert in_figures(text) == figures


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("what day is it on the first of may", "That will be Friday, May 1st."),
        ("what weekday was the fourth of july nineteen seventy six", "That was Sunday, July 4th, 1976."),
        ("when is the first monday in december", "That will be Monday, December 7th."),
        ("when's the last friday of the month", "That will be Friday, March 27th."),
        ("when is the fifth monday in april", "That will be Monday, April 30th, 2029."),
        ("when's easter this year", "That will be Sunday, April 5th."),
        ("when's the last day of february in 2028", "That will be Tuesday, February 29th, 2028."),
        ("count the days till easter", "There are 35 days until Sunday, April 5th."),
        ("when is good friday", "That will be Friday, April 3rd."),
        ("when is thanksgiving", "That will be Thursday, November 26th."),
        ("when was thanksgiving", "That was Thursday, November 27th, 2025."),
        ("what day does christmas fall on next year", "That will be Saturday, December 25th, 2027."),
        ("what day was it three days before yesterday", "That was Wednesday, February 25th."),
        ("what date is two weeks after easter", "That will be Sunday, April 19th."),
        ("what's the date a week from tuesday", "That will be Tuesday, March 10th."),
        ("what date was it a fortnight ago", "That was Sunday, February 15th."),
        ("in two days, what day is it", "That will be Tuesday, March 3rd."),
        ("is tomorrow a weekday", "Tomorrow is Monday, March 2nd."),
        ("what day's tomorrow", "Tomorrow is Monday, March 2nd."),
        ("how far away is christmas", "There are 299 days until Friday, December 25th."),
        ("how many weeks until christmas", "There are 42 weeks and 5 days until Friday, December 25th."),
        ("how many months is it till christmas", "There are 9 months and 24 days until Friday, December 25th."),
        ("how many sleeps till tuesday", "There are 2 nights until Tuesday, March 3rd."),
        ("how many hours until tomorrow", "There are 11 hours until Monday, March 2nd."),
        ("how many days are left in the month", "There are 30 days until Tuesday, March 31st."),
        ("how many days since the first of january", "It has been 59 days since Thursday, January 1st."),
        ("how long ago was christmas", "It has been 66 days since Thursday, December 25th, 2025."),
        (
            "how many days between march third and june ninth",
            "There are 98 days between Tuesday, March 3rd and Tuesday, June 9th.",
        ),
        (
            "how many days between yesterday and tomorrow",
            "There are 2 days between Saturday, February 28th and Monday, March 2nd.",
        ),
        (
            "how many hours between tomorrow and yesterday",
            "There are 48 hours between Monday, March 2nd and Saturday, February 28th.",
        ),
        (
            "how many days between Christmas and New Year",
            "There are 7 days between Friday, December 25th and Friday, January 1st, 2027.",
        ),
        ("is twenty twenty eight a leap year", "2028 is a leap year."),
        ("is this year a leap year", "2026 is no leap year."),
        ("how many days does february have in 2028", "February 2028 has 29 days."),
        ("how old is someone born in nineteen ninety", "Somebody born then is 35 or 36 years old."),
        ("how old would i be if i was born on may third two thousand", "Somebody born then is 25 years old."),
        ("an hour and a half from now is what time", "That will be 1:35 PM."),
        ("in ninety minutes what time will it be", "That will be 1:35 PM."),
        ("how long is it till five pm", "There are 4 hours and 55 minutes until 5:00 PM."),
        ("how long until half past seven tonight", "There are 7 hours and 25 minutes until 7:30 PM."),
        ("how much time do i have before quarter to one", "There are 40 minutes until 12:45 PM."),
        ("how long until half past seven", "There are 7 hours and 25 minutes until 7:30 PM."),
        ("how many minutes left until two o'clock", "There are 115 minutes until 2:00 PM."),
        ("any idea what time it'd be in tokyo now", "It is 9:05 PM in tokyo."),
        ("do you know how far off christmas is", "There are 299 days until Friday, December 25th."),
        ("is it still february", "It is March."),
    ],
)
def test_what_is_asked_is_told(text: str, words: str) -> None:
    assert told(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "what is valentine's day",
        "how long is december",
        "how far away is london",
        "how long is the film",
        "what day is the party",
        "how old is the queen",
        "how many days are in three weeks",
        "how long until the bus comes",
        "how many days since my birthday",
        "when is the second coming",
    ],
)
def test_what_is_no_day_is_not_made_one(text: str) -> None:
    assert recognise(text)[0].intent not in {"get_date", "get_time"}


@pytest.mark.parametrize(
    ("earlier", "reply", "text", "words"),
    [
        (
            "what day is christmas",
            "That will be Friday, December 25th.",
            "how long until then",
            "There are 299 days until Friday, December 25th.",
        ),
        (
            "what time will it be in 2 hours",
            "That will be 2:05 PM.",
            "how long until then",
            "There are 2 hours until 2:05 PM.",
        ),
        (
            "remember that my flight is on the tenth of march",
            "I will remember that.",
            "how long until then",
            "There are 9 days until Tuesday, March 10th.",
        ),
        (
            "how many days until christmas",
            "There are 299 days until Friday, December 25th.",
            "and how many weeks is that",
            "299 days are about 42.71 weeks.",
        ),
    ],
)
def test_then_is_what_was_told(earlier: str, reply: str, text: str, words: str) -> None:
    assert told(text, [("user", earlier), ("assistant", reply), ("user", text)]) == words


@pytest.mark.parametrize(
    ("year", "month", "day"), [(1818, 3, 22), (1943, 4, 25), (2000, 4, 23), (2026, 4, 5), (2027, 3, 28), (2038, 4, 25)]
)
def test_easter_is_where_the_almanac_has_it(year: int, month: int, day: int) -> None:
    assert _easter(year) == date(year, month, day)
