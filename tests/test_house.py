"""The layout of the source: no import cycles, and nothing longer than the rules allow."""

from __future__ import annotations

from itertools import pairwise

from tests.house import MAX_MODULE_LINES, ROOT, circles, imports, long_functions, modules


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
