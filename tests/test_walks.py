"""docs/HOUSE.md: the walks are those that the code takes, and every room is named."""

from __future__ import annotations

import re
from functools import cache

import pytest

from tests.house import MAX_MODULE_LINES, ROOT, imports, knots, modules, rooms
from tests.walks import PAGE, Walk, walks, with_rooms, with_sizes, written

AGAIN = "out of date: python -m tests.walks --write"
MAY_DIFFER = 0.05  # of a walk's functions: a small change of a module need not touch the page
WALKS = ("microphone", "speech", "rest", "resume", "interruption")


@cache
def found() -> dict[str, Walk]:
    return walks()


def listed(name: str) -> dict[str, list[str]]:
    """The page's functions by module."""
    page = PAGE.read_text(encoding="utf-8")
    part = re.search(rf"<!-- walk: {name} -->\n(.*?)<!-- end -->", page, re.DOTALL)
    assert part is not None
    lines = re.findall(r"^\d+\. `([\w/]+)`: (.*)$", part[1], re.MULTILINE)
    return {module: re.findall(r"`([\w.]+)`", functions) for module, functions in lines}


@pytest.mark.parametrize("name", WALKS)
def test_a_walk_is_listed_as_it_goes(name: str) -> None:
    """The same modules in the same order, and nearly the same functions."""
    page, walk = listed(name), found()[name]
    assert list(page) == walk.modules, AGAIN
    named = {(module, function) for module, functions in page.items() for function in functions}
    assert len(named ^ set(walk.steps)) <= 1 + len(walk.steps) * MAY_DIFFER, AGAIN


def test_a_list_that_is_out_of_date_is_replaced() -> None:
    stale = "# page\n<!-- walk: rest -->\nold\n<!-- end -->\nrest\n"
    walk = Walk([("a", "f"), ("b", "g"), ("a", "h")], calls=4, nested=1)
    assert written(stale, {"rest": walk}) == (
        "# page\n<!-- walk: rest -->\n3 functions in 2 modules, 4 calls, at most 1 coroutines within each other.\n\n"
        "1. `a`: `f`, `h`\n2. `b`: `g`\n<!-- end -->\nrest\n"
    )


def test_no_walk_goes_through_a_framework_of_another_dialect() -> None:
    """A session of one dialect runs no code of the other."""
    for walk in found().values():
        assert not [module for module in walk.modules if module.startswith(("streaming/openai", "streaming/client"))]


def test_a_room_that_the_page_lacks_gets_a_row_and_one_that_is_gone_loses_it() -> None:
    head = "| room | lines | contents |\n|---|---|---|\n"
    page = with_rooms(f"# page\n{head}| `server/net` | 1 | HTTP |\n| `server/gone` | 2 | – |\n\nrest\n")
    assert re.search(r"^\| `server/net` \| \d,\d+ \| HTTP \|$", page, re.MULTILINE)
    assert re.search(r"^\| `streaming/sound` \| \d,\d+ \| Audio of live channels\. \|$", page, re.MULTILINE)
    assert "server/gone" not in page
    assert page.endswith("|\n\nrest\n")


def test_sizes_get_the_figures_of_today() -> None:
    page = with_sizes(
        "| | before | now |\n| longest module | 449 | 1 |\n| test lines to code lines | 0.80 | 9.99 |\n| other | 1 | 2 |\n"
    )
    longest, tests = re.findall(r"^\| [^|]+ \| (?:449|0\.80) \| ([\d.]+) \|$", page, re.MULTILINE)
    assert 300 < int(longest) <= MAX_MODULE_LINES
    assert 0.5 < float(tests) < 2
    assert "| other | 1 | 2 |" in page


def test_the_pages_circles_are_those_of_the_code() -> None:
    (circles,) = re.findall(r"^\| circles of imports.* \| (\d+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert int(circles) == len(knots(imports(modules(ROOT))))


def test_the_page_names_every_room() -> None:
    named = re.findall(r"^\| `([\w/]+)` \| [\d,]+ \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(room for room in rooms(ROOT) if room != "tests"), AGAIN
