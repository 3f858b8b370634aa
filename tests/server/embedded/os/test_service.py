"""M8 over gRPC with real processes: allowed commands, streamed output, limits, and cleanup."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # the library carries no types

from protos import os_pb2_grpc
from server.embedded.executor import MAX_TIMEOUT_MS
from server.embedded.os import commands as os_commands
from server.embedded.os import process as os_process
from server.embedded.os.closed import ClosedPaths
from server.embedded.os.commands import COMMANDS, OsCommand, RefusedArgumentError, checked
from server.embedded.os.service import OsService
from server.embedded.service import MissingPartError
from tests.server.embedded.executing import config, execute, listed, refused, request, serving
from tests.server.embedded.serving import channel as hosted


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "docs").mkdir(parents=True)
    (folder / "docs" / "a.txt").write_text("one\ntwo\nthree\n")
    return folder


def service(root: Path) -> OsService:
    return OsService(config(root / "kept", OS_ROOT=str(root)))


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a Python program on the whitelist and on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(os_process, "SAFE_PATH", f"{folder}:{os_process.SAFE_PATH}")

    def add(name: str, code: str) -> None:
        path = folder / name
        path.write_text(f"#!{sys.executable}\n{code}")
        path.chmod(0o755)
        monkeypatch.setattr(
            os_commands, "COMMANDS", table := {**os_commands.COMMANDS, name: OsCommand("A test", most=4, words=4)}
        )
        monkeypatch.setattr("server.embedded.os.service.COMMANDS", table)

    return add


async def test_a_command_runs_in_the_root_and_tells_all_of_itself(root: Path) -> None:
    async with serving(service(root)) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        run = await execute(stub, "cat", {"args": ["docs/a.txt"]})
        assert (run.status, run.message) == ("ok", "")
        assert run.values["stdout"] == run.output("stdout") == "one\ntwo\nthree\n"
        assert run.values.keys() == {"exit_code", "stdout", "stderr", "duration_ms", "truncated"}
        assert (run.values["exit_code"], run.values["stderr"], run.values["truncated"]) == (0, "", False)
        assert run.progress[0].message == "running cat"
        assert (await execute(stub, "pwd")).values["stdout"].strip() == str(root)


async def test_a_command_that_fails_says_why(root: Path) -> None:
    async with serving(service(root)) as channel:
        run = await execute(os_pb2_grpc.OsExecutorStub(channel), "cat", {"args": ["docs/none.txt"]})
        assert (run.status, run.values["exit_code"]) == ("failed", 1)
        assert run.message == "cat: docs/none.txt: No such file or directory"
        assert run.values["stderr"] == run.output("stderr") == run.message + "\n"


async def test_commands_that_change_files_do(root: Path) -> None:
    async with serving(service(root)) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        for name, args in (("mkdir", ["-p", "x/y"]), ("cp", ["docs/a.txt", "x/y/b.txt"]), ("mv", ["x/y", "z"])):
            assert (await execute(stub, name, {"args": args})).status == "ok"
        assert (root / "z" / "b.txt").read_text() == "one\ntwo\nthree\n"


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("cat", ["../secret"], "../secret lies outside"),
        ("cat", ["docs/../../secret"], "lies outside"),
        ("cat", ["/etc/passwd"], "/etc/passwd lies outside"),
        ("cat", [""], "lies outside"),
        ("cat", ["out/secret"], "out/secret lies outside"),
        ("cat", ["link"], "link lies outside"),
        ("cat", ["loop"], "loop leads nowhere"),
        ("cp", ["docs/a.txt", "out/new"], "lies outside"),
        ("find", ["/", "-name", "x"], "/ lies outside"),
        ("cat", ["innocent"], "innocent may hold secrets"),
        ("cat", ["kept/memory.sqlite3"], "may hold secrets"),
        ("mv", ["kept", "taken"], "may hold secrets"),
        ("ls", ["--color=always"], "ls is not run with --color=always"),
        ("find", [".", "-delete"], "find is not run with -delete"),
        ("find", [".", "-exec", "rm"], "find is not run with -exec"),
        ("find", [".", "-name"], "find is not run with -name"),
        ("tail", ["-f", "docs/a.txt"], "tail is not run with -f"),
        ("head", ["-n", "x; rm", "docs/a.txt"], "head is not run with -n x; rm"),
        ("date", ["-s", "2020-01-01"], "date is not run with -s"),
        ("date", ["0101"], "date is not run with 0101"),
        ("date", ["+%2147483647d"], "date is not run with +%2147483647d"),
        ("date", ["+%F %-0010d"], "date is not run with +%F %-0010d"),
        ("date", ["+%E10y"], "date is not run with +%E10y"),
        ("hostname", ["evil"], "hostname takes no arguments, not 1"),
        ("sleep", ["1d"], "sleep is not run with 1d"),
        ("cat", [], "cat takes 1 to 8 arguments, not 0"),
        ("cp", ["docs/a.txt"], "cp takes 2 arguments, not 1"),
        ("cat", ["a\0b"], "no zero byte"),
        ("echo", ["x" * 1025], "at most 1024 characters"),
        ("echo", ["x"] * 17, "at most 16 items"),
        ("echo", "x", "args: input should be a valid list"),
        ("echo", [1], "args.0: input should be a valid string"),
    ],
)
async def test_what_the_whitelist_does_not_admit_is_an_invalid_argument(
    root: Path, name: str, args: Any, words: str
) -> None:
    (root.parent / "secret").write_text("secret")
    (root / "out").symlink_to(root.parent)
    (root / "link").symlink_to(root.parent / "secret")
    (root / "loop").symlink_to(root / "loop")
    (root / ".env").write_text("KEY=1")
    (root / "innocent").symlink_to(root / ".env")
    async with serving(service(root)) as channel:
        status, details = await refused(os_pb2_grpc.OsExecutorStub(channel), name, {"args": args})
        assert status == "INVALID_ARGUMENT"
        assert details.startswith("args")
        assert words in details


async def test_dates_are_told_in_many_forms(root: Path) -> None:
    async with serving(service(root)) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        for form in ("+%F %T", "+%-d. %^B %Y", "+%s.%3N", "+%::z 100%%99d", "+%EY-%Om"):
            assert (await execute(stub, "date", {"args": [form]})).status == "ok"
        # Two readings of each would be 2^280
        status, _ = await refused(stub, "date", {"args": ["+" + "%Ey%00d" * 140 + "!"]})
        assert status == "INVALID_ARGUMENT"


async def test_no_shell_reads_the_arguments(root: Path) -> None:
    async with serving(service(root)) as channel:
        words = ["$(touch x)", "`touch x`", ";", "touch x", "*", "$HOME", "~", "|", "🎉"]
        run = await execute(os_pb2_grpc.OsExecutorStub(channel), "echo", {"args": words})
        assert run.values["stdout"] == " ".join(words) + "\n"
        assert not (root / "x").exists()


async def test_unknown_commands_and_parameters_are_named(root: Path) -> None:
    async with serving(service(root)) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        status, details = await refused(stub, "rm", {"args": ["docs"]})
        assert status == "NOT_FOUND"
        assert details.startswith("there is no action rm; known: ")
        assert "ls" in details
        assert await refused(stub, "ls", {"cwd": "/"}) == (
            "INVALID_ARGUMENT",
            "cwd: extra inputs are not permitted",
        )
        assert await refused(stub, "ls", {"args": float("inf")}) == (
            "INVALID_ARGUMENT",
            "parameters: numbers have to be finite",
        )
        assert await refused(stub, "ls", {str(number): 0 for number in range(5_000)}) == (
            "INVALID_ARGUMENT",
            "parameters: more than 1000 of them are wrong",
        )
        assert await refused(stub, "ls", {"args": [""] * 100_000}) == (
            "INVALID_ARGUMENT",
            "parameters: they have at most 128 KiB",
        )


async def test_every_command_of_this_machine_is_listed_with_a_schema(root: Path) -> None:
    async with serving(service(root)) as channel:
        actions = await listed(os_pb2_grpc.OsExecutorStub(channel))
        assert set(actions) == {name for name in COMMANDS if shutil.which(name, path=os_process.SAFE_PATH)}
        for schema in actions.values():
            Draft202012Validator.check_schema(schema)
        validator = Draft202012Validator(actions["ls"])
        assert validator.is_valid({"args": ["-l"]})
        assert not validator.is_valid({"args": "-l"})
        assert not validator.is_valid({"cwd": "/"})
        assert "paths below the root" in actions["ls"]["properties"]["args"]["description"]


async def test_the_environment_is_bare_and_there_is_no_input(
    root: Path, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_SECRET_KEY", "hush")
    script("tell", "import os, sys\nprint(sorted(os.environ), repr(sys.stdin.read()))")
    async with serving(service(root)) as channel:
        run = await execute(os_pb2_grpc.OsExecutorStub(channel), "tell")
        names = {"HOME", "LANG", "LC_ALL", "PATH", "TERM"}
        told = run.values["stdout"]
        assert told.endswith("''\n")
        assert set(eval(told[: told.index("]") + 1])) - {"LC_CTYPE", "__CF_USER_TEXT_ENCODING"} == names


async def test_output_comes_while_the_command_runs(root: Path, script: Any) -> None:
    script("wait", "import os, sys, time\nprint('ready', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)")
    async with serving(service(root)) as channel:
        call = os_pb2_grpc.OsExecutorStub(channel).Execute(request("wait"))
        heard = []
        async for event in call:
            heard.append(event)
            if event.progress.data == "ready\n":
                (root / "go").touch()
        assert heard[-1].result.status == "ok"


async def test_a_command_whose_output_is_too_long_is_ended_and_it_is_said_so(root: Path, script: Any) -> None:
    """It would write for ever, to either stream."""
    code = "import os\nwhile True:\n os.write(1, b'x' * 10_000)\n os.write(2, b'y' * 10_000)"
    script("flood", f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{code}")
    async with serving(service(root)) as channel:
        run = await execute(os_pb2_grpc.OsExecutorStub(channel), "flood", timeout_ms=MAX_TIMEOUT_MS)
        assert (run.status, run.values["exit_code"]) == ("ok", -signal.SIGKILL)
        assert run.message == "its output was cut at 256 KiB, and it was ended"
        assert run.values["truncated"] is True
        kept = len(run.values["stdout"]) + len(run.values["stderr"])
        assert kept == os_process.MAX_OUTPUT_BYTES
        assert run.output("stdout") == run.values["stdout"]


async def test_a_command_has_so_much_memory(root: Path) -> None:
    """This pattern made grep take gigabytes until its time was over."""
    (root / "a.txt").write_text("a\n")
    pattern = "a"
    for _ in range(4):
        pattern = f"({pattern}{{1,250}})"
    async with serving(service(root)) as channel:
        run = await execute(os_pb2_grpc.OsExecutorStub(channel), "grep", {"args": ["-E", pattern, "a.txt"]})
    assert run.status == "failed"
    assert "memory exhausted" in run.values["stderr"].lower()


async def test_what_outlives_its_service_ends_and_no_core_is_dumped(root: Path, script: Any) -> None:
    script(
        "limits",
        "import resource as r\n"
        "while r.getrlimit(r.RLIMIT_CORE)[1] != 0: pass\n"
        "print(r.getrlimit(r.RLIMIT_CPU), r.getrlimit(r.RLIMIT_CORE))",
    )
    async with serving(service(root)) as channel:
        run = await execute(os_pb2_grpc.OsExecutorStub(channel), "limits")
    assert run.values["stdout"] == "(600, 600) (0, 0)\n"
    assert os_process.MAX_CPU_S * 1000 == MAX_TIMEOUT_MS


async def test_commands_run_where_no_limit_may_be_set(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(resource, "prlimit", refuse)
    async with serving(service(root)) as channel:
        run = await execute(os_pb2_grpc.OsExecutorStub(channel), "cat", {"args": ["docs/a.txt"]})
    assert run.values["stdout"] == "one\ntwo\nthree\n"


async def test_bytes_that_are_no_text_are_replaced_and_letters_are_never_cut(root: Path, script: Any) -> None:
    script("bytes", "import sys\nsys.stdout.buffer.write(b'\\xff' + '€'.encode() * 20_000 + b'\\xe2\\x82')")
    async with serving(service(root)) as channel:
        run = await execute(os_pb2_grpc.OsExecutorStub(channel), "bytes")
        assert run.values["stdout"] == "\ufffd" + "€" * 20_000 + "\ufffd"
        assert run.output("stdout") == run.values["stdout"]


FAMILY = """
import os, signal, subprocess, sys, time
depth = int(sys.argv[1])
def write_for_ever(*_):
    while True: os.write(1, b"x" * 10_000)
signal.signal(signal.SIGTERM, write_for_ever)
if depth:
    subprocess.Popen([sys.executable, __file__, str(depth - 1)])
else:
    open("grandchild", "w").write(str(os.getpid()))
for _ in range(8): os.write(1, b"x" * 10_000)
while True: time.sleep(1)
"""


def alive(pid: int) -> bool:
    """True unless it has ended, waited for or not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the second: while it is read
        return False
    return "Z" not in stat.rpartition(")")[2].split()[0]


async def grandchild(root: Path) -> int:
    while not (root / "grandchild").is_file() or not (root / "grandchild").read_text():
        await asyncio.sleep(0.02)
    return int((root / "grandchild").read_text())


async def gone(pid: int) -> None:
    while alive(pid):
        await asyncio.sleep(0.02)


async def test_cancel_ends_the_whole_family_even_of_those_that_ignore_sigterm(root: Path, script: Any) -> None:
    script("family", FAMILY)
    async with serving(service(root)) as channel:
        call = os_pb2_grpc.OsExecutorStub(channel).Execute(request("family", {"args": ["2"]}))
        await call.read()
        pid = await grandchild(root)
        assert alive(pid)
        call.cancel()
        await gone(pid)


async def test_cancel_reaches_a_command_whose_output_nobody_reads(root: Path, script: Any) -> None:
    """Flow control has stopped the service in the middle of a write."""
    script("family", FAMILY)
    async with serving(service(root)) as channel:
        call = os_pb2_grpc.OsExecutorStub(channel).Execute(request("family", {"args": ["0"]}, timeout_ms=600_000))
        pid = await grandchild(root)
        await asyncio.sleep(0.3)
        assert alive(pid)
        call.cancel()
        await gone(pid)
        assert call.cancelled()


async def test_when_the_service_has_stopped_its_commands_have_ended(root: Path, script: Any) -> None:
    script("family", FAMILY)
    async with hosted("os", root / "kept", OS_ROOT=str(root)) as opened:
        call = os_pb2_grpc.OsExecutorStub(opened).Execute(request("family", {"args": ["0"]}, timeout_ms=600_000))
        pid = await grandchild(root)
        assert alive(pid)
        assert not call.done()
    await gone(pid)  # it was killed, and may have had no processor since


async def test_a_task_over_its_time_is_ended(root: Path, script: Any) -> None:
    script("family", FAMILY)
    async with serving(service(root)) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        assert await refused(stub, "sleep", {"args": ["30"]}, timeout_ms=100) == (
            "DEADLINE_EXCEEDED",
            "sleep was not done after 0.1 s",
        )
        timeout_ms = 1_000
        while not (root / "grandchild").is_file():  # a busy machine has not started it in that time
            status, _ = await refused(stub, "family", {"args": ["1"]}, timeout_ms=timeout_ms)
            assert status == "DEADLINE_EXCEEDED"
            timeout_ms *= 3
        await gone(await grandchild(root))


async def test_a_signal_is_named(root: Path, script: Any) -> None:
    script("fall", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    async with serving(service(root)) as channel:
        run = await execute(os_pb2_grpc.OsExecutorStub(channel), "fall")
        assert (run.status, run.message) == ("failed", "fall was ended by signal 9")
        assert run.values["exit_code"] == -9


async def test_what_cannot_be_started_is_unavailable(root: Path, script: Any) -> None:
    script("broken", "")
    async with serving(service(root)) as channel:
        path = Path(os_process.SAFE_PATH.partition(":")[0]) / "broken"
        path.write_text("#!/nowhere/at/all\n")
        status, details = await refused(os_pb2_grpc.OsExecutorStub(channel), "broken")
        assert (status, details) == ("UNAVAILABLE", "broken cannot be started: No such file or directory")


async def test_many_commands_run_at_once(root: Path) -> None:
    async with serving(service(root)) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        runs = await asyncio.gather(*(execute(stub, "echo", {"args": [str(number)]}) for number in range(20)))
        assert [run.values["stdout"] for run in runs] == [f"{number}\n" for number in range(20)]


async def test_a_root_that_is_no_folder_or_no_commands_stop_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingPartError, match=r"OS_ROOT: .*/none is not a folder"):
        await OsService(config(tmp_path, OS_ROOT=str(tmp_path / "none"))).start()
    monkeypatch.setattr(os_process, "SAFE_PATH", str(tmp_path))
    with pytest.raises(MissingPartError, match="none of the commands"):
        await OsService(config(tmp_path)).start()


async def test_a_fault_of_the_service_is_internal_and_tells_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(os_process, "run", broken)
    async with serving(service(root)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await execute(os_pb2_grpc.OsExecutorStub(channel), "pwd")
        assert (error.value.code(), error.value.details()) == (grpc.StatusCode.INTERNAL, "pwd failed unexpectedly")


@pytest.mark.parametrize("long", ["a" * 300, "docs/" + "\N{GRINNING FACE}" * 100, "docs/" * 200 + "a" * 24])
async def test_names_that_cannot_be_looked_at_are_the_caller_s_mistake(root: Path, long: str) -> None:
    """They are no fault of the service: five of those, and the gateway asks it for nobody any longer."""
    async with serving(service(root)) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        for name, command in COMMANDS.items():
            if not command.named:
                continue
            words = ["x"] * command.words
            for paths in ([long], [long, "docs"], ["docs", long]):
                args = [*words, *paths[: command.most]]
                try:
                    ended = (await execute(stub, name, {"args": args})).status
                except grpc.aio.AioRpcError as error:
                    ended = error.code().name
                assert ended in {"INVALID_ARGUMENT", "failed"}, (name, args)


@pytest.mark.parametrize("reason", [errno.EACCES, errno.EIO, errno.ELOOP, errno.ENOTDIR, errno.ESTALE])
def test_what_cannot_be_checked_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch, reason: int) -> None:
    def stat(_path: Path, **_options: bool) -> os.stat_result:
        raise OSError(reason, os.strerror(reason))

    closed = ClosedPaths((), root)
    monkeypatch.setattr(Path, "is_file", stat)
    with pytest.raises(RefusedArgumentError, match="cannot be checked"):
        checked("cat", ["docs/a.txt"], root, closed)
