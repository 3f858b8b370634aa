"""The command line, as users type it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest.mock import patch

import jwt
import pytest

from server import hot_path
from server.__main__ import main
from server.identity.development_key import kept_key
from tests.conftest import HANG_S
from tests.support.gateway import SECRET, environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.gateway import GatewayProcess


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def run(directory: Path, *words: str, **settings: str) -> Done:
    """The command in this process, in that folder and with these settings only: a Python for each would take its second."""
    told, complained = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(directory))
        stack.enter_context(patch.object(sys, "argv", ["jarvis-gateway", *words]))
        stack.enter_context(patch.dict(os.environ, environment(directory, **settings), clear=True))
        stack.enter_context(contextlib.redirect_stdout(told))
        stack.enter_context(contextlib.redirect_stderr(complained))
        ended = stack.enter_context(pytest.raises(SystemExit))
        main()
    return Done(int(ended.value.code or 0), told.getvalue(), complained.getvalue())


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


@pytest.mark.parametrize("module", ["server", "server.embedded"])
def test_the_commands_need_no_docstrings(tmp_path: Path, module: str) -> None:
    """PYTHONOPTIMIZE=2 drops them."""
    command = [sys.executable, "-OO", "-m", module, "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


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
        (["talk", "."], ".: Is a directory"),
        (["talk", "empty"], "empty: the file is empty"),
        (["talk", "words.txt"], "words.txt: the file is not wav, mp3, ogg"),
        (["replay", "missing.jsonl"], "No such file"),
        (["replay", "empty"], "empty"),
        (["replay", "--url", "ftp://h", "empty"], "not with http, https, ws or wss"),
        (["token", "--minutes", "99999999999999999999"], "ten years"),
        (["token", "--minutes", "-5"], "--minutes"),
        (["user", "add", "bob", "--file", "/proc/none/users.json"], "cannot be written"),
        (["user", "add", "bob", "--file", "empty"], "not a users file"),
        (["user", "list", "--file", "empty"], "not a users file"),
        (["user", "list", "--file", "deep"], "not a users file"),
        (["user", "list", "--file", "."], "not a users file"),
        (["bench", "--seconds", "0"], "not a number of seconds above 0"),
        (["bench", "--seconds", "nan"], "not a number of seconds above 0"),
        (["bench", "--listeners", "-1"], "not a whole number of at least 1"),
        (["bench", "--talkers", "0"], "not a whole number of at least 1"),
        (["replay", "x.jsonl", "--timeout", "soon"], "not a number of seconds above 0"),
        (["talk", "--text", " "], "it is empty"),
        (["talk", ""], "it is empty"),
        (["talk", "words.txt", "--text", "hi"], "not allowed with"),
        (["user", "remove", "bob"], "there is no bob"),
        (["user", "roles", "bob", "admin"], "there is no bob"),
        (["token", "--user", ""], "sub has to be a string that is not empty"),
        (["token", "--user", "\udcff"], "sub has to be a string"),
    ],
    ids=" ".join,
)
def test_a_foreseeable_failure_is_no_traceback(tmp_path: Path, words: list[str], told: str) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "deep").write_text("[" * 100_000)
    (tmp_path / "words.txt").write_text("what time is it" * 100)
    done = run(tmp_path, *words, JARVIS_PASSWORD="correct horse")
    assert done.returncode != 0
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_an_outside_provider_makes_the_tokens(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text('{"keys": []}')
    done = run(tmp_path, "token", JWT_ALGORITHM="RS256", JWT_SECRET_KEY="", JWT_JWKS="keys.json")
    assert done.returncode != 0
    assert "issued by the identity provider" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["talk", "--text", "hi"], ["user", "list"], ["token"], ["doctor"]], ids=" ".join)
def test_a_dotenv_that_is_no_text_is_one_line(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / ".env").write_bytes(b"PORT=\xff\xfe")
    done = run(tmp_path, *words)
    assert done.returncode != 0
    assert ".env: it is not UTF-8" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_mistyped_name_in_a_dotenv_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORTT=9\nCOMPOSE_PROJECT_NAME=9\n")
    assert ".env: no setting has this name: PORTT (PORT?)\n" in run(tmp_path, "doctor").stdout


@pytest.mark.parametrize("where", ["PORT", ".env"])
def test_talk_knows_the_port_that_is_configured(tmp_path: Path, where: str) -> None:
    settings = {"PORT": "9"} if where == "PORT" else {}
    (tmp_path / ".env").write_text("PORT=9\n" if where == ".env" else "")
    done = run(tmp_path, "talk", "--text", "hi", **settings)
    assert "no gateway at ws://127.0.0.1:9" in done.stderr


@pytest.mark.parametrize("words", [["talk", "--text", "hi"], ["replay", "x"], ["bench"]], ids=" ".join)
@pytest.mark.parametrize("port", ["abc", "70000", "-1"])
def test_an_invalid_port_is_a_mistake_of_that_setting(tmp_path: Path, words: list[str], port: str) -> None:
    done = run(tmp_path, *words, PORT=port)
    assert done.returncode == 2
    assert done.stderr.startswith(f"PORT={port}: should be ")
    assert "--url" not in done.stderr


def test_users_are_listed_changed_and_removed(tmp_path: Path) -> None:
    assert "nobody yet" in run(tmp_path, "user", "list").stdout
    run(tmp_path, "user", "add", "ada", JARVIS_PASSWORD="correct horse")
    before = json.loads((tmp_path / "users.json").read_text())["users"][0]
    assert run(tmp_path, "user", "roles", "ada", "operator", "admin").returncode == 0
    assert run(tmp_path, "user", "list").stdout == "ada  operator, admin\n"
    assert json.loads((tmp_path / "users.json").read_text())["users"] == [before | {"roles": ["operator", "admin"]}]
    assert run(tmp_path, "user", "remove", "ada").returncode == 0
    assert "nobody yet" in run(tmp_path, "user", "list").stdout


def test_a_development_key_is_made_once_and_signs_in_every_folder_its_own(tmp_path: Path) -> None:
    without = {"JWT_SECRET_KEY": "", "EMBEDDED_DIR": str(tmp_path / "state")}
    first, second = (run(tmp_path, "token", **without).stdout.strip() for _ in range(2))
    key = tmp_path / "state" / "development.key"
    assert key.stat().st_mode & 0o777 == 0o600
    for token in (first, second):
        assert jwt.decode(token, key.read_text().strip(), algorithms=["HS256"])["sub"] == "developer"
    # and in another terminal, where nobody has set DEBUG
    with patch("tests.server.test_main.environment", lambda *_a, **_s: {"EMBEDDED_DIR": without["EMBEDDED_DIR"]}):
        third = run(tmp_path, "token").stdout.strip()
    assert jwt.decode(third, key.read_text().strip(), algorithms=["HS256"])["sub"] == "developer"


def test_a_key_that_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "development.key").write_text("short\n")
    key = kept_key(tmp_path)
    assert len(key) >= 64
    assert kept_key(tmp_path) == key


def test_the_doctor_says_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as other, patch.dict(sys.modules, {"sounddevice": None}):
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        settings = {
            "CHROMIUM_PATH": "/no/such",
            "REDIS_URL": "redis://127.0.0.1:9/0",
        }
        done = run(tmp_path, "doctor", PORT=port, JWT_SECRET_KEY="", **settings)
    assert done.returncode == 1
    told = done.stdout.splitlines()
    for what, advice in [
        (f"✗ port      {port} is taken by another program", "PORT=9000"),
        ("· Redis     REDIS_URL does not answer", "start it"),
        ("· Chromium  CHROMIUM_PATH: /no/such is not a program", "leave CHROMIUM_PATH out"),
        ("· sound     sounddevice is not installed", "microphone"),
    ]:
        line = next(number for number, line in enumerate(told) if line.startswith(what))
        assert advice in told[line + 1].lower() or advice in told[line + 1], told
    assert any(line.startswith("✓ keys      development key in") for line in told)
    assert told[-1] == "1 to mend before it starts"


@pytest.mark.parametrize(
    "said", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\x15\x03\x01\0\x02\x02\x46\r\n", b"HTTP/1.1 200\r\n\r\n{"]
)
def test_the_doctor_knows_a_port_that_speaks_something_else(tmp_path: Path, said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def speak() -> None:
            with contextlib.suppress(OSError):
                while True:
                    caller, _ = other.accept()
                    with caller:
                        caller.sendall(said)
                        caller.shutdown(socket.SHUT_WR)
                        caller.recv(1_000)

        speaking = threading.Thread(target=speak, daemon=True)
        speaking.start()
        port = other.getsockname()[1]
        done = run(tmp_path, "doctor", PORT=str(port), REDIS_URL="")
        other.shutdown(socket.SHUT_RDWR)
    assert f"✗ port      {port} is taken by another program" in done.stdout
    assert done.stdout.endswith("1 to mend before it starts\n"), done


def test_the_doctor_goes_on_when_a_check_fails(tmp_path: Path) -> None:
    done = run(tmp_path, "doctor", HOST="a..b", REDIS_URL="redis://127.0.0.1:9?foo=bar")
    assert "· redis     cannot be checked: TypeError" in done.stdout
    assert f"✓ hot path  {hot_path.described()}\n" in done.stdout
    assert "Chromium" in done.stdout


def test_the_doctor_names_each_wrong_setting(tmp_path: Path) -> None:
    done = run(tmp_path, "doctor", PORT="many", REDIS_URL="htp://h")
    assert done.returncode == 1
    assert "✗ settings  PORT=many" in done.stdout
    assert "✗ settings  REDIS_URL" in done.stdout


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
    assert done.stderr == "no password: type one, or set JARVIS_PASSWORD\n"


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


@pytest.mark.parametrize("words", [["token"], ["doctor"], ["--help"]], ids=" ".join)
def test_output_that_cannot_be_written_is_one_line(tmp_path: Path, words: list[str]) -> None:
    command = [sys.executable, "-m", "server", *words]
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr


def test_an_answer_that_cannot_be_written_is_one_line(tmp_path: Path, gateway: GatewayProcess) -> None:
    done = run(tmp_path, "talk", "--url", gateway.base, "--text", "what time is it", "--output", "none/answer.wav")
    assert done.returncode == 1
    assert done.stderr.endswith("none/answer.wav: No such file or directory\n")
    assert "Traceback" not in done.stderr


def test_no_question_waits_where_nobody_can_answer(tmp_path: Path, gateway: GatewayProcess) -> None:
    """In a script, without a terminal: it waited two minutes, until it expired."""
    done = run(tmp_path, "talk", "--url", gateway.base, "--text", "forget my name")
    assert "nobody can answer here; --yes approves" in done.stderr
    assert "task   declined" in done.stderr


LOGS_AND_FAILS = """
import argparse, logging
from server.__main__ import _command

def run(options):
    try:
        raise OSError("the stream is closed")
    except OSError:
        logging.getLogger("tornado.application").error("Uncaught exception", exc_info=True)
        raise

_command(argparse.Namespace(run=run))
"""


def test_what_tornado_logs_of_a_failure_is_not_printed_beside_the_line() -> None:
    done = subprocess.run([sys.executable, "-c", LOGS_AND_FAILS], capture_output=True, text=True, check=False)
    assert done.stderr == "the stream is closed\n"


def test_tls_where_there_is_none_is_one_line(tmp_path: Path, gateway: GatewayProcess) -> None:
    command = [sys.executable, "-m", "server", "talk", "--url", gateway.base.replace("http", "https"), "--text", "hi"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False, timeout=HANG_S
    )
    assert done.returncode == 1
    assert "does not speak TLS" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_missing_standard_stream_stops_no_command(tmp_path: Path, closed: str) -> None:
    shell = f'"{sys.executable}" -m server token {closed}'
    done = subprocess.run(
        ["sh", "-c", shell], cwd=tmp_path, env=environment(tmp_path), capture_output=True, check=False, timeout=HANG_S
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert bool(done.stdout) == ("1>&-" not in closed)
