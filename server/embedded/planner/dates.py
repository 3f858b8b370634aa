"""Other days and times than now, in words. `when` is described in server/embedded/intent/dates.py."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

from server.embedded.planner.spoken_values import counted, spoken_day

_OFFSET = re.compile(r"(?P<amount>[+-]\d{1,7}) (?P<unit>days|months|years|hours|minutes|seconds)")
_WEEKDAY = re.compile(r"(?P<this>this )?weekday (?P<last>-?)(?P<day>[0-6])")
_DATE = re.compile(r"(?:(?P<year>\d{4})-)?(?P<month>\d\d)-(?P<day>\d\d)")
_CLOCK = re.compile(r"(?P<hour>\d\d):(?P<minute>\d\d)")


def spoken_clock(at: datetime) -> str:
    """`9:05 PM`."""
    return f"{at.hour % 12 or 12}:{at.minute:02d} {'AM' if at.hour < 12 else 'PM'}"


def spoken_date(day: date, today: date) -> str:
    """`Sunday, March 1st`; with the year if it is not this one."""
    year = "" if day.year == today.year else f", {day.year}"
    return f"{day:%A}, {day:%B} {spoken_day(day.day)}{year}"


def told_day(facts: dict[str, Any], now: datetime) -> str:
    """Add the date that is asked for to the facts; returns the name of the reply."""
    today = now.date()
    try:
        day = _day(str(facts["when"]), today)
    except (ValueError, OverflowError):
        return "get_date_never"
    facts["date"] = spoken_date(day, today)
    apart = (day - today).days
    if apart == 0:
        return "get_date_today"
    if facts.get("ask") == "until" and apart > 0:
        facts |= {"are": "is" if apart == 1 else "are", "count": counted(apart, "day")}
        return "get_date_until"
    return "get_date_will_be" if apart > 0 else "get_date_was"


def told_time(facts: dict[str, Any], now: datetime) -> str:
    """Add the time that is asked for to the facts; returns the name of the reply."""
    clock = _CLOCK.fullmatch(str(facts["when"]))
    if clock is not None:
        return _told_until(facts, clock, now)
    offset = _OFFSET.fullmatch(str(facts["when"]))
    if offset is None or offset["unit"] not in {"hours", "minutes", "seconds"}:
        return "get_date_never"
    later = now.astimezone(UTC) + timedelta(**{offset["unit"]: int(offset["amount"])})
    then = later.astimezone(now.tzinfo)  # the clocks may have changed meanwhile
    facts["time"] = spoken_clock(then)
    if then.date() != now.date():
        facts["time"] += f" on {spoken_date(then.date(), now.date())}"
    return "get_time_will_be" if int(offset["amount"]) >= 0 else "get_time_was"


def _told_until(facts: dict[str, Any], clock: re.Match[str], now: datetime) -> str:
    """The hours and minutes until the next time that the clock shows this."""
    hour, minute = int(clock["hour"]), int(clock["minute"])
    if hour > 23 or minute > 59:
        return "get_date_never"
    ahead = (hour * 60 + minute - now.hour * 60 - now.minute - 1) % (24 * 60) + 1
    # the clocks may change until then, so that the hours are others than those between the two times
    until = (now + timedelta(minutes=ahead)).astimezone(UTC) - now.astimezone(UTC)
    ahead = round(until.total_seconds()) // 60
    hours, minutes = divmod(ahead, 60)
    parts = [counted(number, noun) for number, noun in ((hours, "hour"), (minutes, "minute")) if number]
    facts |= {"count": " and ".join(parts), "are": "is" if ahead in {1, 60} else "are"}
    facts["time"] = spoken_clock(now.replace(hour=hour, minute=minute))
    return "get_time_until"


def _day(when: str, today: date) -> date:
    """The day. Raises ValueError or OverflowError for one that no calendar has."""
    offset = _OFFSET.fullmatch(when)
    if offset is not None:
        return _moved(today, int(offset["amount"]), offset["unit"])
    weekday = _WEEKDAY.fullmatch(when)
    if weekday is not None:
        ahead = (int(weekday["day"]) - today.weekday()) % 7
        if ahead == 0 and not weekday["this"]:
            ahead = 7
        return today + timedelta(
            days=ahead - 7 if weekday["last"] and ahead < 7 else ahead - 14 if weekday["last"] else ahead
        )
    if when.startswith("day "):
        return _next_of_month(int(when.removeprefix("day ")), today)
    given = _DATE.fullmatch(when)
    if given is None:
        raise ValueError(when)
    if given["year"]:
        return date(int(given["year"]), int(given["month"]), int(given["day"]))
    return _next(int(given["month"]), int(given["day"]), today)


def _next_of_month(number: int, today: date) -> date:
    """The next day with that number, in a month that has one."""
    ahead = (today + timedelta(days=days) for days in range(62))
    return next((day for day in ahead if day.day == number), today.replace(day=number))


def _moved(day: date, by: int, unit: str) -> date:
    if unit == "days":
        return day + timedelta(days=by)
    months = day.year * 12 + day.month - 1 + (by * 12 if unit == "years" else by)
    year, month = divmod(months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _next(month: int, day: int, today: date) -> date:
    """The next day with that date, which for 29 February may be years away."""
    for year in range(today.year, today.year + 9):
        if day <= calendar.monthrange(year, month)[1] and date(year, month, day) >= today:
            return date(year, month, day)
    raise ValueError(day)
