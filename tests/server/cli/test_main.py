"""The command line, as it is typed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import jwt
import pytest

from tests.support.gateway import SECRET, environment

if TYPE_CHECKING:
    from pathlib import Path


def run(directory: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "server", *words]
    return subprocess.run(
        command, cwd=directory, env=environment(directory, **settings), capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("named", ["--file", "USERS_FILE"])
def test_a_user_is_added_to_the_file_that_was_named(tmp_path: Path, named: str) -> None:
    file = tmp_path / "people.json"
    option = ["--file", str(file)] if named == "--file" else []
    done = run(
        tmp_path,
        "user",
        "add",
        "ada",
        "--role",
        "operator",
        *option,
        JARVIS_PASSWORD="correct horse",
        USERS_FILE=str(file),
    )
    assert (done.returncode, done.stdout) == (0, "ada may sign in, with operator\n"), done.stderr
    assert "correct horse" not in file.read_text()


def test_a_token_is_printed(tmp_path: Path) -> None:
    done = run(tmp_path, "token", "--user", "ada", "--role", "user")
    claims = jwt.decode(done.stdout.strip(), SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["roles"], claims["typ"]) == ("ada", ["user"], "access")


def test_a_wrong_setting_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, "token", JWT_SECRET_KEY="short", DEBUG="false")
    assert done.returncode != 0
    assert "JWT_SECRET_KEY" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_gone_is_no_trouble_worth_a_word(tmp_path: Path) -> None:
    """`… | true`: the exit code is the one that a shell gives a tool killed by SIGPIPE."""
    unread, written = os.pipe()
    os.close(unread)
    try:
        command = [sys.executable, "-m", "server", "token"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(tmp_path), stdout=written, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(written)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")
