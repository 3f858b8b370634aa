"""The ways to read a sentence, likeliest first: without hesitations, repetitions and courtesy, with contractions expanded."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from server.embedded.intent.introductions import name_told
from server.embedded.intent.mending import imperative
from server.embedded.intent.words import (
    SaidWord,
    keys_of,
    with_contractions_whole,
    with_signs_said,
    with_statement_whole,
    without_broken_off,
    without_decoration,
    without_hesitations,
    without_repetition,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_POLITE_END = re.compile(
    r"(?:\A|\s)(?:please|instead|thank you|thanks|jarvis|computer|for me|if you please|(?:would|will|could|can) you"
    r"|if you (?:don't|do not|wouldn't) mind|if (?:that's|it's|that is|it is) (?:possible|okay|ok|all right|alright)|if possible|when you (?:can|get a (?:chance|moment|minute))"
    r"|real quick|by the way)\Z",
    re.IGNORECASE,
)
# Where these words belong to the one before them, or to what is told rather than asked for, they are no courtesy.
_NO_COURTESY = re.compile(
    r"(?:\A|\s)(?:(?:wait|pray|vote|look|search|ask|call|sing|cry|care|speak|made|meant|written|only|just|all|not|good|bad|best|enough|much"
    r"|room|time|place|is|are|was|were|it's|that's) for me|(?:says?|said|saying|pretty|word|words|phrase|title|called|named) (?:please|thank you|thanks)"
    r"|(?:no|many|of|with) (?:thanks|thank you))\Z"
    r"|\A(?:please )?(?:remember|note|keep in mind|don't forget|do not forget|write down|make a note|take a note|echo|say)\b.* (?:for me|you|can|could|may|might|mind|possible|okay|ok"
    r"|all ?right|chance|moment|minute)\Z"
    r"|\A(?:who|what|how|which|where)\b.*\b(?:would|will|could|can|are|is) you\Z",
    re.IGNORECASE,
)
_POLITE_START = re.compile(
    r"\A(?:(?:hey|hi|hello|ok|okay)\s+)?(?:jarvis|computer)\s+(?=\w)"
    r"|\A(?:please|could you|can you|would you|will you|i want you to|i would like you to|i'd like you to)"
    r"(?:\s+please)?\s+(?=\w)",
    re.IGNORECASE,
)
_ASKS_POLITELY = re.compile(r"(?:please )?(?:could|can|would|will) you ", re.IGNORECASE)
_OPENING = re.compile(
    r"\A(?:well|so|oh|right|now|and|but|okay|ok|alright|hey|hi|hello|like|first|actually|i mean|you know)\s+(?=\w)",
    re.IGNORECASE,
)
# What may stand before a request, and is no courtesy of one word. After these, words approve nothing: "let's go", "no, do it".
_LOOSE = re.compile(
    r"\A(?:(?:i want|i need|i would like|i'd like)(?: you)? to(?: (?:know|see|have|hear)(?! about\b))?|let's|let us"
    r"|i (?:want|need|would like)(?= (?:the|a|an)\b)|(?:do you have |have you got |got )?any idea|(?:do|would) you know|(?:can|could|may) i (?:just )?ask(?: you)?|any chance you know"
    r"|(?:could|can) you (?:please )?tell me|tell me|yeah|quick question|question|by the way|also|listen"
    r"|would you mind(?: telling me)?|(?:would you )?be so (?:kind|good)(?: and| as to)|kindly|i (?:was wondering|wonder)"
    r"|do you happen to know|do you (?:think|suppose) you (?:can|could)|(?:is there )?any chance you (?:can|could)|i(?: would|'d) (?:appreciate it if|love it if)"
    r" you (?:can|could|would)|(?:is it|would it be) possible (?:for you )?to|go on and|(?:can|could|may|might) (?:i|we)(?: please)? (?:have|get|see|know|hear)"
    r"|maybe|perhaps|possibly|quickly|just|like|no|nope|wait|sorry|thanks|thank you|great|good|perfect|wrong|i meant|i said"
    r"|excuse me|you (?:can|may|could)|lets|let me(?: see)?|go ahead and|i (?:wanna|gotta)|i'd love to|gimme|show me(?= (?:what|which|how|who|where|when)\b)|(?:could|can|may) i trouble you for|do me a favou?r and|(?:can|could|shall) we|over there(?= in\b)|so|hey|ok|okay|one (?:more )?(?:thing|question)|then|next|look)\s+(?=\w)",
    re.IGNORECASE,
)
# `what time it is`, `how far Paris is`, as one says behind "do you know". "It'd be" is not the question's either.
_SUBJECT = r"(?:the|my|a|an|your) \w+(?: \w+){0,3}?"
_INDIRECT = re.compile(
    r"\A(?:(?P<asks>(?:what|which) (?:time|hour|day|date|week|month|year)|(?:what|which) day of the week|what|who|(?:what|which) \w+(?= there\b)) (?P<who>it|there|"
    rf"{_SUBJECT})|(?P<asks_how>how (?:far|long) (?:off|away)|how many \w+|how (?!many|much)\w+|where|when) (?P<whom>{_SUBJECT}|\w+))"
    r"(?:(?: (?P<verb>is|are|was|were|will be|would be))|(?P<short>'d|'ll) be|(?P<is>'s))(?P<rest>(?: (?:in|at|on|over|right|now|from|until|till|to|for)\b.*)?)\Z",
    re.IGNORECASE,
)
_VERBS = frozenset({
    "is", "are", "was", "were", "do", "does", "did", "will", "would", "can", "could", "should", "has", "have", "to", "much", "many",
})  # fmt: skip
_WHOLE_VERB = {"'d": "would be", "'ll": "will be"}

# "would you mind opening …"
_MIND = re.compile(r"(?:(?:would|do) you )?mind (?!telling me)(?=\w+ing\b)", re.IGNORECASE)
_TRAILING = frozenset({"then", "again", "already", "though", "quickly", "anyway", "exactly"})  # behind a request


def _without_start(words: Sequence[SaidWord], pattern: re.Pattern[str]) -> list[SaidWord]:
    left = list(words)
    while found := pattern.match(keys_of(left)):
        left = left[len(found[0].split()) :]
    return left


def without_courtesy(words: Sequence[SaidWord]) -> list[SaidWord]:
    """`Hey Jarvis, could you … please` without the courtesy, which open slots would swallow."""
    left = list(words)
    if _ASKS_POLITELY.match(keys_of(left)):  # its question mark is no part of a value
        left[-1] = replace(left[-1], said=left[-1].said.rstrip("?") or left[-1].said)
    while (found := _POLITE_END.search(keys_of(left))) and len(found[0].split()) < len(left):
        if _NO_COURTESY.search(keys_of(left)):
            break
        left = left[: -len(found[0].split())]
        left[-1] = type(left[-1])(left[-1].said.rstrip(",;"), left[-1].key)
    return _without_start(left, _POLITE_START) or list(words)


def loosely(words: Sequence[SaidWord]) -> list[SaidWord]:
    """`I'd like to know what time it is` and `sorry, what time is it` without their beginnings. Such words never approve anything."""
    left = without_courtesy(without_hesitations(words))
    while len(left) > 1 and left[-1].key.lower() in _TRAILING:
        left = left[:-1]
    if found := _MIND.match(keys_of(left)):
        rest = left[len(found[0].split()) :]
        left = [imperative(rest[0]), *rest[1:]]
    while len(shorter := without_courtesy(_without_start(left, _LOOSE))) < len(left):
        left = shorter
    return _asked_directly(left) if left else left


def _asked_directly(words: Sequence[SaidWord]) -> list[SaidWord]:
    """`what time it is in Rome` as `what time is it in Rome`."""
    found = _INDIRECT.match(keys_of(words))
    asks, who = (found["asks"] or found["asks_how"], found["who"] or found["whom"]) if found else ("", "")
    if found is None or who.split()[0].lower() in _VERBS:
        return list(words)
    first, *more = (found["verb"] or _WHOLE_VERB.get(found["short"] or "", "is")).split()
    order = [*asks.split(), first, *who.split(), *more]
    rest = len(found["rest"].split())
    return [*(SaidWord(word, word) for word in order), *words[len(words) - rest :]]


_TOLD_FIRST = re.compile(
    r"(?P<fact>(?:i|i'm|i've|my|our|we|we're|he|she|they|the|his|her|their|there's|it's)\b.+?)"
    r"(?:[,.;!]|,? by the way,?|,? btw,?| [-–—]|,? so|,? and|,? please)(?: so| and| please| can you| could you)*"
    r" (?:(?:please )?(?:remember|don't forget|do not forget|note|save|keep) (?:that|it|this)(?: down| in mind)?|please (?:remember|don't forget|do not forget|note)|remember please|(?:write|note|jot) (?:that|it|this) down)"
    r"(?: for (?:me|later))?(?:,? please)?[.!]*\Z",
    re.IGNORECASE,
)


# What somebody tells about themselves, without asking for anything. Not `I like it`, `I like the second one`, `I love you`.
_OF_THEMSELVES = re.compile(
    r"(?:by the way,? |well,? |also,? |and )*(?P<fact>(?:i (?:(?:really|also|just) )?(?:like|love|hate|prefer|dislike|enjoy|adore|live|work|study|come|grew up|was born|moved|collect)"
    r"|i(?:'m| am) (?:allergic to|from|afraid of|married to))"
    r" (?!(?:it|that|this|them|these|those|him|her|you|your|all|both|neither|what|how|when|where|if|to(?! \w)|one|some|more|another|for|out|here|there|well|fine|on it"
    r"|the (?:idea|sound|look|way|first|second|third|last|other|one)|back|again)\b)[\w' ,-]+"
    r"|i(?:'m| am) (?:a )?(?:vegan|vegetarian|diabetic|left-handed|right-handed|married|single|retired)"
    r"|i(?:'ve| have)(?: got)? (?:an?|two|three|four|five|no) (?:\w+ )?(?:dogs?|cats?|kids|children|child|sons?|daughters?|brothers?|sisters?|car|bike|allergy|horse|garden)(?: [\w' ,-]+)?)[.!]*",
    re.IGNORECASE,
)
MAX_TOLD_WORDS = 15
REMEMBER = "remember that "
UNASKED = "unasked"  # an entity of what nobody asked to remember


def told_last(text: str) -> str:
    """`I live in Berlin, remember that` as `remember that I live in Berlin`, `I'm Tom` as `call me Tom`; empty for anything else."""
    plain = _plain(text)
    if name := name_told(plain):
        return f"call me {name}"
    found = _TOLD_FIRST.fullmatch(plain)
    return f"{REMEMBER}{found['fact']}" if found else ""


def told_unasked(text: str) -> str:
    """`I like tea` as `remember that I like tea`, though nobody asked for that; empty for anything else."""
    plain = _plain(text)
    found = _OF_THEMSELVES.fullmatch(plain) if len(plain.split()) <= MAX_TOLD_WORDS else None
    return f"{REMEMBER}{found['fact']}" if found else ""


def _plain(text: str) -> str:
    return " ".join(text.replace("’", "'").split())


def readings(words: Sequence[SaidWord]) -> list[list[SaidWord]]:
    """Distinct readings. Later ones change more of what was said, and are only used if earlier ones match nothing."""
    fluent = with_statement_whole(without_hesitations(with_signs_said(words)))
    bare = without_courtesy(without_repetition(without_courtesy(without_decoration(without_broken_off(fluent)))))
    whole = with_contractions_whole(bare)
    ways = [without_courtesy(fluent), fluent, without_courtesy(words), list(words), bare, whole]
    ways.append(without_courtesy(_without_start(whole, _OPENING)))
    return [list(way) for way in dict.fromkeys(tuple(way) for way in ways if way)]
