"""Spoken or written sums: `five plus three`, `5+3`, `10 ÷ 2`, `15% of 80`. One pass, whatever the length."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from server.embedded.intent.figures import HYPHEN, SMALL
from server.embedded.intent.sum_forms import COMMA, WORDS, read_form, read_list
from server.embedded.intent.sum_trees import OVER_LISTS, read_tree
from server.embedded.intent.sum_trees import WORDS as TREE_WORDS

if TYPE_CHECKING:
    from server.embedded.intent.sum_forms import Number

MAX_TOKENS = 60  # nobody says a longer sum
MAX_DIGITS = 15  # of a number: what a double, and so JSON, represents exactly
MAX_GLUED_DIGITS = 3  # `7-2` is a sum, `555-1234` a telephone number

_LEAD = re.compile(
    r"(?:(?:so|and|ok|okay|well|then|now),? )?(?P<lead>(?:what is|what's|what’s|whats|how much is|what would|how much would|what does|tell me what|do you know what"
    r"|calculate|compute|give me|work out|tell me how much|tell me|what do (?:you|i|we) get (?:if|when) (?:you|i|we)"
    r"|what(?=.* (?:is|makes?|equals?)\W*\Z)|how many is|how many are|if (?:you|i|we))\b)? ?"
)
_END_MARKS = "=?.!, "
_WHAT_EACH_PAYS = re.compile(
    r",? (?:how much|what) (?:is that|do we each (?:pay|get|owe)|does (?:each|everyone|everybody|each of us|each person|one) (?:pay|get|owe|have))(?: each)?\Z"
)
_DOZENS = re.compile(r"(?P<count>.+?) (?P<of>dozens?|scores?|gross)\Z")
_IN_ONE = {"dozen": 12, "score": 20, "gros": 144}
_END_WORDS = (
    "equals",
    "equal",
    "makes",
    "make",
    "is",
    "be",
    "come to",
    "please",
    "is what",
    "equals what",
    "makes what",
    "is how much",
    "then",
    "altogether",
    "in total",
)
_TOKEN = re.compile(r"\s*(\d+(?:,\d+)*(?:\.\d+)?|\.\d+|[a-z]+|[+\-−–*×·∗⋅/÷:%^()!√,])")
_WRITTEN_OTHERWISE = (
    (re.compile(r"½ of\b"), "half of"),
    (re.compile(r"¼ of\b"), "quarter of"),
    (re.compile(r"¾ of\b"), "three quarters of"),
    (re.compile(r"\b(\d+)\s*/\s*(\d+) of\b"), r"(\1 / \2) *"),
    (re.compile(r"\bper cent\b"), "percent"),
    (re.compile(r"\bhalf a dozen\b"), "6"),
    (re.compile(r"\bsqrt\b(?: of\b)?"), "√"),
    (re.compile(r"\*\*"), "^"),
    *(
        (re.compile(rf"\s*{sign}"), decimals)
        for sign, decimals in (("½", ".5"), ("¼", ".25"), ("¾", ".75"), ("⅛", ".125"))
    ),
    *((re.compile(sign), power) for sign, power in (("²", "^2"), ("³", "^3"))),
    # `sqrt(16)`, `5 - (-3)`; but `(-5)^2` is another number than `-5^2`
    (re.compile(r"\(\s*([+\-−–]?\s*[\d.,]+)\s*\)(?!\s*(?:\^|!|squared|cubed|to the\b))"), r" \1 "),
)
_CURRENCY = re.compile(r"(?<![a-z])(dollars?|bucks?|euros?|pounds?|usd|eur|gbp)(?![a-z])|[$€£]")
_SIGNS = {"$": "dollar", "€": "euro", "£": "pound", "usd": "dollar", "eur": "euro", "gbp": "pound", "buck": "dollar"}
_GLUED = re.compile(r"(\d+)([-/:])(\d+)\Z")
_TIME = re.compile(r"\d{1,2}:\d\d\Z")  # not 9 divided by 30
MAX_FIGURES = 300  # characters; matching takes time with their square
# Quotes, emoji and other decoration around a sum.
_DECORATION = re.compile(r"\A[^\w\s(+\-−–√.$€£]+\s*|\s*[^\w\s)!%=?.,$€£]+\Z")
_DATED = re.compile(r"\d+([-/:])\d+\1\d+\Z")  # dates, telephone numbers, times
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?\Z")
# Arithmetic outside the tokens above: currencies, other digit groupings, `50% off 80`.
_FIGURES = re.compile(
    r"(?=.*\d[^a-z]*[+*×∗⋅÷^%])[\d\s.,+\-−–*×·∗⋅/÷:%^()√=$€£]+(?:(?:off|of|from|on|x)[\d\s.,%$€£]+)*\Z"
)
_FACTORIAL = re.compile(r"\d+!\??\Z")
GROUP_DIGITS = 3  # of thousands
_NAMES = frozenset({"9/11", "24/7", "7/11", "50/50"})  # names that look like sums

_SCALES = {"dozen": 12, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_HUNDRED = 100
_OPERATORS = {
    "+": "plus", "plus": "plus", "-": "minus", "−": "minus", "–": "minus", "minus": "minus", "*": "times",
    "×": "times", "·": "times", "∗": "times", "⋅": "times", "x": "times", "times": "times",
    "/": "divided by", "÷": "divided by", ":": "divided by",
    "over": "divided by", "less": "minus",
}  # fmt: skip
CHAINED = frozenset({"plus", "minus", "times", "divided by"})  # may follow each other: `2 plus 3 times 4`
_NEGATIVE = frozenset({"-", "−", "–", "minus", "negative"})
_BEYOND = frozenset(  # beyond the four operations
    {"squared", "cubed", "root", "power", "factorial", "mod", "modulo", "percent", "^", "√", "!", "(", "%"}
)
_OTHER = frozenset(
    {"and", "a", "half", "third", "quarter", "square", "cube", "to", "the", "of", "by", "from", "point", "divided"}
    | {"multiplied", "hundred", "difference", "sum", "product", "between", "with", "per", "cent"}
)
_KNOWN_WORDS = frozenset({*_OPERATORS, *_SCALES, *_NEGATIVE, *_OTHER, *_BEYOND, *WORDS, *TREE_WORDS, *SMALL})

_LISTED = frozenset({*OVER_LISTS, "add"})  # before numbers that commas may divide
_TREELIKE = frozenset({*_BEYOND, *TREE_WORDS}) - {"a", "an", "the", "plus", "percent", "%"}

# Without one of these, tokens are at most a number.
_ACTS = frozenset({*_OPERATORS, *_BEYOND, *OVER_LISTS, "of", "divided", "multiplied"})


@dataclass(slots=True)
class Sum:
    """`entities` are those of `calculate`. `whole` is False for a sum that cannot be read to its end."""

    entities: dict[str, Any] = field(default_factory=dict)
    whole: bool = True


@dataclass(slots=True)
class _Reader:
    tokens: list[str]
    at: int = 0

    @property
    def next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, *words: str) -> bool:
        """Take these words if they follow; False if not."""
        there = tuple(self.tokens[self.at : self.at + len(words)]) == words
        self.at += len(words) if there else 0
        return there

    def number(self) -> Number | None:
        sign = 1
        if self.next in _NEGATIVE:
            sign, self.at = -1, self.at + 1
        value = self._digits() if self.next[:1].isdigit() or self.next[:1] == "." else self._words()
        if value is None or abs(value) >= 10**MAX_DIGITS:
            return None
        return sign * value

    def _digits(self) -> Number | None:
        written = self.next
        if "," in written and not _GROUPED.match(written):
            return None
        plain = written.replace(",", "")
        if len(plain) > MAX_DIGITS:
            return None
        self.at += 1
        value: Number = float(plain) if "." in plain else int(plain)
        while self.next in _SCALES:
            value *= _SCALES[self.next]
            self.at += 1
        return value

    def _words(self) -> Number | None:
        began, total, part = self.at, 0, 0
        if self.next == "a" and self.at + 1 < len(self.tokens) and self.tokens[self.at + 1] in {"hundred", *_SCALES}:
            part, self.at = 1, self.at + 1
        while True:
            word = self.next
            if word in SMALL:
                if part % 10 or (part and part % _HUNDRED and SMALL[word] > 9):
                    return None  # "five five" is a code rather than a number
                part += SMALL[word]
            elif word == "hundred" and part:
                part *= _HUNDRED
            elif word in _SCALES and part:
                total, part = total + part * _SCALES[word], 0
            elif word == "and" and part % _HUNDRED == 0 and (part or total) and self._number_follows():
                pass
            else:
                break
            self.at += 1
        if self.at == began:
            return None
        return self._decimals(total + part)

    def _number_follows(self) -> bool:
        return self.at + 1 < len(self.tokens) and self.tokens[self.at + 1] in SMALL

    def _decimals(self, whole: int) -> Number:
        """The decimals of `three point one four`."""
        if self.next != "point":
            return whole
        digits = ""
        while self.at + 1 < len(self.tokens) and (digit := SMALL.get(self.tokens[self.at + 1], 10)) < 10:
            digits += str(digit)
            self.at += 1
        self.at += 1 if digits else 0
        return float(f"{whole}.{digits}") if digits else whole

    def operator(self) -> str:
        for words, name in (
            (("divided", "by"), "divided by"),
            (("take", "away"), "minus"),
            (("multiplied", "by"), "times"),
            (("percent", "of"), "percent of"),
        ):
            if self.take(*words):
                return name
        name = _OPERATORS.get(self.next, "")
        self.at += 1 if name else 0
        return name


def number_in(words: str) -> Number | None:
    """The number that the words are, such as `twenty five` or `2.5`; None if they are anything else."""
    tokens = _tokens(words)
    reader = _Reader(tokens)
    number = reader.number() if tokens else None
    return None if reader.next else number


def sum_of(text: str) -> Sum | None:
    """The sum in a text; None if it is none."""
    spaced = _DECORATION.sub("", " ".join(text.split()).lower())
    found = _LEAD.match(spaced)
    lead = bool(found and found["lead"])
    body = _without_end(spaced[found.end() if found else 0 :], factorial=lead)
    if not body or body in _NAMES or _DATED.match(body) or _TIME.match(body) or not (lead or _may_stand_alone(body)):
        return None
    if lead and body == "half a dozen":
        return Sum({"first": 12, "operation": "divided by", "second": 2})
    if (dozens := _DOZENS.match(body)) and (count := number_in(dozens["count"])) is not None:
        return Sum({"first": count, "operation": "times", "second": _IN_ONE[dozens["of"].removesuffix("s")]})
    tokens = _tokens(_without_currency(body))
    read = _read(tokens, asked=lead) if tokens else None
    beyond = read is None and len(body) <= MAX_FIGURES and _FIGURES.match(body)
    return Sum(whole=False) if beyond else read


def _without_end(body: str, *, factorial: bool) -> str:
    """`5 + 3 equals?` as `5 + 3`. `factorial`: the sign of `what is 5!` belongs to the sum."""
    if factorial and _FACTORIAL.match(body):
        return body.rstrip("?=., ")
    left = _WHAT_EACH_PAYS.sub("", body.rstrip(_END_MARKS))
    for word in _END_WORDS:
        left = left.removesuffix(f" {word}").rstrip(_END_MARKS)
    return left


def _without_currency(body: str) -> str:
    """`$5 + $3` as `5 + 3`; two currencies are no sum, so they stay."""
    named = [found[0].removesuffix("s") for found in _CURRENCY.finditer(body)]
    one = len({_SIGNS.get(name, name) for name in named}) == 1
    return " ".join(_CURRENCY.sub(" ", body).split()) if one else body


def _may_stand_alone(body: str) -> bool:
    glued = _GLUED.match(body)
    return glued is None or (glued[2] != ":" and max(len(glued[1]), len(glued[3])) <= MAX_GLUED_DIGITS)


def _tokens(body: str) -> list[str]:
    """The tokens; empty if something does not belong in a sum."""
    text = HYPHEN.sub(" ", body)
    for pattern, plain in _WRITTEN_OTHERWISE:
        text = pattern.sub(plain, text).strip()
    tokens: list[str] = []
    at = 0
    while at < len(text) and len(tokens) <= MAX_TOKENS:
        found = _TOKEN.match(text, at)
        if found is None or (found[1].isalpha() and found[1] not in _KNOWN_WORDS):
            return []
        tokens.append("percent" if found[1] == "%" else found[1])
        at = found.end()
    return tokens


def _read(tokens: list[str], *, asked: bool) -> Sum | None:
    """The sum of these tokens. `asked`: a question came before them."""
    if len(tokens) > MAX_TOKENS:  # the rest was not looked at
        return Sum(whole=False) if _is_arithmetic(tokens) else None
    if _LISTED.intersection(tokens):
        tokens = _lists_apart(tokens)
    form = read_form(_Reader(tokens)) or read_list(_Reader(tokens))
    if form is not None:
        return Sum(form)
    if not asked and not set(tokens) & _ACTS:
        return None  # a number, such as `five and a half`
    tree = None if _is_small(tokens) else read_tree(_Reader(tokens))
    if isinstance(tree, list) or (tree is not None and asked):
        return Sum({"tree": tree})
    tokens = [token for at, token in enumerate(tokens) if token != COMMA or not _beside_operator(tokens, at)]
    if COMMA in tokens:
        return None
    reader = _Reader(tokens)
    first = reader.number()
    if first is not None:
        if asked and reader.at > 0 and tokens[reader.at :] in (["percent"], ["percent", "of"]):
            return Sum({"first": first, "operation": "percent of"}, whole=False)
        operation = _operation(reader, asked=asked)
        after = reader.at
        second = reader.number() if operation else None
        if second is not None:
            entities = {"first": first, "operation": operation, "second": second}
            then = _then(reader, asked=asked) if operation in CHAINED else []
            if not reader.next:
                return Sum(entities | ({"then": then} if then else {}))
            return Sum({"first": first, "rest": " ".join(tokens[after:])}, whole=False)
    return Sum(whole=False) if _is_arithmetic(tokens) else None


def _is_small(tokens: list[str]) -> bool:
    """True for the sums that are entities of their own: `2 plus 3`, `2 plus 3 times 4`."""
    return not (_TREELIKE & set(tokens))


def _lists_apart(tokens: list[str]) -> list[str]:
    """`3,4,5` as three numbers, and also `100,200 and 300`; but `1,200 and 300` are two."""
    numbers = [token for token in tokens if token[0].isdigit()]
    groups = [group for number in numbers for group in number.split(",")]
    one_style = all(len(group) == GROUP_DIGITS and group[0] != "0" for group in groups)
    apart: list[str] = []
    for token in tokens:
        if "," in token[1:] and (one_style or len(numbers) == 1 or not _GROUPED.match(token)):
            apart += [part for number in token.split(",") for part in (COMMA, number)][1:]
        else:
            apart.append(token)
    return apart


def _beside_operator(tokens: list[str], at: int) -> bool:
    """True for the comma of `five, plus three`."""
    return bool({"multiplied", "divided", *_OPERATORS} & {*tokens[at - 1 : at], *tokens[at + 1 : at + 2]})


def _operation(reader: _Reader, *, asked: bool) -> str:
    return "plus" if asked and reader.take("and") else reader.operator()  # "what is two and two"


def _then(reader: _Reader, *, asked: bool) -> list[str | Number]:
    """What follows the second number, as operation and number in turn. Stops before anything else."""
    then: list[str | Number] = []
    while True:
        began = reader.at
        operation = _operation(reader, asked=asked)
        number = reader.number() if operation in CHAINED else None
        if number is None:
            reader.at = began
            return then
        then += [operation, number]


def _is_arithmetic(tokens: list[str]) -> bool:
    """True for a number with an operation beyond the four: `2 squared`, `the square root of 16`."""
    numbers = [token for token in tokens if token in SMALL or token[0].isdigit()]
    acts = [token for token in tokens if token in _BEYOND or token in _OPERATORS]
    return bool(numbers and acts) and tokens[-1] not in {"percent", "%"}
