"""No circle of imports, types included: what two modules need of each other is a Protocol in one of them.

`python -m pytest tests/test_house.py` shows each circle with the imports that close it.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("server", "handlers", "streaming")

# Circles that are still there. The list only shrinks.
KNOWN: tuple[frozenset[str], ...] = ()


def modules() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(known: dict[str, Path]) -> dict[str, set[str]]:
    """Which of our modules each of them names in an import, those for type checking too."""
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        named = graph[name] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                named.update(inner & known.keys())
                if not inner <= known.keys():
                    named.add(node.module)
        named &= known.keys() - {name}
    return graph


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph[waiting.pop()] - seen
        seen |= new
        waiting += new
    return seen


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """Sets of modules that import each other, however far around."""
    reach = {name: reachable(graph, name) for name in graph}
    return {frozenset(other for other in reach[name] if name in reach[other]) for name in graph if name in reach[name]}


def test_a_circle_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d.e"}, "d.e": {"f"}, "f": {"d"}}
    assert circles(graph) == {frozenset({"b", "c"}), frozenset({"d", "d.e", "f"})}


def test_no_modules_import_each_other() -> None:
    graph = imports(modules())
    told = []
    for circle in circles(graph):
        if not any(circle <= known for known in KNOWN):
            told += [f"{name} imports {', '.join(sorted(graph[name] & circle))}" for name in sorted(circle)]
    assert told == []


def test_no_known_circle_is_gone() -> None:
    found = circles(imports(modules()))
    assert [sorted(known) for known in KNOWN if not any(circle <= known for circle in found)] == []
