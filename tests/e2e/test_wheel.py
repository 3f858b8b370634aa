"""The wheel alone, installed elsewhere and started in another folder: it contains everything that it serves."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.conftest import HANG_S
from tests.support.gateway import GatewayProcess
from tests.support.packages import ROOT, Environment, build_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = ["/", "/console/", "/docs", "/redoc", "/asyncapi", "/openapi.json", "/asyncapi.json", "/health", "/metrics"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    directory = tmp_path_factory.mktemp("wheel")
    return Environment(directory / "environment", build_wheel(directory))


@pytest.fixture(scope="module")
def installed(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """In a folder with a `server` of its own, as any project may have."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "server").mkdir()
    (folder / "server" / "__init__.py").write_text("raise ImportError('not the gateway')")
    command = [str(environment.directory / "bin" / "jarvis-gateway"), "--laptop"]
    gateway = GatewayProcess(folder, command, environment.settings())
    yield gateway
    gateway.stop()


def test_every_service_starts_with_its_data_files(installed: GatewayProcess) -> None:
    assert "stt, tts, intent, planner, safety, browser, os, search, memory up (embedded)" in installed.banner


def test_what_it_keeps_lies_in_the_working_folder(installed: GatewayProcess) -> None:
    assert (installed.log.parent / ".jarvis" / "memory.sqlite3").is_file()


@pytest.mark.parametrize("page", PAGES)
def test_each_page_is_there(installed: GatewayProcess, page: str) -> None:
    assert _status(installed.base + page) == 200


def test_each_static_file_is_there(installed: GatewayProcess) -> None:
    static = ROOT / "static"
    files = [path.relative_to(static).as_posix() for path in static.rglob("*") if path.is_file()]
    files = [file for file in files if "node_modules" not in file]
    assert len(files) > 50
    missing = [file for file in files if _status(f"{installed.base}/console/{file}") != 200]
    assert missing == []


def test_nothing_of_the_checkout_is_imported(environment: Environment, tmp_path: Path) -> None:
    code = "import server, handlers, streaming, protos; print(*(m.__file__ for m in (server, handlers, streaming, protos)))"
    found = environment.run(code, tmp_path)
    assert found.returncode == 0, found.stderr
    assert all(file.startswith(str(environment.directory)) for file in found.stdout.split())


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=HANG_S) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code
