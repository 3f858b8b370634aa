"""The day or time that words name, as the entity `when`: `in 3 days`, `the first Monday in December`, `two weeks after Easter`. Pure.

`when` is one of: "+3 days", "-2 hours", "weekday 4" (0 is Monday; "weekday -4" for the last one, "this weekday 4" if it may be today), "12-25", "2030-01-31",
"day 15" (of this month or the next), "1 weekday 0 of 12" (the first Monday in December; -1 is the last, and "of +0 month" is this month), "easter -2", "02-end", "end of month",
"17:30", "~07:30" (whichever half of the day comes next). What comes every year may be "12-25 in 2028" or "easter +0 in +1 year". Several of them, with "; "
between, each count from the one before: "12-25; -3 days".
"""

from __future__ import annotations

import calendar
import re

from server.embedded.intent.sums import number_in

MAX_AMOUNT = 100_000  # further away, the calendar ends
MAX_ANCHORS = 2  # "three days before the day after Christmas"

MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if number}
MONTHS |= {name.lower(): number for number, name in enumerate(calendar.month_abbr) if number}
MONTHS["sept"] = 9
WEEKDAYS = {name.lower(): number for number, name in enumerate(calendar.day_name)}
_FEASTS = {
    "christmas eve": "12-24", "christmas": "12-25", "christmas day": "12-25", "xmas": "12-25", "boxing day": "12-26",
    "new year": "01-01", "new years": "01-01", "new years day": "01-01", "new year day": "01-01", "new years eve": "12-31", "new year eve": "12-31",
    "valentines day": "02-14", "valentine day": "02-14", "valentines": "02-14", "st patricks day": "03-17", "saint patricks day": "03-17",
    "april fools day": "04-01", "april fools": "04-01", "earth day": "04-22", "may day": "05-01", "independence day": "07-04", "halloween": "10-31",
    "veterans day": "11-11", "easter": "easter +0", "easter sunday": "easter +0", "easter monday": "easter +1", "good friday": "easter -2",
    "palm sunday": "easter -7", "ash wednesday": "easter -46", "pentecost": "easter +49", "thanksgiving": "4 weekday 3 of 11",
    "thanksgiving day": "4 weekday 3 of 11", "labor day": "1 weekday 0 of 9", "memorial day": "-1 weekday 0 of 5",
    "mothers day": "2 weekday 6 of 5", "fathers day": "3 weekday 6 of 6",
}  # fmt: skip
_NEAR = {
    "today": "+0 days", "tomorrow": "+1 days", "yesterday": "-1 days", "the day after tomorrow": "+2 days",
    "the day before yesterday": "-2 days", "after tomorrow": "+2 days", "before yesterday": "-2 days", "next week": "+7 days", "next month": "+1 months", "next year": "+1 years",
    "last week": "-7 days", "last month": "-1 months", "last year": "-1 years", "the week after next": "+14 days", "the month after next": "+2 months",
}  # fmt: skip
_ENDS = re.compile(r"(?:the )?(?:end of|last day of)? ?(?:the|this) (?P<of>month|year)(?: ends?| is over)?")
_CLOCK_TIMES = {"noon": "12:00", "midday": "12:00", "midnight": "00:00"}

LONG, SHORT = "day|week|fortnight|month|year|decade", "hour|minute|second"
_AFTER = r"(?:in|after) (?P<{0}>.+?) (?P<{0}_unit>{1})s?(?:'? time)?"
_FROM_NOW = r"(?P<{0}>.+?) (?P<{0}_unit>{1})s? (?:from now|from today|later|hence)"
_AGO = r"(?P<{0}>.+?) (?P<{0}_unit>{1})s? ago"
_OFFSET = {
    units: re.compile(
        f"{_AFTER.format('after', units)}|{_FROM_NOW.format('from_now', units)}|{_AGO.format('ago', units)}"
    )
    for units in (LONG, SHORT)
}
_AND_LESS = re.compile(r"(?P<hours>.+?) hours? (?:and )?(?P<minutes>.+)")  # `1 hour and 20`, of minutes
_HALF_MORE = re.compile(rf"({LONG}|{SHORT})s? and a half\b")  # `an hour and a half`
_PARTS = {
    "a": 1, "an": 1, "the": 1, "one": 1, "half a": 0.5, "half an": 0.5, "a half": 0.5, "a quarter of an": 0.25, "a quarter": 0.25,
    "three quarters of an": 0.75, "a couple of": 2, "a couple": 2,
}  # fmt: skip
_SMALLER = {
    "week": (7, "day"), "fortnight": (14, "day"), "decade": (10, "year"), "year": (12, "month"), "hour": (60, "minute"), "minute": (60, "second"),
}  # fmt: skip
_ALWAYS_SMALLER = frozenset({"week", "fortnight", "decade"})
_DAY = "|".join(WEEKDAYS)
_WEEKDAY = re.compile(rf"(?:on )?(?P<which>next|this|this coming|last|the next|the last)? ?(?P<day>{_DAY})")
_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_DATE = re.compile(
    rf"(?:on )?(?:(?:the )?(?P<month>{_MONTH})\.? (?:the )?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?"
    rf"|(?:the )?(?P<day2>\d{{1,2}})(?:st|nd|rd|th)? (?:of )?(?P<month2>{_MONTH}))"
)
_NTH_WEEKDAY = re.compile(
    rf"(?:on )?the (?P<nth>[1-5](?:st|nd|rd|th)|last) (?P<day>{_DAY}) (?:in|of) (?:the )?(?P<month>{_MONTH}|month|this month|next month)"
)
_OF_MONTH = {"month": "+0 month", "this month": "+0 month", "next month": "+1 month"}
_END_OF = re.compile(rf"(?:on )?the (?:last day|end) (?:of|in) (?P<month>{_MONTH})")
_DAY_OF_MONTH = re.compile(r"(?:on )?the (?P<day>[1-9]|[12]\d|3[01])(?:st|nd|rd|th)")
_ISO = re.compile(r"(?:on )?(?P<iso>\d{4}-\d\d-\d\d)")
_YEAR = re.compile(r"(?P<rest>.+?),?(?: in| of)? (?P<year>[12]\d{3}|this year|next year|last year)")
_YEARS = {"this year": "+0 year", "next year": "+1 year", "last year": "-1 year"}
_ANCHORED = re.compile(rf"(?P<by>.+?) (?P<unit>{LONG})s? (?P<way>before|after|from|past|on) (?P<base>.+)")
_WEEKDAY_AFTER = re.compile(rf"the (?P<day>{_DAY}) after (?P<base>.+)")

_HALF_OF_DAY = r"(?: ?(?P<half>[ap])\.? ?m\.?| (?P<part>in the (?:morning|afternoon|evening)|at night|tonight|this (?:morning|afternoon|evening)))?"
_CLOCK = re.compile(
    rf"(?:at )?(?P<hour>\d{{1,2}})(?::(?P<minute>\d\d))?(?P<o_clock> ?o'?clock)?{_HALF_OF_DAY}(?: today| sharp)?"
)
_SPOKEN_CLOCK = re.compile(
    rf"(?:at )?(?P<count>half|(?:a )?quarter|\d{{1,2}}(?: minutes?)?) (?P<way>past|after|to|before|of|till) (?P<hour>\d{{1,2}}|noon|midnight)(?: ?o'?clock)?{_HALF_OF_DAY}"
)


def day_named(words: str, anchors: int = MAX_ANCHORS) -> str:
    """`when` for the words of a day, with numbers in figures; empty if they are none."""
    if day := _DAY_OF_MONTH.fullmatch(words):
        return f"day {day['day']}"
    named = _NEAR.get(words) or _yearly(words) or offset(words, LONG) or _weekday(words)
    if named:
        return named
    if iso := _ISO.fullmatch(words):
        return iso["iso"]
    if end := _ENDS.fullmatch(words):
        return f"end of {end['of']}"
    if (dated := _YEAR.fullmatch(words)) and (yearly := _yearly(dated["rest"])):
        return _in_year(yearly, dated["year"])
    return _anchored(words, anchors) if anchors else ""


def _in_year(yearly: str, year: str) -> str:
    if year in _YEARS:
        return f"{yearly} in {_YEARS[year]}"
    return f"{year}-{yearly}" if re.fullmatch(r"\d\d-\d\d", yearly) else f"{yearly} in {year}"


def _yearly(words: str) -> str:
    """What comes every year."""
    if feast := feast_named(words):
        return feast
    if nth := _NTH_WEEKDAY.fullmatch(words):
        number = -1 if nth["nth"] == "last" else int(nth["nth"][0])
        month = _OF_MONTH.get(nth["month"]) or MONTHS[nth["month"]]
        return f"{number} weekday {WEEKDAYS[nth['day']]} of {month}"
    if end := _END_OF.fullmatch(words):
        return f"{MONTHS[end['month']]:02d}-end"
    found = _DATE.fullmatch(words)
    if found is None:
        return ""
    month, day = MONTHS[found["month"] or found["month2"]], int(found["day"] or found["day2"])
    possible = 1 <= day <= calendar.monthrange(2000, month)[1]  # in a leap year
    return f"{month:02d}-{day:02d}" if possible else ""


def feast_named(words: str) -> str:
    """`when` for a feast, such as `the next Christmas`; empty for anything else."""
    # "Valentine's" may have been made "Valentine is"
    bare = re.sub(r"\A(?:on )?(?:the )?(?:next )?", "", words.replace("'", "").replace(" is ", "s "))
    return _FEASTS.get(bare, "")


def _anchored(words: str, anchors: int) -> str:
    """`2 weeks after Easter`, `a week from Tuesday`, `the Monday after Christmas`."""
    if after := _WEEKDAY_AFTER.fullmatch(words):
        if after["base"] == "next":
            return f"weekday {WEEKDAYS[after['day']]}; +7 days"
        base = day_named(after["base"], anchors - 1)
        return f"{base}; weekday {WEEKDAYS[after['day']]}" if base else ""
    found = _ANCHORED.fullmatch(words)
    if found is None or (found["way"] == "on" and _WEEKDAY.fullmatch(found["base"]) is None):
        return ""
    base = day_named(found["base"], anchors - 1)
    by = _moved(found["by"], found["unit"], back=found["way"] == "before") if base else ""
    return f"{base}; {by}" if by else ""


def clock_named(words: str) -> str:
    """`when` for a time of the day; without a.m. and p.m., from 1 to 12, it is whatever comes next."""
    bare = words.removeprefix("it is ").removeprefix("it's ")
    if bare in _CLOCK_TIMES:
        return _CLOCK_TIMES[bare]
    if spoken := _SPOKEN_CLOCK.fullmatch(bare):
        return _spoken_clock(spoken)
    found = _CLOCK.fullmatch(bare)
    if found is None or not (found["half"] or found["part"] or found["minute"] or found["o_clock"]):
        return ""
    return _in_half(int(found["hour"]), int(found["minute"] or 0), found)


def _spoken_clock(found: re.Match[str]) -> str:
    """`half past 7`, `a quarter to 9`, `20 past noon`."""
    counted = found["count"].removeprefix("a ").split()[0]
    minutes = {"half": 30, "quarter": 15}.get(counted) or int(counted)
    back = found["way"] in {"to", "before", "of", "till"}
    if not 0 < minutes < 60 or (back and counted == "half"):
        return ""
    named = {"noon": 12, "midnight": 0}.get(found["hour"])
    hour = named if named is not None else int(found["hour"])
    if named is None and not 1 <= hour <= 12:
        return ""
    at = (hour * 60 + (-minutes if back else minutes)) % (24 * 60)
    if named is not None:
        return f"{at // 60:02d}:{at % 60:02d}"
    return _in_half(at // 60 % 12 or 12, at % 60, found)


def _in_half(hour: int, minute: int, found: re.Match[str]) -> str:
    """The time in the half of the day that was named, if one was."""
    half = found["half"] or ({True: "a", False: "p"}["morning" in found["part"]] if found["part"] else "")
    if minute > 59 or hour > 23 or (half and hour > 12):
        return ""
    if half:
        return f"{hour % 12 + (12 if half == 'p' else 0):02d}:{minute:02d}"
    return f"{'~' if 1 <= hour <= 12 else ''}{hour:02d}:{minute:02d}"


def offset(words: str, units: str) -> str:
    """`when` for `in 3 days`, `an hour ago`; empty if the words are none. `units`: LONG or SHORT."""
    found = _OFFSET[units].fullmatch(_HALF_MORE.sub(r"and a half \1", words))
    if found is None:
        return ""
    name = next(name for name in ("after", "from_now", "ago") if found[name])
    return _moved(found[name], found[f"{name}_unit"], back=name == "ago")


def _moved(words: str, unit: str, *, back: bool) -> str:
    mixed = _AND_LESS.fullmatch(words) if unit == "minute" else None
    hours = _amount(mixed["hours"]) if mixed else 0
    number = _amount(mixed["minutes"] if mixed else words)
    if number is None or hours is None:
        return ""
    number += 60 * hours
    if unit in _SMALLER and (unit in _ALWAYS_SMALLER or number != int(number)):
        times, unit = _SMALLER[unit]
        number *= times
    if number != int(number) or not 0 <= number <= MAX_AMOUNT:
        return ""
    return f"{'-' if back else '+'}{int(number)} {unit}s"


def _amount(words: str) -> float | None:
    """`3`, `an`, `half an`, `two and a half`, `a couple of`; None if it is no number."""
    bare = words.removesuffix(" and a half")
    amount = _PARTS[bare] if bare in _PARTS else number_in(bare)
    return amount if amount is None or bare == words else amount + 0.5


def _weekday(words: str) -> str:
    found = _WEEKDAY.fullmatch(words)
    if found is None:
        return ""
    which = found["which"] or ""
    return f"{'this ' if which == 'this' else ''}weekday {'-' if 'last' in which else ''}{WEEKDAYS[found['day']]}"
