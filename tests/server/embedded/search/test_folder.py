"""What is indexed of a folder in which other programs put files, pipes and sockets."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from threading import Event, Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from protos import search_pb2_grpc
from server.embedded.search import documents, local
from server.embedded.search.documents import Document, LeftOut, Page, folder
from server.embedded.search.index import BREATH_S, SearchIndex
from server.embedded.search.service import SearchService
from tests.server.embedded.executing import config, execute, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def indexed(root: Path, index: Path) -> int:
    opened = SearchIndex(index)
    opened.update(folder(root), Event())
    count = opened.count()
    opened.close()
    return count


def test_pipes_and_sockets_are_no_documents(tmp_path: Path) -> None:
    root = tmp_path / "documents"
    root.mkdir()
    (root / "a.md").write_text("alpha")
    os.mkfifo(root / "b.md")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "c.md"))
        (root / "d.md").write_text("delta")
        done: list[int] = []
        working = Thread(target=lambda: done.append(indexed(root, tmp_path / "index")), daemon=True)
        working.start()
        working.join(30)
        assert done == [2]


@pytest.mark.parametrize("made", ["pipe", "link", "long"])
def test_what_has_taken_the_place_of_a_file_is_not_read(tmp_path: Path, made: str) -> None:
    path = tmp_path / "a.md"
    path.write_text("alpha")
    (document,) = folder(tmp_path)
    path.unlink()
    if made == "long":
        path.write_text("x" * (2 * documents.MAX_DOCUMENT_BYTES))
        assert len(document.read().text) == documents.MAX_DOCUMENT_BYTES
        return
    if made == "pipe":
        os.mkfifo(path)
    else:
        (tmp_path / "other").write_text("other")
        path.symlink_to(tmp_path / "other")
    with pytest.raises(OSError):
        document.read()


def test_what_is_secret_by_its_name_is_not_indexed(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "long.txt").write_text("x" * (documents.MAX_DOCUMENT_BYTES + 1))
    for name in ("passwords.txt", "secrets/a.md", "deep/client_secret (1).html", "deep/.env.txt", "deep/open.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("zanzibar")
    for name in ("secrets.png", ".hidden.md", ".ssh/a.md"):  # these are no documents for anybody
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("zanzibar")
    left_out = LeftOut()
    assert [document.key for document in folder(tmp_path, left_out)] == [str(tmp_path / "deep" / "open.txt")]
    assert left_out.count == 4


async def test_an_answer_says_how_many_documents_are_not_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.embedded.search.local.RESCAN_S", 0.01)
    root = tmp_path / "documents"
    root.mkdir()
    (root / "password policy.md").write_text("zanzibar")
    async with serving(SearchService(config(tmp_path, SEARCH_DOCUMENTS_DIR=str(root)))) as channel:

        async def searched() -> dict[str, Any]:
            return (await execute(search_pb2_grpc.SearchExecutorStub(channel), "search", {"query": "zanzibar"})).values

        while (values := await searched()).get("left_out") != 1:
            await asyncio.sleep(0.02)
        assert values["results"] == []
        (root / "password policy.md").rename(root / "policy.md")
        while (values := await searched())["results"] == [] or "left_out" in values:
            await asyncio.sleep(0.02)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "documents"
    # pytest would call itself for every level
    subprocess.run(["rm", "-rf", str(tmp_path / "documents")], check=True)


def test_deep_folders_keep_nothing_else_out(root: Path, tmp_path: Path) -> None:
    """Nobody can name the deepest: each is moved into the next, as commands may do."""
    (root / "new").mkdir(parents=True)
    (root / "old.md").write_text("old")
    (root / "new" / "bottom.md").write_text("bottom")
    assert indexed(root, tmp_path / "index") == 2
    for _ in range(1_100):
        (root / "new").rename(root / "a")
        (root / "new").mkdir()
        (root / "a").rename(root / "new" / "a")
    (root / "z.md").write_text("new")
    (root / "old.md").unlink()
    assert indexed(root, tmp_path / "index") == 1
    shallow = root / "/".join(["new", *["a"] * (documents.MAX_LEVELS - 1)])
    (shallow / "b.md").write_text("found")
    (shallow / "a" / "b.md").write_text("too deep")
    assert indexed(root, tmp_path / "index") == 2


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take no such names")
def test_a_name_that_is_no_text_is_indexed(tmp_path: Path) -> None:
    root = tmp_path / "documents"
    root.mkdir()
    for name in (b"\xff.md", b"\xfe.md", "ü.md".encode()):
        (root / os.fsdecode(name)).write_text("alpha")
    assert indexed(root, tmp_path / "index") == 3
    assert indexed(root, tmp_path / "index") == 3


def test_a_document_that_cannot_be_read_keeps_no_other_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Page:
        raise RecursionError

    index = SearchIndex(tmp_path / "index")
    index.update([Document("a", "1", fail), Document("b", "1", lambda: Page("b", "b", "word"))], Event())
    assert [found.title for found in index.search("word", 9).results] == ["b"]
    assert "a document could not be read" in caplog.text
    index.close()


def test_the_others_have_half_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long documents take to read."""
    clock, waits = [0.0], []

    class Stopping(Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout)
            return False

    def read() -> Page:
        clock[0] += 2.0
        return Page("t", "u", "word")

    monkeypatch.setattr("server.embedded.search.index.time", SimpleNamespace(monotonic=lambda: clock[0]))
    index = SearchIndex(tmp_path / "index")
    index.update([Document(str(number), "1", read) for number in range(3)], Stopping())
    index.close()
    assert waits == [BREATH_S, 2.0, 2.0]


async def test_the_thread_goes_on_after_any_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.md").write_text("zanzibar")
    faults: list[Exception] = [RecursionError(), MemoryError(), UnicodeEncodeError("utf-8", "", 0, 0, "")]

    def walked(root: Path, left_out: LeftOut) -> Iterator[Document]:
        if faults:
            raise faults.pop()
        return folder(root, left_out)

    monkeypatch.setattr(local, "RESCAN_S", 0.0)
    monkeypatch.setattr(local, "folder", walked)
    provider = local.LocalProvider(tmp_path / "kept", str(tmp_path / "documents"))
    await provider.start()
    while not (found := (await provider.search("zanzibar", 1)).results) and provider._building.is_alive():
        await asyncio.sleep(0.01)
    assert found
    await provider.stop()
    assert caplog.text.count("not brought up to date") == 3
