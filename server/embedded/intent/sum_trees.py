"""Sums of any form, read as a tree: parentheses, powers, roots, fractions, averages. Recursive descent, `^` before `×` before `+`.

A tree is a number, "pi", or a list: an operation and its trees, as in `["times", ["plus", 2, 3], 4]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.embedded.intent.sum_forms import COMMA

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.embedded.intent.sum_forms import Numbers

Tree = Any  # int | float | str | list[Tree]; JSON has no recursive type in mypy that is easier to read

PI = "pi"
MAX_DEPTH = 32  # of lists in lists
_ORDINALS = ("third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_DEGREES = {"square": 2, "cube": 3, "cubic": 3} | {word: n for n, word in enumerate(_ORDINALS, 3)}
_PARTS = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4} | {
    form: n for n, word in enumerate(_ORDINALS, 3) for form in (word, f"{word}s")
}
OVER_LISTS = {
    "average": "average", "mean": "average", "median": "median", "maximum": "largest", "largest": "largest",
    "biggest": "largest", "highest": "largest", "minimum": "smallest", "smallest": "smallest", "lowest": "smallest",
    "sum": "plus", "total": "plus", "product": "times",
}  # fmt: skip
_ARTICLES = frozenset({"the", "a", "an"})
WORDS = frozenset({PI, "root", "factorial", "number", "value", "plus", *_DEGREES, *_PARTS, *OVER_LISTS, *_ARTICLES})


class _NoTreeError(Exception):
    """The tokens are no sum."""


def read_tree(reader: Numbers) -> Tree | None:
    """The tree of all that follows; None if it is no sum, or a mere number."""
    try:
        tree = _Descent(reader).sum()
    except _NoTreeError:
        return None
    if reader.next or _depth(tree) > MAX_DEPTH:
        return None
    return tree if isinstance(tree, list) or tree == PI else None


def _depth(tree: Tree) -> int:
    return 1 + max(_depth(part) for part in tree[1:]) if isinstance(tree, list) else 0


class _Descent:
    def __init__(self, reader: Numbers) -> None:
        self._reader = reader

    def sum(self) -> Tree:
        return self._chain(self._product, {"plus", "minus"})

    def _product(self) -> Tree:
        return self._chain(self._signed, {"times", "divided by", "remainder"})

    def _chain(self, part: Callable[[], Tree], operations: set[str]) -> Tree:
        tree = part()
        while True:
            began = self._reader.at
            operation = self._operation()
            if operation not in operations:
                self._reader.at = began
                return tree
            tree = [operation, tree, part()]

    def _operation(self) -> str:
        if any(self._reader.take(word) for word in ("mod", "modulo", "modulus")):
            return "remainder"
        return self._reader.operator()

    def _signed(self) -> Tree:
        if self._reader.next in {"-", "−", "–", "minus", "negative"}:
            self._reader.at += 1
            return ["minus", 0, self._signed()]
        return self._powers(self._whole())

    def _powers(self, tree: Tree) -> Tree:
        """What follows a number: `squared`, `^ 3`, `factorial`."""
        take = self._reader.take
        while True:
            if take("squared"):
                tree = ["power", tree, 2]
            elif take("cubed"):
                tree = ["power", tree, 3]
            elif take("factorial") or take("!"):
                tree = ["factorial", tree]
            elif take("percent", "of"):
                tree = ["divided by", ["times", tree, self._signed()], 100]
            elif take("^") or take("to", "the", "power", "of") or take("to", "the", "power"):
                return ["power", tree, self._signed()]
            else:
                return tree

    def _whole(self) -> Tree:
        """A number, or what stands for one."""
        reader = self._reader
        if reader.take("("):
            tree = self.sum()
            if not reader.take(")"):
                raise _NoTreeError
            return tree
        article = reader.next in _ARTICLES
        reader.at += article
        if reader.take(PI):
            return PI
        for read in (self._root, self._factorial, self._over_list):
            tree = read()
            if tree is not None:
                return tree
        return self._of(self._number(article=article))

    def _number(self, *, article: bool) -> Tree:
        """`5`, `two thirds`, `three and a half`; `article`: `a third`."""
        reader = self._reader
        number = 1 if article and reader.next in _PARTS else reader.number()
        if number is None:
            raise _NoTreeError
        if reader.next in _PARTS:
            reader.at += 1
            return ["divided by", number, _PARTS[self._before()]]
        if reader.take("and", "a", "half"):
            return ["plus", number, ["divided by", 1, 2]]
        return number

    def _before(self) -> str:
        """The token taken last."""
        self._reader.at -= 1
        token = self._reader.next
        self._reader.at += 1
        return token

    def _of(self, tree: Tree) -> Tree:
        """`two thirds of 90`."""
        return ["times", tree, self._signed()] if isinstance(tree, list) and self._reader.take("of") else tree

    def _root(self) -> Tree | None:
        reader = self._reader
        if reader.take("√"):
            return ["root", self._whole(), 2]
        named = reader.next
        degree = _DEGREES.get(named)
        if degree is None:
            return None
        began = reader.at
        reader.at += 1
        if named in {"square", "cube"} and reader.take("of"):
            return ["power", self._whole(), degree]
        if not reader.take("root"):
            reader.at = began
            return None
        _ = reader.take("of") or reader.take("from")
        return ["root", self._whole(), degree]

    def _factorial(self) -> Tree | None:
        return ["factorial", self._whole()] if self._reader.take("factorial", "of") else None

    def _over_list(self) -> Tree | None:
        reader = self._reader
        operation = OVER_LISTS.get(reader.next)
        if operation is None:
            return None
        reader.at += 1
        _ = reader.take("number") or reader.take("value")
        if not (reader.take("of") or reader.take("between") or reader.next == "("):
            raise _NoTreeError
        closed = reader.take("(")
        listed = [self._listed()]
        while self._joined():
            listed.append(self._listed())
        if closed and not reader.take(")"):
            raise _NoTreeError
        return [operation, *listed]

    def _joined(self) -> bool:
        comma = self._reader.take(COMMA)
        return self._reader.take("and") or comma or bool(self._reader.next[:1].isdigit())

    def _listed(self) -> Tree:
        """One of the listed. Only numbers, because `and` separates them."""
        return self._powers(self._whole())
