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


NO_GATEWAY = "ws://127.0.0.1:9"  # the discard port: nobody listens


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["talk", "--url", NO_GATEWAY, "--text", "hi"], "no gateway at"),
        (["talk", "--url", "http://127.0.0.1:9", "--text", "hi"], "127.0.0.1:9"),
        (["talk", "--url", "ftp://h", "--text", "hi"], "not with http, https, ws or wss"),
        (["talk", "--url", "ws://[::1", "--text", "hi"], "is no URL"),
        (["talk", "--url", "ws://h:port", "--text", "hi"], "is no URL"),
        (["talk", "missing.wav"], "missing.wav: No such file"),
        (["talk", "empty"], "empty is no WAV file"),
        (["replay", "missing.jsonl"], "No such file"),
        (["replay", "empty"], "empty"),
        (["replay", "--url", "ftp://h", "empty"], "not with http, https, ws or wss"),
        (["token", "--minutes", "99999999999999999999"], "ten years"),
        (["token", "--minutes", "-5"], "--minutes"),
        (["user", "add", "bob", "--file", "/proc/none/users.json"], "cannot be written"),
        (["user", "add", "bob", "--file", "empty"], "no users file"),
    ],
    ids=" ".join,
)
def test_a_foreseeable_failure_is_no_traceback(tmp_path: Path, words: list[str], told: str) -> None:
    (tmp_path / "empty").touch()
    done = run(tmp_path, *words, JARVIS_PASSWORD="correct horse")
    assert done.returncode != 0
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_nobody_types_a_password(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "server", "user", "add", "bob"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # no terminal to ask at
    )
    assert done.returncode == 2
    assert "no password" in done.stderr
    assert "Traceback" not in done.stderr


def test_adding_a_user_wants_no_key(tmp_path: Path) -> None:
    settings = {"DEBUG": "false", "JWT_SECRET_KEY": "", "JARVIS_PASSWORD": "correct horse"}
    done = run(tmp_path, "user", "add", "ada", **settings)
    assert (done.returncode, done.stdout) == (0, "ada may sign in, with user\n"), done.stderr


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
