"""Words that only mean something after what was said before: answers to the agent's questions, `and tomorrow?`, `undo that`.

Each is turned into the whole request, as if the user had said it, in view of the last acts of the conversation.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from server.embedded.intent.answers import value_of
from server.embedded.intent.corrections import corrections
from server.embedded.intent.figures import in_figures
from server.embedded.intent.moments import MONTHS
from server.embedded.intent.normalise import REMEMBER, UNASKED
from server.embedded.intent.recognition import ANSWERS, ASIDE, GUESSED, OPEN, SEVERAL, UNKNOWN, recognise
from server.embedded.planner.acts import OF_FILES, Act, outcome_of, to_undo
from server.embedded.planner.recipes import points
from server.embedded.planner.references import ALSO, NO, one_of_listed, only_refers, sum_instead
from server.embedded.planner.replies import paths_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from protos import planner_pb2
    from server.embedded.intent.recognition import IntentCandidate

CHANGED_BACK = 3  # requests, of which "call it test" may change one
MAX_CHARS = 100  # of an answer; a longer text is a request of its own
MAX_OTHER_WORDS = 6  # of what "and …" asks for
NOT_UNDERSTOOD = "I did not understand"  # in replies to what was not understood
ASKED_OF_WHAT = " of what?"  # ends the question of `ask_second_percent`
OFFER = "Shall I remember that?"
# The agent's questions (replies.yaml), and the requests that their answers complete.
ASKED = {
    "What should I search for?": "search for {}",
    "Which page should I open?": "open {}",
    "Which command should I run?": "run {}",
    "Which file do you mean?": "read the file {}",
    "What should I remember?": "remember that {}",
    "What should I click on?": "click on {}",
    "What should the folder be called?": "create a folder called {}",
    "What should the file be called?": "create a file called {}",
}
# How an intent is asked for with another value, where the one before has none to replace.
_FRAMES = {
    "get_time": ("what time is it in {}", "what time is it {}", "how long until {}"),
    "get_date": ("what day is it {}", "what is the date {}", "what day is {}", "how long until {}"),
    "web_search": ("search for {}",),
    "recall": ("what is {}", "what is my {}"),
    "open_page": ("open {}",),
    "open_result": ("open {}",),
    "convert": ("convert {}",),
}
_OPEN = frozenset({UNKNOWN, "yes", "calculate"})  # may depend on what was said before
_POINTING = frozenset({"undo", "open_result", "read_page", "forget"})  # may be about the last act
_OF_A_PAGE = frozenset({"open_result", "read_page", "scroll", "go_back", "page_links", "screenshot"})
_SUGGESTED = re.compile(r"\ADid you mean: (?P<request>.+)\?\Z")  # the whole reply: what is read from a page may end so
_AND = re.compile(
    r"(?:and |or )?(?:(?:what|how) about |now )?(?:(?:another|one more)(?: one)?(?: called| named)? )?(?P<that>.+)",
    re.IGNORECASE,
)
_LEAD = re.compile(r"(?:in|for|of|to|on|at|until|till) (?=\S)", re.IGNORECASE)
_ALSO = re.compile(rf"{ALSO}+(?:i (?:meant|mean|said) )?", re.IGNORECASE)
_AND_ALSO = re.compile(r"(?:and|or|what about|how about) ", re.IGNORECASE)
# "in Lima?"
_MERE_PHRASE = re.compile(
    r"(?:(?:in|on|at|for|until|till|to|from) \S+(?: \S+){0,2}|today|tomorrow|yesterday)", re.IGNORECASE
)
_NOBODY = re.compile(r"(?:you|me|him|her|them|us|now|then|so|why|how)\b", re.IGNORECASE)
_CORRECTED = re.compile(rf"{NO}*i (?:meant|mean|said) (?P<that>.+)", re.IGNORECASE)
# "no, that it's queen", "sorry, at four": what was told is corrected
_RETOLD = re.compile(
    r"(?:(?:(?P<no>no|nope|wrong|not that|actually|i (?:mean|meant)|correction|rather)|sorry|oops|wait|oh)[,.:]? )+(?:that )?(?P<it>(?:it|that|he|she)(?:'s| is| was) |they(?:'re| are) )?"
    r"(?:actually |rather )?(?P<value>.+)",
    re.IGNORECASE,
)
_NO_VALUE = re.compile(
    r"(?:not\b|\w+ing\b|(?:fine|okay|ok|good|right|true|wrong|nothing|enough|late|time|all|that|it|you|me|i|we)\b)",
    re.IGNORECASE,
)
MAX_RETOLD_WORDS = 5
TOLD = frozenset({"remember", "remember_fact"})
_AGAIN = re.compile(r"(?:please )?(?:do (?:it|that|the same) )?(?:again|once more|one more time)", re.IGNORECASE)
# "create it again", "what's in there now"
_ONCE_MORE = re.compile(r" (?:again|once more|one more time|now)\Z", re.IGNORECASE)
# Said of what was not done; it is asked about again
_AFTER_ALL = re.compile(
    r"(?:(?:ok|okay|well|alright|all right|fine|actually|yes)[,.]? )*(?:please )?do it (?:then|anyway|after all)(?: please)?",
    re.IGNORECASE,
)
_RESULT = re.compile(r"(?:\bis|\bare|That is)(?: about)? (?P<number>-?\d+(?:\.\d+)?)\b[^\d]*\Z")
_THAT = re.compile(r"\b(?:that|it|the result)\b", re.IGNORECASE)
_THEN = re.compile(r"\b(?:then|that day|that date|that time)\b", re.IGNORECASE)
# Said of a day
_HOW_FAR = re.compile(
    r"(?:how many (?P<unit>days|weeks|months|hours) (?:is|are|till|until) (?:that|it)(?: away| off| from (?:now|today))?|how (?:far|long) (?:away|off|until|till|is)? ?(?:is )?(?:that|it)(?: away| off| from now)?)",
    re.IGNORECASE,
)
_MONTH = "|".join(month for month in MONTHS if len(month) > len("jan"))
_MOMENT = re.compile(
    rf"(?:{_MONTH}|may) \d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?|(?:the )?\d{{1,2}}(?:st|nd|rd|th) (?:of )?(?:{_MONTH}|may)(?:,? \d{{4}})?|\d{{1,2}}:\d\d ?[ap]m\b"
)
_QUANTITY = re.compile(r"-?\d+(?:\.\d+)? (?:degrees )?[a-z]+(?: per hour)?", re.IGNORECASE)
_INTO_THERE = re.compile(r"(?<=\s)there\Z", re.IGNORECASE)
_IT = re.compile(r"\b(?:it|this|that(?: (?:one|file|folder|page))?|the (?:file|folder|page)\Z)\b", re.IGNORECASE)
_MAKE = re.compile(r"(?:no,? )?make (?:it|that)\b", re.IGNORECASE)
_THERE = re.compile(r"\b(?:in |over )?there\b", re.IGNORECASE)
_IT_IS = re.compile(r"(?:it is|it's|that is|that's|they are|they're) (?=\S)", re.IGNORECASE)


def whole_request(text: str, intent: str, turns: Sequence[planner_pb2.Turn]) -> IntentCandidate | None:
    """What the text means after these turns; None if it stands by itself. `intent`: recognised, or empty."""
    if not turns or len(text) > MAX_CHARS:
        return None
    guess = recognise(text)[0]
    if intent not in {"", guess.intent, *_OPEN} or _stands_alone(guess, text):
        return None
    earlier = turns_before(turns, text)
    asked = last_reply(earlier).strip()
    before = acts(earlier)
    whole = _in_full(text, asked, before)
    return _replacing(recognise(whole)[0], text.strip(), asked, before) if whole else None


def turns_before(turns: Sequence[planner_pb2.Turn], text: str) -> Sequence[planner_pb2.Turn]:
    """The turns without the newest, if that is this text. Earlier ones may have the same words: "undo that", and again."""
    newest_is_this = bool(turns) and turns[-1].role == "user" and turns[-1].text.strip() == text.strip()
    return turns[:-1] if newest_is_this else turns


def last_reply(turns: Sequence[planner_pb2.Turn]) -> str:
    """What the agent has said last; empty if it has said nothing."""
    return next((turn.text for turn in reversed(turns) if turn.role == "assistant"), "")


def acts(turns: Iterable[planner_pb2.Turn]) -> list[Act]:
    """What was asked in these turns, oldest first. What somebody else has answered, a language model, is not known here."""
    found: list[Act] = []
    for said, asked, reply in _exchanges(turns):
        if only_refers(said, reply):
            continue
        completed = _in_full(said, asked, found)
        whole = completed or said
        guess = recognise(whole)[0]
        if completed:
            guess = _replacing(guess, said, asked, found)
        if guess.intent == SEVERAL:
            requests = [str(request) for request in guess.entities["requests"]]
            found += [Act(request, recognise(request)[0], reply, len(requests)) for request in requests]
        elif "cannot" in guess.entities or (guess.intent not in {UNKNOWN, *ASIDE} and _is_known(guess, found)):
            found.append(Act(whole, guess, reply))
        elif guess.intent not in ASIDE and reply and NOT_UNDERSTOOD not in reply:
            found.clear()
    return found


def _is_known(guess: IntentCandidate, before: Sequence[Act]) -> bool:
    """False for `the second one` and `undo that` if nothing before says what they mean."""
    if guess.intent == "open_result":
        return "query" in guess.entities or any("query" in act.guess.entities for act in before)
    return guess.intent != "undo"


def _exchanges(turns: Iterable[planner_pb2.Turn]) -> Iterator[tuple[str, str, str]]:
    """What the user said, what the agent had said before, and what it answered."""
    said = asked = reply = told = ""
    for turn in turns:
        text = turn.text.strip()
        if text and turn.role == "assistant":
            told, reply = text, reply or text
        elif text and turn.role == "user":
            if said:
                yield said, asked, reply
            said, asked, reply = text, told, ""
    if said:
        yield said, asked, reply


def _stands_alone(guess: IntentCandidate, text: str) -> bool:
    """True for a clear request that cannot be about what was said before. A bare `python` is a site, or an answer."""
    if (
        guess.intent in _OPEN | _POINTING
        or points(guess.entities)
        or (guess.intent == "open_page" and " " not in text.strip())
        or guess.intent == "click"  # "click on the first one"
    ):
        return "cannot" in guess.entities
    return guess.confidence > GUESSED


def _in_full(text: str, asked: str, before: Sequence[Act]) -> str:
    """The whole request that the text means; empty if it stands by itself."""
    said = text.strip().rstrip(".?!,")
    guess = recognise(text)[0]
    if before and (other := sum_instead(said, before[-1]) or one_of_listed(said, before)):
        return _if_clear(other)
    if guess.intent == "open_page" and " " not in said:  # `python`: a site, or an answer
        return _if_clear(_answer(said, asked))
    if guess.intent in {"yes", "remember_fact"} and not guess.entities.get("fact"):
        suggested = _SUGGESTED.search(asked)
        if suggested is None and before and UNASKED in before[-1].guess.entities:
            return f"{REMEMBER}{before[-1].guess.entities['fact']}" if asked.endswith(OFFER) else ""
        return _if_clear(suggested["request"]) if suggested else ""
    if guess.intent == "calculate":
        return "" if {"first", "tree"} & guess.entities.keys() else _of_the_result(said, asked)
    if guess.intent in _POINTING:
        about = to_undo(before) if guess.intent == "undo" else before[-1] if before else None
        return _pointed(said, guess, about) if about else ""
    if _stands_alone(guess, text):
        return ""
    unknown = guess.intent == UNKNOWN or guess.confidence < GUESSED
    whole = (
        (_if_clear(_answer(said, asked)) if unknown else "")
        or _of_what_was_told(said, asked, before)
        or (_of_the_result(said, asked) if _THAT.search(said) else "")
    )
    if whole or not before:
        return whole
    if retold := _retold(said, before[-1]):
        return retold
    if before[-1].done and not _MAKE.match(said):  # what was made is renamed; what was not gets another name
        return _pointed(said, guess, before[-1]) or _varied_act(said, before)
    return _varied_act(said, before) or _pointed(said, guess, before[-1])


def _if_clear(request: str) -> str:
    """The request; empty if it is not clear. The yes of "no, I mean yes" is none: only the words themselves answer a question."""
    guess = recognise(request)[0] if request else None
    if guess is None or guess.intent == "yes":
        return ""
    return request if guess.confidence >= OPEN or "cannot" in guess.entities else ""


def _answer(said: str, asked: str) -> str:
    """The request that is completed by an answer to the agent's question; empty if nothing was asked."""
    if asked.endswith(ASKED_OF_WHAT):
        whole = f"{asked.removesuffix(ASKED_OF_WHAT)} of {said.removeprefix('of ').removeprefix('Of ')}"
        percentage = recognise(whole)[0]
        return whole if percentage.intent == "calculate" and "second" in percentage.entities else ""
    unknown, facts = outcome_of(asked)
    if unknown == "recall_nothing" and (told := _IT_IS.match(said)):
        return f"my {facts['attribute']} is {said[told.end() :]}"
    question = next((question for question in ASKED if asked.endswith(question)), "")
    return ASKED[question].format(_other_value(said)[0] or said) if question else ""


def _of_the_result(said: str, asked: str) -> str:
    """`times 2` and `divide that by 2`, after a sum."""
    result = _RESULT.search(asked)
    if result is None:
        return ""
    bare = re.sub(r"\A(?:and|now|then) ", "", said, flags=re.IGNORECASE)
    number = result["number"]
    whole = _THAT.sub(number, bare, count=1) if _THAT.search(bare) else f"{number} {bare}"
    guess = recognise(whole)[0]
    return whole if guess.intent == "calculate" and guess.confidence >= OPEN else ""


def _of_what_was_told(said: str, asked: str, before: Sequence[Act]) -> str:
    """`how long until then` of the day or time that was told last, `how many weeks is that` of the quantity."""
    told = [asked, *([before[-1].said] if before else [])]
    bare = _ALSO.sub("", said, count=1)
    if _THEN.search(said):
        ways = (_THEN.sub(moment, bare, count=1) for text in told for moment in _moments(text))
        return next((way for way in ways if recognise(way)[0].entities.get("ask")), "")
    if not _THAT.search(said):
        return ""
    quantities = reversed([*_QUANTITY.finditer(asked)])
    ways = (_THAT.sub(quantity[0], bare, count=1) for quantity in quantities)
    if converted := next((way for way in ways if recognise(way)[0].intent == "convert"), ""):
        return converted
    far = _HOW_FAR.fullmatch(bare)
    ways = (f"how many {far['unit'] or 'days'} until {moment}" for moment in _moments(asked) if far)
    return next((way for way in ways if recognise(way)[0].entities.get("ask")), "")


def _moments(text: str) -> list[str]:
    """The days and times in a text, the last one first."""
    return [found[0] for found in _MOMENT.finditer(in_figures(text))][::-1]


def _put(value: str, pattern: re.Pattern[str], text: str) -> str:
    """The text with the value in place of the first match. The value is no pattern: a name may have a backslash."""
    return pattern.sub(lambda _found: value, text, count=1)


def _pointed(said: str, guess: IntentCandidate, last: Act) -> str:
    """`undo that`, `open it`, `delete it`, `the second one`, `and the date there?`, said of the last act."""
    if guess.intent == "undo":
        return last.undone if last.given_back or _names_the_same(last.undone, last) else ""
    if guess.intent == "open_result":
        listed = last.listed(guess.entities["ordinal"]) if "ordinal" in guess.entities else ()
        if found := next((way for way in listed if _if_clear(way)), ""):
            return found
    of_it = last.name in OF_FILES or (last.name == "open_page" and not last.done)
    if guess.intent in _POINTING and (guess.entities or not of_it):
        return ""
    its, said = last.its, _ONCE_MORE.sub("", said)
    ways = [_put(its, _IT, said)] if its and _IT.search(said) else []
    if its and points(guess.entities):
        ways.append(_put(its, _INTO_THERE, said))
    if last.place and _THERE.search(said):
        ways.append(_put(last.place, _THERE, said))
    ways += [_ALSO.sub("", way, count=1) for way in ways if _ALSO.match(way)]
    return next((way for way in ways if _if_clear(way) and recognise(way)[0].intent not in ASIDE), "")


def _names_the_same(request: str, act: Act) -> bool:
    """False for a name that is understood as something else in another request: "trips and make a folder called trips"."""
    guess = recognise(request)[0] if request else None
    paths = paths_of(act.guess.entities)
    return guess is not None and guess.intent != SEVERAL and all(path in paths for path in paths_of(guess.entities))


def _varied_act(said: str, before: Sequence[Act]) -> str:
    """`again`, `no, I meant tomorrow`, `and in London?`, `make it six`: an act before, with another value."""
    if not before:
        return ""
    if _AGAIN.fullmatch(said) or (_AFTER_ALL.fullmatch(said) and before[-1].reply and not before[-1].done):
        return before[-1].said
    value, named = _other_value(said)
    for act in reversed(before[-CHANGED_BACK:] if named else before[-1:]) if value else ():
        if changed := _first_like(recognise(act.told)[0], corrections(f"{act.told}, I mean {value}")):
            return changed
    corrected = _CORRECTED.fullmatch(said)
    if corrected is not None and _if_clear(corrected["that"]):
        return corrected["that"]
    if corrected is None and not (
        _AND_ALSO.match(said) or (_MERE_PHRASE.fullmatch(said) and _takes_a_phrase(before[-1]))
    ):
        return ""
    that = _AND.fullmatch(corrected["that"] if corrected else _ALSO.sub("", said, count=1))
    rest = that["that"] if that is not None else ""
    if not rest or _NOBODY.match(rest) or _answers(rest) or len(rest.split()) > MAX_OTHER_WORDS:
        return ""
    if "cannot" in recognise(rest)[0].entities:
        return rest  # "and the news?", after the weather
    last = _last_of_its_own(before)
    rest = _put(last.its, _IT, rest) if last.its else rest  # "and the day after that?"
    bare = _LEAD.sub("", rest, count=1)
    if last.guess.intent == "get_time" and recognise(day := f"what day is {bare}")[0].entities.keys() & {"day", "when"}:
        return day  # "what about tomorrow?" after the time
    frames = (form.format(value) for form in _FRAMES.get(last.guess.intent, ()) for value in (bare, rest))
    before_that = _ALSO.sub("", last.said.rstrip(".?!, "), count=1)  # "and the weather?"
    replaced = (way for value in (bare, rest) for way in corrections(f"{before_that}, I mean {value}"))
    return _first_like(last.guess, [*replaced, *frames, f"{before_that} {rest}"])


def _last_of_its_own(before: Sequence[Act]) -> Act:
    """The last act with a value that another may replace: "what about waffles?", after a page that was found was read."""
    return next((act for act in reversed(before[-CHANGED_BACK:]) if act.name not in _OF_A_PAGE), before[-1])


def _retold(said: str, last: Act) -> str:
    """What the user told, corrected: `no, that it's queen`. By a mere "sorry", only a number, a day or the like takes another's place."""
    found = _RETOLD.fullmatch(said) if last.name in TOLD else None
    value = found["value"] if found else ""
    if found is None or len(value.split()) > MAX_RETOLD_WORDS or _NO_VALUE.match(value) or _answers(value):
        return ""
    if found["no"] and found["it"] and last.name == "remember":
        return f"remember that my {last.guess.entities['attribute']} is {value}"
    ways = corrections(f"{last.said}, I mean {value}" if found["no"] else f"{last.said}, sorry {value}")
    kept = (way for way in ways if recognise(way)[0].entities.get("fact") != value)
    return _first_like(last.guess, [*kept, *ways])  # rather "we need brakes" than mere "brakes"


def _replacing(guess: IntentCandidate, said: str, asked: str, before: Sequence[Act]) -> IntentCandidate:
    """The note that takes the place of the one it corrects; or what memory had before, for "undo that"."""
    undone = to_undo(before) if recognise(said)[0].intent == "undo" else None
    if undone is not None and undone.given_back:
        return undone.given_back[1]
    last = before[-1] if before else None
    corrects = _CORRECTED.fullmatch(said) or _RETOLD.fullmatch(said) or _MAKE.match(said)
    if last is None or not corrects or asked in ASKED or guess.intent != "remember_fact":
        return guess
    kept = last if last.name == "remember_fact" else replace(last, guess=recognise(last.told)[0])
    return replace(guess, entities=guess.entities | ({"in_place_of": place} if (place := kept.place_of_note) else {}))


def _takes_a_phrase(act: Act) -> bool:
    """True if a mere "in Lima" is another place, day or unit for it; for a search, "to be honest" is none."""
    return act.guess.intent in {"get_time", "get_date", "convert"} or "cannot" in act.guess.entities


def _first_like(before: IntentCandidate, ways: Iterable[str]) -> str:
    """The first that makes the same request of something else; empty if none does."""
    return next((way for way in ways if _is_same_kind(recognise(way)[0], before)), "")


def _is_same_kind(guess: IntentCandidate, before: IntentCandidate) -> bool:
    alike = guess.intent == before.intent and guess.confidence >= min(OPEN, before.confidence)
    if before.intent == UNKNOWN:  # what cannot be done, with another value
        return alike and guess.entities.get("cannot") == before.entities.get("cannot")
    return alike and guess != before


def _other_value(text: str) -> tuple[str, bool]:
    """The value that a text gives instead of another one, and whether it is named: "call it test", but not a mere "no, test"."""
    rest = next((str(guess.entities["instead"]) for guess in recognise(text) if "instead" in guess.entities), "")
    value = value_of(rest or text, bare=bool(rest))
    return (value, bool(value_of(rest or text, bare=False))) if not _answers(value) else ("", False)


def _answers(value: str) -> bool:
    guess = recognise(value)[0] if value else None
    return guess is not None and guess.intent in ANSWERS and guess.confidence >= OPEN
