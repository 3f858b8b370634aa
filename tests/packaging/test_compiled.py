"""The optional compiled build. `make test-compiled` makes it and runs the tests on it; here is what costs no compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from typing import TYPE_CHECKING

import pytest

from server import hot_path
from tests.support.packages import ROOT
from tests.test_walks import listed

if TYPE_CHECKING:
    from pathlib import Path

# On these walks, and plain Python all the same.
PLAIN = {"server/net/websocket/mask": "Tornado's C function takes its place"}


@pytest.mark.parametrize("walk", ["microphone", "speech"])
def test_the_whole_walk_of_a_frame_is_on_the_list(walk: str) -> None:
    listed_modules = {name.replace(".", "/") for name in hot_path.MODULES}
    assert set(listed(walk)) - listed_modules - set(PLAIN) == set()


def test_each_module_of_the_list_exists_and_has_a_reason() -> None:
    for name, reason in hot_path.MODULES.items():
        assert (ROOT / f"{name.replace('.', '/')}.py").is_file(), name
        assert reason


@pytest.mark.parametrize("command", ["editable_wheel", "develop", "build_ext"])
def test_nothing_is_compiled_into_a_checkout(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "setup.py", command],
        cwd=ROOT,
        env={**os.environ, "JARVIS_COMPILED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "an editable install stays plain Python" in done.stderr


def test_no_compiled_module_is_in_the_checkout() -> None:
    """It would be loaded in place of its source, whatever changes there."""
    if hot_path.compiled():
        pytest.skip("these tests run on the compiled build")
    found = [path for room in ("server", "handlers", "streaming") for path in (ROOT / room).rglob("*.so")]
    assert found == []


def test_it_is_told_what_is_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hot_path, "ROOT", tmp_path)
    assert hot_path.described() == "plain Python"
    for number, name in enumerate(hot_path.MODULES, 1):
        file = tmp_path / (name.replace(".", "/") + EXTENSION_SUFFIXES[0])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        if number == 1:
            assert hot_path.described() == f"compiled in part: 1 of {len(hot_path.MODULES)} modules"
    assert hot_path.described() == "compiled"
