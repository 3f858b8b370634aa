"""Ctrl-C while a command imports its modules, at chosen imports: nothing is printed, and the shell is told of the signal."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from server.process.interrupts import ended_silently
from tests.conftest import HANG_S
from tests.support.gateway import environment

if TYPE_CHECKING:
    from pathlib import Path

# Presses Ctrl-C when the module named first is looked for, then runs the other as `python -m` does.
PRESSED = """
import runpy, signal, sys

_, pressed_at, module, *sys.argv[1:] = sys.argv

class Finger:
    def find_spec(self, name, path=None, target=None):
        if name == pressed_at:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Finger())
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("pressed_at", "command"),
    [
        ("structlog", "server talk --text hello"),
        ("server.process.children", "server talk --text hello"),
        ("tornado.autoreload", "server.cli.reload"),
        ("server.embedded.host", "server.embedded"),
    ],
)
def test_ctrl_c_during_imports_prints_nothing(tmp_path: Path, pressed_at: str, command: str) -> None:
    done = _pressed(tmp_path, pressed_at, command)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_neither_does_it_while_a_command_imports_its_own(tmp_path: Path) -> None:
    done = _pressed(tmp_path, "server.identity.auth", "server token")
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "", "")


@pytest.mark.parametrize("kept", [signal.SIG_IGN, signal.default_int_handler, lambda *_: None])
def test_the_handler_of_before_is_there_again(kept: Any) -> None:
    before = signal.signal(signal.SIGINT, kept)
    try:
        with ended_silently():
            during = signal.getsignal(signal.SIGINT)
        after = signal.getsignal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert during is (signal.SIG_DFL if kept is signal.default_int_handler else kept)
    assert after is kept


def _pressed(folder: Path, pressed_at: str, command: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", PRESSED, pressed_at, *command.split()]
    return subprocess.run(
        words, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False, timeout=HANG_S
    )
