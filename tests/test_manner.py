"""The project's own rules of writing, checked: budgets of functions and modules, generated code, and unwanted words."""

from __future__ import annotations

import ast
import filecmp
import statistics
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.house import ROOT, parsed

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = ("server", "handlers", "streaming", "protos")
SOURCES = sorted(
    path
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if not path.stem.endswith(("_pb2", "_pb2_grpc"))
)


def functions(path: Path) -> list[tuple[str, int]]:
    found = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [(f"{path.name}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1) for node in found]


def test_functions_are_short() -> None:
    all_functions = [entry for path in SOURCES for entry in functions(path)]
    lengths = sorted(length for _, length in all_functions)
    assert statistics.median(lengths) <= 10
    assert lengths[int(len(lengths) * 0.95)] < 50
    assert [name for name, length in all_functions if length > 80] == []


def test_modules_are_short() -> None:
    lines = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8").count("\n") for path in SOURCES}
    assert {name: count for name, count in lines.items() if count > 450} == {}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(parsed(path))


def test_generated_code_is_that_of_the_protos(tmp_path: Path) -> None:
    (tmp_path / "protos").mkdir()
    subprocess.run(
        [sys.executable, "-m", "protos.generate", "--out", str(tmp_path)], cwd=ROOT, check=True, capture_output=True
    )
    fresh = sorted(path.name for path in (tmp_path / "protos").iterdir())
    committed = sorted(path.name for path in (ROOT / "protos").glob("*_pb2*.py*"))
    assert fresh == committed
    _, differing, missing = filecmp.cmpfiles(tmp_path / "protos", ROOT / "protos", fresh, shallow=False)
    assert (differing, missing) == ([], [])


def test_nothing_was_left_for_later() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "NotImplemented" + "Error")
    found = [f"{path.name}: {mark}" for path in SOURCES for mark in marks if mark in path.read_text(encoding="utf-8")]
    assert found == []


# --- tests ---

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def trees() -> dict[Path, ast.Module]:
    """Those of all tests and what helps them; not made at the import, because most of a run needs none."""
    return {path: parsed(path) for path in sorted((ROOT / "tests").rglob("*.py"))}


def called(node: ast.AST) -> set[str]:
    """The names of what is called within, without what stands in front of their last dot."""
    calls = (each.func for each in ast.walk(node) if isinstance(each, ast.Call))
    return {name for call in calls if (name := getattr(call, "attr", getattr(call, "id", "")))}


def asserts(function: Function) -> bool:
    """By itself. Waiting until something is so, with nothing but a time-out in the end, is no assertion."""
    checks = {"raises", "fail", "warns", "check_call", "check_output", "expect"}
    return any(isinstance(node, ast.Assert) for node in ast.walk(function)) or any(
        name in checks or name.startswith("assert_") for name in called(function)
    )


def test_every_test_asserts_something() -> None:
    """Itself, or in a function that it calls. What a context manager asserts at its end counts for whoever wrote that."""
    functions = [node for tree in trees().values() for node in ast.walk(tree) if isinstance(node, Function)]
    by_name: dict[str, list[Function]] = {}
    for function in functions:
        if not any("contextmanager" in ast.unparse(decorator) for decorator in function.decorator_list):
            by_name.setdefault(function.name, []).append(function)
    asserting: set[str] = set()
    while True:
        more = {
            name
            for name, same in by_name.items()
            if name not in asserting and all(asserts(each) or called(each) & asserting for each in same)
        }
        if not more:
            break
        asserting |= more
    tests = [(path, node) for path, tree in trees().items() for node in tree.body if isinstance(node, Function)]
    silent = [
        f"{path.name}:{node.name}"
        for path, node in tests
        if node.name.startswith("test_") and node.name not in asserting
    ]
    assert silent == []


def test_what_a_page_shows_is_waited_for() -> None:
    """By Playwright's `expect`: a page draws when it has time, and an assertion that asks once fails on a busy machine."""
    asked_once = {"is_visible", "is_hidden", "is_enabled", "is_disabled", "is_checked", "is_editable"}
    found = [
        f"{path.name}:{node.lineno}"
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert) and called(node) & asked_once
    ]
    assert found == []
