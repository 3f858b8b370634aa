"""Commands cannot access the gateway's own data, under any name."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from protos import os_pb2_grpc
from server.composition import embedded_environment
from server.config import load_settings
from server.embedded.os import closed as os_closed
from server.embedded.os import service as os_service
from server.embedded.os.closed import ClosedPaths, Search
from server.embedded.os.commands import RefusedArgumentError, checked
from server.embedded.os.service import OsService
from server.embedded.service import MissingPartError
from tests.server.embedded.executing import config, execute, refused, serving

HUSH = "hush"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder in which somebody keeps everything of a gateway, with other names for some of it."""
    root = tmp_path / "root"
    for name in ("app/recordings/s1/audio.wav", "app/.jarvis/memory.sqlite3", "app/keys/jwt_secret", "app/people"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(HUSH)
    (root / "app/.git").mkdir()
    (root / "app/.git/config").write_text(HUSH)
    (root / "app/notes.txt").write_text("notes")
    (root / "empty").mkdir()
    (root / "soft").symlink_to("app/recordings")
    (root / "softer").symlink_to("soft/s1/audio.wav")
    os.link(root / "app/recordings/s1/audio.wav", root / "hard")
    os.link(root / "app/people", root / "people-too")
    os.link(root / "app/notes.txt", root / "notes-too")
    return root


def service(root: Path) -> OsService:
    named = [root / "app" / name for name in ("recordings", "keys/jwt_secret", "people", "audit.jsonl")]
    options = {"OS_ROOT": str(root), "OS_CLOSED_PATHS": os.pathsep.join(map(str, named))}
    return OsService(config(root / "app" / ".jarvis", **options))


CLOSED = (
    *(f"app/{name}" for name in ("recordings/s1/audio.wav", ".jarvis/memory.sqlite3", "keys/jwt_secret", "people")),
    *("soft/s1/audio.wav", "softer", "hard", "people-too", "app/../app/people", "app/.git/config"),
)


async def test_no_command_reads_copies_or_moves_it(root: Path) -> None:
    readers = ("cat", "head", "tail", "wc", "file", "sha256sum")
    asked = [(name, [path]) for name in readers for path in CLOSED]
    asked += [("grep", ["hu", path]) for path in CLOSED]
    asked += [(name, [path, "empty"]) for name in ("cp", "mv") for path in CLOSED]
    asked += [
        ("mv", [folder, "empty/x"]) for folder in ("app", "app/recordings", "app/keys", "app/.git", "soft", "app/.")
    ]
    asked += [
        ("cp", ["app/notes.txt", path]) for path in ("app/people", "app/audit.jsonl", "app/recordings/x", "soft/x")
    ]
    asked += [
        (name, [path]) for name in ("ls", "stat", "du", "find") for path in ("app/recordings", "app/.jarvis", "soft")
    ]
    asked += [("touch", ["app/recordings/new"]), ("mkdir", ["app/.jarvis/new"]), ("grep", ["-h", "hu", "hard"])]
    async with serving(service(root)) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        for name, args in asked:
            status, words = await refused(stub, name, {"args": args})
            assert (name, args, status) == (name, args, "INVALID_ARGUMENT")
            assert words.endswith("may hold secrets")


async def test_it_stays_closed_when_somebody_has_moved_it(root: Path) -> None:
    async with serving(service(root)) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        (root / "app").rename(root / "moved")
        (root / "moved/recordings").rename(root / "sounds")
        (root / "moved/people").rename(root / "list")
        for path in ("sounds/s1/audio.wav", "list", "moved/keys/jwt_secret", "moved/.jarvis/memory.sqlite3"):
            assert (await refused(stub, "cat", {"args": [path]}))[0] == "INVALID_ARGUMENT", path


def test_what_takes_the_inode_of_a_closed_file_is_open(root: Path) -> None:
    """Editors write another file and rename it: the inode of the old one is soon that of any new file."""
    closed_file = root / ".env"
    closed_file.write_text(HUSH)
    paths = ClosedPaths([closed_file, root / "app/recordings"], root)
    for number in range(20):
        (root / ".env.new").write_text(HUSH)
        (root / ".env.new").replace(closed_file)
        new = root / f"note{number}"
        new.write_text("mine")
        checked("ls", ["."], root, paths)
        assert not paths.holds(new, Search())
        assert paths.holds(closed_file, Search())
    closed_file.rename(root / "moved")
    closed_file.write_text(HUSH)
    assert paths.holds(root / "moved", Search())
    assert paths.holds(closed_file, Search())


def test_what_was_closed_and_is_gone_is_held_no_longer(root: Path) -> None:
    text = HUSH * 1_031  # so long is no other file

    def held() -> int:
        """How many such files this process holds."""
        number = 0
        for each in Path("/dev/fd").iterdir():
            with suppress(OSError):  # the listing's own
                number += os.fstat(int(each.name)).st_size == len(text)
        return number

    closed_file = root / "secret"
    closed_file.write_text(text)
    paths = ClosedPaths([closed_file], root)
    for _ in range(5):
        (root / "new").write_text(text)
        (root / "new").replace(closed_file)
        assert paths.holds(closed_file, Search())
    assert held() == 1
    del paths
    assert held() == 0


LISTINGS: tuple[tuple[str, list[str]], ...] = (
    *(
        ("ls", args)
        for args in (["-R"], ["--recursive"], ["-1aR"], ["-R", "app"], ["-RA", "app/../app", "empty"], ["-lR", "."])
    ),
    *(("find", args) for args in ([], ["."], ["app"], ["app/", "-type", "f"], [".", "-name", "*", "-maxdepth", "9"])),
    *(
        ("find", args)
        for args in (
            ["app", "-size", "-9"],
            ["-iname", "*.wav"],
            ["app//"],
            [".//app///"],
            ["empty/../app/."],
            ["(x", "app", "-empty"],
        )
    ),
    *(("du", args) for args in (["-a"], ["-ah", "app"], ["-ac", "app//", "."], ["-a", "-d", "9"])),
)


@pytest.mark.parametrize("moved", [False, True])
async def test_no_listing_tells_what_is_in_it(root: Path, moved: bool) -> None:
    (root / "softer").unlink()  # a link's own text is not inside
    async with serving(service(root)) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        if moved:
            (root / "app/recordings").rename(root / "empty/so[un]ds")
            (root / "app/.jarvis").rename(root / "app/data")
        for name, args in LISTINGS:
            try:
                listed = str((await execute(stub, name, {"args": args})).values)
            except AssertionError as failed:
                listed = str(failed)
            for inside in ("audio.wav", "memory.sqlite3", "s1"):
                assert inside not in listed, (name, args)
        kept = str((await execute(stub, "find", {"args": [".", "-type", "f"]})).values["stdout"])
        assert "./app/notes.txt" in kept.splitlines()
        assert "notes.txt" in str((await execute(stub, "ls", {"args": ["-R"]})).values["stdout"])
        assert "app/notes.txt" in str((await execute(stub, "du", {"args": ["-a", "app"]})).values["stdout"])


async def test_a_copy_into_a_folder_does_not_replace_what_is_closed_there(root: Path) -> None:
    async with serving(service(root)) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        (root / "empty/people").write_text("mine")
        (root / "empty/link").symlink_to("../app/people")
        for name, args in (
            ("cp", ["empty/people", "app"]),
            ("mv", ["empty/people", "app/"]),
            ("cp", ["empty/link", "."]),
        ):
            assert (await refused(stub, name, {"args": args}))[0] == "INVALID_ARGUMENT", args
    assert (root / "app/people").read_text() == HUSH


async def test_a_link_in_the_goal_leads_nowhere_else(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text(HUSH)
    (root / "empty/notes.txt").symlink_to(tmp_path / "outside")
    async with serving(service(root)) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        assert (await refused(stub, "cp", {"args": ["app/notes.txt", "empty"]}))[0] == "INVALID_ARGUMENT"
    assert (tmp_path / "outside").read_text() == HUSH


async def test_a_listing_of_too_many_files_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os_closed, "MAX_WALKED", 2)
    monkeypatch.setattr(os_service, "FEW_FILES", 1)
    async with serving(service(root)) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        for name, args in (("ls", ["-R"]), ("find", []), ("du", ["-a"])):
            status, words = await refused(stub, name, {"args": args})
            assert (status, words) == ("INVALID_ARGUMENT", f"args: too many files for {name}: name a smaller folder")
        assert (await execute(stub, "find", {"args": ["empty"]})).status == "ok"


def test_what_is_looked_through_is_bounded_for_all_paths_of_a_command(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (root / "empty" / name).mkdir()
        (root / "empty" / name / "file").touch()
    monkeypatch.setattr(os_closed, "MAX_WALKED", 1)
    closed = ClosedPaths((), root)
    for name, flags in (("ls", ["-R"]), ("find", []), ("du", ["-a"])):
        assert checked(name, [*flags, "empty/a", "empty/./a", "empty/a/"], root, closed)  # the same, once
        with pytest.raises(RefusedArgumentError, match="too many files"):
            checked(name, [*flags, "empty/a", "empty/b"], root, closed)


async def test_everything_else_is_open(root: Path) -> None:
    async with serving(service(root)) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        for name, args in (
            ("cat", ["app/notes.txt"]),
            ("cat", ["notes-too"]),
            ("ls", ["-R"]),
            ("mv", ["app/notes.txt", "."]),
            ("mv", ["empty", "full"]),
            ("cp", ["notes.txt", "app"]),
        ):
            assert (await execute(stub, name, {"args": args})).status == "ok", args


async def test_without_a_root_commands_see_a_folder_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "memory.sqlite3").write_text(HUSH)
    async with serving(OsService(config(tmp_path / "kept"))) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        assert (await execute(stub, "pwd")).values["stdout"].strip() == str(tmp_path / "kept" / "files")
        assert (await execute(stub, "touch", {"args": ["a"]})).status == "ok"
        assert (await execute(stub, "cat", {"args": ["a"]})).status == "ok"
        os.link(tmp_path / "kept" / "memory.sqlite3", tmp_path / "kept" / "files" / "hard")
        for path in ("hard", "../memory.sqlite3"):
            assert (await refused(stub, "cat", {"args": [path]}))[0] == "INVALID_ARGUMENT"


async def test_a_folder_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("")
    with pytest.raises(MissingPartError, match=r"/files cannot be made \(File exists\): set OS_ROOT"):
        await OsService(config(tmp_path)).start()


async def test_a_root_that_is_itself_closed_shows_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(HUSH)
    async with serving(OsService(config(tmp_path, OS_ROOT=str(tmp_path)))) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        assert (await refused(stub, "cat", {"args": ["a"]}))[0] == "INVALID_ARGUMENT"


async def test_the_kernels_files_are_not_opened(tmp_path: Path) -> None:
    async with serving(OsService(config(tmp_path, OS_ROOT="/"))) as channel:
        stub = os_pb2_grpc.OsExecutorStub(channel)
        for path in ("/proc/self/environ", "proc/1/environ", "/dev/mem", f"/proc/self/root{tmp_path}/memory.sqlite3"):
            assert (await refused(stub, "cat", {"args": [path]}))[0] == "INVALID_ARGUMENT", path
        for name, args in (
            ("ls", ["/proc"]),
            ("stat", ["/proc/1/exe"]),
            ("find", ["/proc/self"]),
            ("du", ["-s", "/dev"]),
        ):
            assert (await refused(stub, name, {"args": args}))[0] == "INVALID_ARGUMENT", name
        listed = await execute(stub, "find", {"args": ["/", "-maxdepth", "1"]})
        assert "/tmp" in listed.values["stdout"].splitlines()
        assert "/proc" not in listed.values["stdout"].splitlines()


def test_a_hard_link_is_refused_where_too_many_files_would_have_to_be_looked_through(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os_closed, "MAX_WALKED", 0)
    paths = ClosedPaths([root / "app" / "recordings"], root)
    with pytest.raises(RefusedArgumentError, match="too many files for cat"):
        checked("cat", ["notes-too"], root, paths)


def test_every_path_of_the_settings_is_closed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("0f3c9a7d5e1b48266b9d70c4e8a1f25337d0")
    settings = load_settings(
        _env_file=None,
        jwt_secret_key_file=tmp_path / "secret",
        record_dir=Path("recordings"),
        audit_log=tmp_path / "audit",
        users_file=Path("people.json"),
    )
    environment = embedded_environment(settings, {"JWT_SECRET_KEY": HUSH, "JWT_SECRET_KEY_FILE": "x"})
    here = Path.cwd()
    closed = set(environment["OS_CLOSED_PATHS"].split(os.pathsep))
    wanted = [
        here / ".env",
        here / "recordings",
        here / "people.json",
        here / ".jarvis",
        tmp_path / "secret",
        tmp_path / "audit",
    ]
    assert {str(path) for path in wanted} <= closed
    assert HUSH not in environment.values()
