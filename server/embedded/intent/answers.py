"""Yes or no with more behind it: `yes, and what time is it`, `yes, but call it test`, `no, call it demo instead`. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from server.embedded.intent.words import SaidWord, keys_of, said_by, without_mere_hesitations, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_LEAD_WORDS = 6  # of the yes or no
MAX_MERE_WORDS = 2  # of a no that is nothing else
MAX_VALUE_WORDS = 3  # of a value that is said without "call it": "no, demo two"

_MARKS = ",;.!?…-–—"
_JOINT = re.compile(r"(?:but|except|only|just|because|and(?: then| also)?|then|also)(?= )", re.IGNORECASE)
_CHANGES = frozenset({"but", "except", "only", "just"})
_COORDINATES = frozenset({"and", "and then", "and also", "then", "also"})
# These also begin a sentence without answering anything: "okay, what time is it", "oh yes, what time is it".
_MERE_OPENING = re.compile(
    r"(?:okay|ok|right|alright|all right|fine|well|great|good|sure|sure thing|(?:oh|ah|aha)\b.*)\Z", re.IGNORECASE
)
_WISH = r"(?:please|actually|maybe|rather|better|then|just|i(?: would|'d)? (?:want|like|prefer|rather)(?: you)?(?: to)?|let's|(?:can|could) (?:you|we)) "
_OBJECT = r"(?: (?:it|that|this|them|the (?:folder|file|page|name)))"
_CHANGE = re.compile(
    rf"(?:{_WISH})*(?:(?:call|name|rename|make|use|take|change|put|set){_OBJECT}(?: (?:to|as|into|be))?"
    r"|(?:it|that|the name) (?:should|must|has to) be(?: called)?|(?:it|that) to be (?:called|named)|with the name|i (?:meant|mean|said)|(?:i'd|i would) (?:rather|prefer to) (?:have|use|take))\s+(?!off\b|out\b|up\b|a day\b)(?=\S)",
    re.IGNORECASE,
)
# "no, use demo": by itself, no change
_AFTER_NO = re.compile(rf"(?:{_WISH})*(?:call|name|make|use|take)\s+(?=\S)", re.IGNORECASE)
_OF_SEVERAL = re.compile(
    r"(?:please )?(?:(?P<both>both)(?: (?:please|of (?:them|these|those)|the two))*|all (?:of (?:them|these|those)|three|the three)(?: please)?)",
    re.IGNORECASE,
)
_INSTEAD = re.compile(r"(?:,? please)?,? (?:instead|rather)(?:,? please)?\Z", re.IGNORECASE)
MAX_NO_WORDS = 4  # in a misheard no
MAX_NOTE_WORDS = 3  # "note …" said to a question may be a no as long as it is so short
# What Whisper wrote for "no", "nope", "nah", "never" and "cancel", spoken by hibari and eSpeak NG at four speeds, with and without noise.
_LIKE_NO = re.compile(r"k?n(?:o|u|a(?!tu))[a-z]{0,5}|council|console|cancell?ed")
_BESIDE_NO = frozenset({"don't", "duh", "oh", "uh", "a", "the", "you'll"})
# "No end" and "no pangs" were "no thanks"; "not wait" was "no way", "not out" was "not now".
_NO_AND = re.compile(
    r"(?:no|nope|nah|not) (?!problem|worr|doubt|question|idea|matter|objection|more\b|bad\b)\S+(?: \S+)?"
)
_REPLACES = re.compile(r"\b(?:instead|rather)\b", re.IGNORECASE)  # "yes, list the files instead"
# Such words behind a yes leave open whether it still holds: "yes, wait, what time is it?". A yes that is asked for again does no harm.
_WAVERS = re.compile(
    r"\b(?:wait|hold on|hang on|sorry|actually|hmm+|not yet|i (?:mean|meant)|before (?:that|you|we|it)|beforehand|nope?"
    r"|stop|cancel|maybe|perhaps|later|don't|do not|never mind|forget (?:it|that))\b",
    re.IGNORECASE,
)
# "No to both" is heard as "note both", "know to both", "note a mode" and "note about".
_LIKE_BOTH = "(?:both|boats?|booth|bath|mode|most|mouse|mouth|note|vote)"
_LIKE_NO_TO_BOTH = re.compile(
    rf"(?:(?:no|not|note|nah?|now|nor|know) (?:both|(?:to|two|too|2|do) (?:{_LIKE_BOTH}|all|either|everything|any))"
    rf"|note (?:about|above|(?:the|a) {_LIKE_BOTH})|nota {_LIKE_BOTH})(?: of (?:them|these|those))?"
)
# "Nah, nah" is heard as "yeah, now", which nobody says who means yes.
_LIKE_NAH = re.compile(r"(?:yes|yeah|yep|yup|sure|okay|ok|alright|all right)\W+now\W*\Z", re.IGNORECASE)
# People also decline so, or say it to somebody else: "it's okay", "that's fine, thanks", "fine, thank you", "hello? yes".
_UNSURE = re.compile(
    r"(?:oh\W+)?(?:(?:that's|that is|it's|it is) (?:quite |perfectly |totally )?(?:fine|okay|ok|alright|all right)\b(?! (?:by|with) me\b)"
    r"|fine,? thank|(?:hello|hallo|hi|hey)\b(?!\W+(?:jarvis|computer)\b))",
    re.IGNORECASE,
)
_ASKED_BACK = re.compile(r"\?[?!\s]*\Z")  # "right?", "sure?", "go ahead?": no consent
_NEGATION = re.compile(r"(?:.*\b)?(?:don't|do not|never|not)\Z", re.IGNORECASE)
_FIRST = re.compile(r"\Afirst\b|\bfirst\W*\Z", re.IGNORECASE)
# To something: "make that, call it off", "the other one".
_POINTS = re.compile(
    r"(?:it|that|this|them|me|(?:the |an)?other\b|(?:something|anything) else|the (?:first|second|third|last) one)\b",
    re.IGNORECASE,
)
# A request of its own: "delete the other one instead".
_COMMANDS = re.compile(
    r"(?:please )?(?:delete|remove|erase|open|close|list|show|read|run|search|find|look|move|copy|rename|create|tell|play|send|write|go|stop|cancel|click|type|forget|remember|do)\b",
    re.IGNORECASE,
)
# A value does not begin with these, nor does it have them: "no, that's stupid", "no because I don't like it".
_NO_VALUE = frozenset({
    "i", "i'm", "i've", "you", "we", "he", "she", "they", "it", "it's", "that", "that's", "this", "there", "because", "why", "not", "don't", "is",
    "are", "was", "do", "does", "did", "thanks", "thank", "please", "sorry", "so", "if", "when", "never", "no", "yes", "wait", "stop", "what", "who",
    "where", "how", "which", "really", "later", "maybe",
})  # fmt: skip


class Parted(NamedTuple):
    """`lead` may be the yes or no, and `rest` what follows it. `joint`: the word between them; `marked`: the lead ends with a mark."""

    lead: str
    joint: str
    rest: str
    marked: bool

    @property
    def joined(self) -> bool:
        """True if something is between them."""
        return self.marked or bool(self.joint)

    @property
    def changes(self) -> bool:
        """True for `yes, but …`."""
        return self.joint in _CHANGES

    @property
    def by_mark(self) -> bool:
        """True if nothing but a mark is between them."""
        return self.marked and not self.joint

    @property
    def commands(self) -> bool:
        """True for `yes, delete everything`, which may be wanted instead; `yes, and delete everything` is wanted too."""
        return self.by_mark and _COMMANDS.match(self.rest) is not None

    @property
    def shares_verb(self) -> bool:
        """True if a "don't" may also be about the rest: `don't open this and list that`."""
        return self.joint in _COORDINATES and len(self.lead.split()) > MAX_MERE_WORDS

    @property
    def negates(self) -> bool:
        """True for a "don't" that is about the rest: `don't take that as a yes`."""
        return not self.joined and _NEGATION.match(self.lead) is not None

    @property
    def opens(self) -> bool:
        """True if the lead may only be the beginning of a sentence."""
        return _MERE_OPENING.match(self.lead) is not None


def parted(text: str) -> list[Parted]:
    """All ways to part the text: where it is joined, those with the longest lead first, then those with the shortest."""
    ways = list(_ways(text))
    return [way for way in ways if way.joined] + [way for way in reversed(ways) if not way.joined]


def _ways(text: str) -> Iterator[Parted]:
    words = without_mere_hesitations(words_of(text))
    for at in range(min(MAX_LEAD_WORDS, len(words) - 1), 0, -1):
        found = _JOINT.match(keys_of(words[at : at + 3]))
        joint = found[0].lower() if found else ""
        rest = words[at + len(joint.split()) :]
        if not rest[0].key:
            rest = rest[1:]
        if rest:
            lead = said_by(words[:at]).rstrip(_MARKS + " ")
            yield Parted(lead, joint, said_by(rest), words[at - 1].said.endswith(tuple(_MARKS)))


def wish_of(text: str) -> str:
    """Words without a yes or no that wish something else: `call it demo` of `wrong name, call it demo`, `two` of `not one, two`."""
    wish = _last_clause(text)
    denied = wish != text and keys_of(words_of(text)).lower().startswith("not ")
    return wish if value_of(wish, bare=denied) else ""


def _last_clause(text: str) -> str:
    words = words_of(text)
    start = next((at for at in range(len(words) - 1, 0, -1) if words[at - 1].said.endswith(tuple(_MARKS))), 0)
    return said_by(words[start:])


def value_of(rest: str, *, bare: bool) -> str:
    """`demo two` of `call it demo two instead`; empty if it changes nothing. `bare`: a mere value counts too."""
    words = words_of(rest)
    changes = False
    while found := _CHANGE.match(keys_of(words)) or (bare and _AFTER_NO.match(keys_of(words))) or None:
        words, changes = words[len(found[0].split()) :], True
    left = said_by(words).rstrip(_MARKS + " ")
    value = _INSTEAD.sub("", left).rstrip(_MARKS + " ")
    if _POINTS.match(value):
        return ""
    if changes or (value != left and _is_value(words_of(value)) and not _COMMANDS.match(value)):
        return value
    return value if bare and _is_value(words_of(value)) else ""


def meant_of_several(text: str) -> str:
    """`both` or `all` for a mere "both of them, please", which means no more than that; empty for anything else."""
    found = _OF_SEVERAL.fullmatch(keys_of(words_of(text)))
    return "" if found is None or text.rstrip().endswith("?") else "both" if found["both"] else "all"


def replaces(rest: str) -> bool:
    """True if what follows a yes is wanted in place of what was asked."""
    return _REPLACES.search(rest) is not None


def doubted(text: str) -> bool:
    """True for a yes that asks ("sure?"), trails off ("yes, hmm"), may be a misheard no, or wants something instead."""
    words = words_of(text)
    trails_off = len(without_mere_hesitations(words[-1:])) == 0 and len(words) > 1
    return trails_off or any(doubt.search(text) for doubt in (_ASKED_BACK, _LIKE_NAH)) or replaces(text)


def unsure(text: str) -> bool:
    """True for a yes that may be none: "it's okay", with which people also decline."""
    return _UNSURE.match(keys_of(words_of(text))) is not None


def wavers(lead: str, rest: str) -> bool:
    """True if a yes, or what follows it, makes it doubtful."""
    return any(_WAVERS.search(words) for words in (lead, rest)) or _FIRST.search(rest) is not None


def sounds_like_no(text: str) -> bool:
    """True for what recognisers hear instead of "no, no, no", "nope" and "nah": "no, no, number", "note", "now"."""
    words = [word.key.lower() for word in words_of(text)]
    if any(each.fullmatch(" ".join(words)) for each in (_LIKE_NO_TO_BOTH, _NO_AND)):
        return True
    heard = [word for word in words if _LIKE_NO.fullmatch(word)]
    return 0 < len(words) <= MAX_NO_WORDS and bool(heard) and all(word in heard or word in _BESIDE_NO for word in words)


def by_sound(text: str) -> tuple[str, dict[str, Any]] | None:
    """The answer that a recogniser may have made a request of: the no of "note both", and a wish to be asked again of a short note."""
    words = [word.key.lower() for word in words_of(text)]
    if _LIKE_NO_TO_BOTH.fullmatch(" ".join(words)):
        return "no", {"misheard": True, "of": "all"}
    return ("explain", {"misheard": True}) if words[:1] == ["note"] and 1 < len(words) <= MAX_NOTE_WORDS else None


def _is_value(words: Sequence[SaidWord]) -> bool:
    return 0 < len(words) <= MAX_VALUE_WORDS and not _NO_VALUE & {word.key.lower() for word in words}
