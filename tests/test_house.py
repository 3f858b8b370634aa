"""The layout of the source: no import cycles, and nothing longer than the rules allow."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path

import tests
from tests.house import MAX_MODULE_LINES, PACKAGES, ROOT, circles, imports, knots, long_functions, modules, type_names

# A type here has the same name as what it describes elsewhere: an interface and its implementation, an event and the message that
# carries it, a user and what the client is told about the user, a field of REST and the same field of the socket.
DESCRIBED = ("streaming.domain", "streaming.ports.", "server.identity.", "server.operations.")
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


def test_circles_that_share_modules_are_one_knot() -> None:
    graph = {"a": {"b", "c"}, "b": {"a"}, "c": {"a"}, "d": {"a", "e"}, "e": {"f"}, "f": {"e"}, "g": {"h"}}
    assert knots(graph) == [{"a", "b", "c"}, {"e", "f"}]
    assert knots({"a": {"b"}, "b": {"c"}}) == []


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
    assert {name: places for name, places in type_names(paths).items() if doubles(places)} == {}


def test_no_two_things_of_an_embedded_service_have_the_same_name() -> None:
    """Each service stands alone: what its neighbour calls an engine is nothing to it."""
    rooms: dict[str, dict[str, Path]] = {}
    for name, path in modules(ROOT).items():
        if name.startswith("server.embedded."):
            rooms.setdefault(".".join(name.split(".")[:3]), {})[name] = path
    for paths in rooms.values():
        assert {name: places for name, places in type_names(paths).items() if len(places) > 1} == {}


def test_the_docstring_of_a_package_names_each_of_its_modules() -> None:
    """It is the package's map."""
    paths = modules(ROOT)
    unnamed = []
    for package, path in paths.items():
        inside = [
            name.rpartition(".")[2] for name in paths if name.rpartition(".")[0] == package and not name.endswith("__")
        ]
        named = re.findall(r"\w+", ast.get_docstring(ast.parse(path.read_text())) or "")
        unnamed += [f"{package}.{name}" for name in inside if name not in named and len(inside) > 2]
    assert unnamed == []


# --- tests ---

TESTS = sorted(path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py"))


def test_tests_mirror_the_source_or_lie_in_a_folder_that_says_what_it_is_for() -> None:
    page = tests.__doc__ or ""
    described = {name for line in re.findall(r"^(\w[\w, ]*?)  +", page, re.MULTILINE) for name in line.split(", ")}
    assert all((ROOT / "tests" / name).is_dir() for name in described), described
    strays = {
        folder.as_posix()
        for folder in {path.parent for path in TESTS if len(path.parts) > 1}
        if not (ROOT / folder).is_dir() and folder.parts[0] not in described
    }
    assert strays == set()


def misplaced(found: list[Path], named: set[str]) -> list[str]:
    """Tests named as a module, but of another room than any module of that name. `named`: dotted names of modules."""
    rooms: dict[str, set[str]] = {}
    for module in named:
        room, _, name = module.rpartition(".")
        rooms.setdefault(name.strip("_"), set()).add(room)
    wrong = []
    for path in found:
        room, name = ".".join(path.parts[:-1]), path.stem.removeprefix("test_")
        if room.startswith(PACKAGES) and name in rooms and room not in rooms[name] and room.rpartition(".")[2] != name:
            wrong.append(path.as_posix())
    return wrong


def test_a_test_named_as_a_module_lies_in_its_room() -> None:
    assert misplaced(TESTS, set(modules(ROOT))) == []


def test_a_test_in_another_room_than_its_module_is_found() -> None:
    named = {"server.net.tick", "server.__main__", "server.mind", "server.mind.chat"}
    right = [
        "server/net/test_tick.py",
        "server/test_main.py",
        "server/mind/test_mind.py",
        "server/test_other.py",
        "e2e/test_chat.py",
    ]
    wrong = ["server/test_tick.py", "server/mind/test_main.py", "streaming/test_chat.py"]
    assert misplaced([Path(path) for path in right + wrong], named) == wrong
