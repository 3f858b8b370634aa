"""The layout of the source: `python -m tests.house` prints import circles and a table of sizes per package.

Imports for types and imports inside functions count like any other.
"""

from __future__ import annotations

import ast
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("server", "handlers", "streaming")
MAX_MODULE_LINES = 450
MAX_FUNCTION_LINES = 80

Graph = dict[str, set[str]]


def modules(root: Path, packages: Sequence[str] = PACKAGES) -> dict[str, Path]:
    """The file of each module, by its dotted name; a package is named without `__init__`."""
    found = {}
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def parsed(path: Path) -> ast.Module:
    """Its syntax tree, which all checks of the source share."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(paths: Mapping[str, Path]) -> Graph:
    """The modules that each module imports, out of these. All imports are absolute: ruff sees to it."""
    graph: Graph = {}
    for name, path in paths.items():
        targets: set[str] = set()
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                submodules = {f"{node.module}.{alias.name}" for alias in node.names}
                targets |= submodules & paths.keys()
                if not submodules <= paths.keys():  # some of them are names in the module itself
                    targets.add(node.module)
        graph[name] = (targets & paths.keys()) - {name}
    return graph


def circles(graph: Graph) -> list[list[str]]:
    """One path round each circle, until none is left: the last import of a circle is cut to find the next."""
    graph = {name: set(targets) for name, targets in graph.items()}
    found = []
    while True:
        try:
            TopologicalSorter({name: sorted(graph[name]) for name in sorted(graph)}).prepare()
        except CycleError as error:
            circle = error.args[1][::-1]  # graphlib names the imported module first
            found.append(circle)
            graph[circle[0]].discard(circle[1])
        else:
            return found


def knots(graph: Graph) -> list[set[str]]:
    """The groups of modules in which each imports every other, if only by others: circles that share modules are one knot."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            new = graph.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        return seen

    reach = {name: reached(name) for name in graph}
    groups = {
        frozenset(other for other in reach[name] if name in reach[other]) for name in graph if name in reach[name]
    }
    return sorted(map(set, groups), key=len, reverse=True)


def long_functions(paths: Mapping[str, Path]) -> Iterator[str]:
    """`module:function lines` of those over the limit."""
    for name, path in paths.items():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    yield f"{name}:{node.name} {lines}"


def type_names(paths: Mapping[str, Path]) -> dict[str, list[str]]:
    """The modules that define each class or type alias, private ones and type variables apart."""
    found: dict[str, list[str]] = {}
    for name, path in paths.items():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(name)
        for alias in _aliases(parsed(path).body):
            found.setdefault(alias, []).append(name)
    return found


def _aliases(body: Sequence[ast.stmt]) -> Iterator[str]:
    """Names like those of classes that a module assigns, under `if TYPE_CHECKING` too."""
    for node in body:
        if isinstance(node, ast.If):
            yield from _aliases(node.body)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
            variable = isinstance(value, ast.Call) and ast.unparse(value.func) in {"TypeVar", "ParamSpec"}
            if name[0].isupper() and not name.isupper() and "_" not in name and not variable:
                yield name


def _docstring_lines(tree: ast.Module) -> int:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    first = [node.body[0] for node in ast.walk(tree) if isinstance(node, documented) and ast.get_docstring(node)]
    return sum((line.end_lineno or line.lineno) - line.lineno + 1 for line in first)


def sizes(paths: Sequence[Path]) -> dict[str, int]:
    """Lines, and how many of them are comments (on a line of their own) or docstrings; functions; the longest module."""
    total = {"modules": len(paths), "lines": 0, "comments": 0, "docstrings": 0, "functions": 0, "longest": 0}
    for path in paths:
        lines, tree = path.read_text().splitlines(), parsed(path)
        total["lines"] += len(lines)
        total["longest"] = max(total["longest"], len(lines))
        total["comments"] += sum(line.lstrip().startswith("#") for line in lines)
        total["docstrings"] += _docstring_lines(tree)
        total["functions"] += sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(tree))
    return total


def rooms(root: Path) -> dict[str, list[Path]]:
    """The files of each room: a folder, with all below it."""
    found: dict[str, list[Path]] = {}
    for path in modules(root, (*PACKAGES, "tests")).values():
        parts = path.relative_to(root).parts[:-1]
        found.setdefault("/".join(parts[:1] if parts[0] == "tests" else parts[:2]), []).append(path)
    return found


def main(root: Path) -> None:
    """Print the circles, then the table."""
    paths = modules(root)
    graph = imports(paths)
    tied = [len(knot) for knot in knots(graph)]
    print(
        f"import circles, types included: {len(tied)}" + (f", of {', '.join(map(str, tied))} modules" if tied else "")
    )
    for circle in circles(graph):
        print("  " + " → ".join(circle))
    print(f"\n{'room':<24}{'modules':>9}{'lines':>9}{'comments':>9}{'docstr.':>9}{'functions':>10}{'longest':>9}")
    by_room = rooms(root)
    code = [path for room, listed in by_room.items() if room != "tests" for path in listed]
    for room, listed in (*by_room.items(), ("all but tests", code)):
        total = sizes(listed)
        print(
            f"{room:<24}{total['modules']:>9}{total['lines']:>9}{total['comments'] / total['lines']:>9.1%}"
            f"{total['docstrings'] / total['lines']:>9.1%}{total['functions']:>10}{total['longest']:>9}"
        )
    print(f"\ntest lines to code lines: {sizes(by_room['tests'])['lines'] / sizes(code)['lines']:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
