"""The layout of the source: no import cycles, and nothing longer than the rules allow."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from tests.house import MAX_MODULE_LINES, ROOT, circles, class_names, imports, long_functions, modules

if TYPE_CHECKING:
    from pathlib import Path

# A class here has the same name as what it describes elsewhere: an interface and its implementation, an event and the message that
# carries it, a user and what the client is told about the user.
DESCRIBED = ("streaming.domain", "streaming.ports.", "server.identity.")
DESCRIBES = ("streaming.protocol.messages.", "server.telemetry.tracing")


def test_no_module_imports_itself_in_a_circle_not_even_for_types() -> None:
    assert circles(imports(modules(ROOT))) == []


def test_a_circle_is_found_with_the_path_round_it() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    (circle,) = circles(graph)
    assert circle[0] == circle[-1]
    assert set(circle) == {"a", "b", "c"}
    assert all(target in graph[name] for name, target in pairwise(circle))


def test_each_of_several_circles_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d.e"}, "d.e": {"f"}, "f": {"d"}}
    assert {frozenset(circle) for circle in circles(graph)} == {frozenset({"b", "c"}), frozenset({"d", "d.e", "f"})}


def test_modules_and_functions_are_short() -> None:
    paths = modules(ROOT)
    lines = {name: len(path.read_text().splitlines()) for name, path in paths.items()}
    assert {name: count for name, count in lines.items() if count > MAX_MODULE_LINES} == {}
    assert list(long_functions(paths)) == []


def test_no_two_things_have_the_same_name() -> None:
    def doubles(names: list[str]) -> bool:
        if len(names) == 2:
            one, other = sorted(names, key=lambda name: name.startswith(DESCRIBED))
            return not (one.startswith(DESCRIBES) and other.startswith(DESCRIBED))
        return len(names) > 1

    paths = {name: path for name, path in modules(ROOT).items() if not name.startswith("server.embedded.")}
    assert {name: places for name, places in class_names(paths).items() if doubles(places)} == {}


def test_no_two_things_of_an_embedded_service_have_the_same_name() -> None:
    """Each service stands alone: what its neighbour calls an engine is nothing to it."""
    rooms: dict[str, dict[str, Path]] = {}
    for name, path in modules(ROOT).items():
        if name.startswith("server.embedded."):
            rooms.setdefault(".".join(name.split(".")[:3]), {})[name] = path
    for paths in rooms.values():
        assert {name: places for name, places in class_names(paths).items() if len(places) > 1} == {}
