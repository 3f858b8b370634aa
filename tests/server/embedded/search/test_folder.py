"""What is indexed of a folder in which other programs put files, pipes and sockets."""

from __future__ import annotations

import asyncio
import os
import socket
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from protos import search_pb2_grpc
from server.embedded.search import documents
from server.embedded.search.documents import LeftOut, folder
from server.embedded.search.index import SearchIndex
from server.embedded.search.service import SearchService
from tests.server.embedded.executing import config, execute, serving

if TYPE_CHECKING:
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
