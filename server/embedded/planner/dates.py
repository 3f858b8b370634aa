"""Other days and times than now, in words. `when` is described in server/embedded/intent/moments.py."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from server.embedded.planner.spoken_values import counted, spoken_day

if TYPE_CHECKING:
    from collections.abc import Callable

_OFFSET = re.compile(r"(?P<amount>[+-]\d{1,7}) (?P<unit>days|months|years|hours|minutes|seconds)")
_WEEKDAY = re.compile(r"(?P<this>this )?weekday (?P<last>-?)(?P<day>[0-6])")
_DATE = re.compile(r"(?:(?P<year>\d{4})-)?(?P<month>\d\d)-(?P<day>\d\d)")
_NTH = re.compile(r"(?P<nth>-1|[1-5]) weekday (?P<day>[0-6]) of (?:(?P<ahead>\+\d) month|(?P<month>\d{1,2}))")
_EASTER = re.compile(r"easter (?P<by>[+-]\d{1,2})")
_END = re.compile(r"(?P<month>\d\d)-end")
_IN_YEAR = re.compile(r"(?P<yearly>.+) in (?:(?P<year>\d{4})|(?P<by>[+-]\d) year)")
_CLOCK = re.compile(r"(?P<either>~?)(?P<hour>\d\d):(?P<minute>\d\d)")
YEARS_LOOKED_AT = 9  # for the next 29 February
HALF_DAY = 12 * 60  # minutes


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
    ask = str(facts.get("ask", ""))
    try:
        day = _day(str(facts["when"]), today, past=ask in {"since", "was"})
        end = _end(str(facts.get("end", "")), day, today) if ask == "between" else day
    except (ValueError, OverflowError):
        return "get_date_never"
    facts["date"] = spoken_date(day, today)
    if ask in _TOLD:
        return _TOLD[ask](facts, day, today)
    if ask == "between" and end != day:
        facts["end"] = spoken_date(end, today)
        _count(facts, min(day, end), max(day, end), now)
        return "get_date_between"
    if day == today:
        return "get_date_today"
    if (ask == "until" and day > today) or (ask == "since" and day < today):
        _count(facts, min(today, day), max(today, day), now)
        return f"get_date_{ask}"
    return "get_date_will_be" if day > today else "get_date_was"


def _count(facts: dict[str, Any], start: date, end: date, now: datetime) -> None:
    """Add the time between two days, in the unit that was asked for."""
    days = (end - start).days
    measure = str(facts.get("measure", "days"))
    parts = [(days, "night")] if measure in {"nights", "sleeps"} else [(days, "day")]
    if measure == "weeks":
        parts = [(days // 7, "week"), (days % 7, "day")]
    elif measure in {"months", "years"}:
        months = (end.year - start.year) * 12 + end.month - start.month
        months -= _moved(start, months, "months") > end
        years = months // 12 if measure == "years" else 0
        rest = (end - _moved(start, months, "months")).days
        parts = [(years, "year"), (months - 12 * years, "month"), (rest, "day")]
    elif measure in {"hours", "minutes", "seconds"}:
        begun = now if start == now.date() else datetime.combine(start, time(), now.tzinfo)
        whole = _between(begun, datetime.combine(end, time(), now.tzinfo))
        parts = [(round(whole.total_seconds()) // {"hours": 3600, "minutes": 60, "seconds": 1}[measure], measure[:-1])]
    said = [counted(number, noun) for number, noun in parts if number] or [counted(0, parts[-1][1])]
    facts |= {"are": "is" if said[0].startswith("1 ") and len(said) == 1 else "are", "count": _listed(said)}


def _between(start: datetime, end: datetime) -> timedelta:
    """The time that passes between two of a zone, whose clocks may change meanwhile. The calendar's first day may not begin in UTC's."""
    offsets = [at.utcoffset() or timedelta() for at in (start, end)]
    return end.replace(tzinfo=None) - start.replace(tzinfo=None) - (offsets[1] - offsets[0])


def _listed(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _leap(facts: dict[str, Any], day: date, _today: date) -> str:
    facts["year"] = str(day.year)
    return "get_date_leap" if calendar.isleap(day.year) else "get_date_no_leap"


def _length(facts: dict[str, Any], day: date, _today: date) -> str:
    facts |= {"month": f"{day:%B %Y}", "count": counted(calendar.monthrange(day.year, day.month)[1], "day")}
    return "get_date_length"


def _age(facts: dict[str, Any], born: date, today: date) -> str:
    """The age of who was born then, or in that year."""
    age = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    if born > today:
        return "get_date_never"
    facts["count"] = f"{age} or {age + 1}" if facts.get("part") == "year" else str(age)
    return "get_date_age"


_TOLD: dict[str, Callable[[dict[str, Any], date, date], str]] = {"leap": _leap, "length": _length, "age": _age}


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
    if clock["either"]:
        ahead = (ahead - 1) % HALF_DAY + 1
    at = now + timedelta(minutes=ahead)
    # the clocks may change until then, so that the hours are others than those between the two times
    until = at.astimezone(UTC) - now.astimezone(UTC)
    ahead = round(until.total_seconds()) // 60
    hours, minutes = (0, ahead) if facts.get("measure") == "minutes" else divmod(ahead, 60)
    parts = [counted(number, noun) for number, noun in ((hours, "hour"), (minutes, "minute")) if number]
    facts |= {"count": " and ".join(parts), "are": "is" if parts[0].startswith("1 ") and len(parts) == 1 else "are"}
    facts["time"] = spoken_clock(at)
    return "get_time_until"


def _day(when: str, today: date, *, past: bool = False) -> date:
    """The day; of those that come again and again the next one, or the last. Raises ValueError or OverflowError for one that no calendar has."""
    for part in when.split("; "):
        today = _one_day(part, today, past=past)
    return today


def _end(when: str, start: date, today: date) -> date:
    """The end of a span: `tomorrow` counts from today, but `New Year` is the one after the start. Raises as `_day` does."""
    return _day(when, today if _OFFSET.match(when) else start)


def _one_day(when: str, today: date, *, past: bool) -> date:
    offset = _OFFSET.fullmatch(when)
    if offset is not None:
        return _moved(today, int(offset["amount"]), offset["unit"])
    weekday = _WEEKDAY.fullmatch(when)
    if weekday is not None:
        return _of_week(weekday, today, past=past)
    if when.startswith("day "):
        return _next_of_month(int(when.removeprefix("day ")), today)
    if when.startswith("end of "):
        return date(today.year, 12, 31) if when.endswith("year") else _in_month(today, 31)
    if in_year := _IN_YEAR.fullmatch(when):
        year = int(in_year["year"] or today.year + int(in_year["by"]))
        return _yearly(in_year["yearly"], year, today)
    given = _DATE.fullmatch(when)
    if given is not None and given["year"]:
        return date(int(given["year"]), int(given["month"]), int(given["day"]))
    return _nearest(when, today, past=past)


def _of_week(weekday: re.Match[str], today: date, *, past: bool) -> date:
    ahead = (int(weekday["day"]) - today.weekday()) % 7
    if weekday["last"] or past:
        return today + timedelta(days=ahead - 7 if ahead < 7 else ahead - 14)
    return today + timedelta(days=7 if ahead == 0 and not weekday["this"] else ahead)


def _nearest(when: str, today: date, *, past: bool) -> date:
    """The next day of that kind, or the last one, which for 29 February may be years away."""
    for years in range(YEARS_LOOKED_AT):
        try:
            day = _yearly(when, today.year - years if past else today.year + years, today)
        except ValueError:
            continue  # this year has none
        if (day <= today) if past else (day >= today):
            return day
    raise ValueError(when)


def _yearly(when: str, year: int, today: date) -> date:
    """The day of that kind in a year. Raises ValueError if there is none."""
    if easter := _EASTER.fullmatch(when):
        return _easter(year) + timedelta(days=int(easter["by"]))
    if nth := _NTH.fullmatch(when):
        first = (
            _moved(today.replace(day=1), int(nth["ahead"]), "months")
            if nth["ahead"]
            else date(year, int(nth["month"]), 1)
        )
        return _nth_weekday(int(nth["nth"]), int(nth["day"]), first)
    if end := _END.fullmatch(when):
        return _in_month(date(year, int(end["month"]), 1), 31)
    given = _DATE.fullmatch(when)
    if given is None:
        raise ValueError(when)
    return date(year, int(given["month"]), int(given["day"]))


def _nth_weekday(nth: int, weekday: int, first: date) -> date:
    last = calendar.monthrange(first.year, first.month)[1]
    days = [day for day in range(1, last + 1) if first.replace(day=day).weekday() == weekday]
    if nth > len(days):
        raise ValueError(nth)
    return first.replace(day=days[nth - 1 if nth > 0 else -1])


def _easter(year: int) -> date:
    """The Gregorian Easter Sunday, by the method that Butcher published in 1876."""
    century, of_century = divmod(year, 100)
    golden = year % 19
    moon = (19 * golden + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    sunday = (32 + 2 * (century % 4) + 2 * (of_century // 4) - moon - of_century % 4) % 7
    month, day = divmod(moon + sunday - 7 * ((golden + 11 * moon + 22 * sunday) // 451) + 114, 31)
    return date(year, month, day + 1)


def _in_month(day: date, number: int) -> date:
    """That day of its month, or the month's last one."""
    return day.replace(day=min(number, calendar.monthrange(day.year, day.month)[1]))


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
