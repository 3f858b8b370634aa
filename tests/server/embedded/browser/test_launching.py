"""What is left of browsers whose driver, or whose program beside it, has ended."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped] # the library carries no types
import pytest
from playwright.async_api import Error as PlaywrightError

from server.embedded.browser import driver, launching
from server.embedded.browser.driver import Scratch
from server.embedded.executor import UnavailableError
from tests.server.embedded.website import chromium_processes, processes_with, surfing, unread_failures

if TYPE_CHECKING:
    from playwright.async_api import Browser

GONE_S = 60.0  # for processes to end; on a machine that is busy, that takes seconds


pytestmark = pytest.mark.usefixtures("own_browser")


async def left_of(processes: list[psutil.Process]) -> list[psutil.Process]:
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, GONE_S)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("ended", ["run-driver", "browser/pipe.py"])
async def test_no_browser_outlives_what_it_is_driven_by(tmp_path: Path, ended: str) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open("form")
        browser = chromium_processes()
        for process in processes_with(ended):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        assert await left_of(browser) == []
        assert (await surfer.open("form")).values["title"] == "Form"
        assert surfer.service._chromium is not None
        scratch = surfer.service._chromium._launcher._scratch
        assert scratch is not None
        assert len(list(scratch.path.rglob("*_profile-*"))) == 1  # that of the driver or browser that was killed stayed


async def test_nor_does_one_that_hangs(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open("form")
        program = processes_with("browser/pipe.py")
        browser = [process for process in chromium_processes() if process not in program]
        for process in browser:
            process.suspend()
        for process in processes_with("run-driver"):
            process.kill()
        assert await left_of(program + browser) == []


@pytest.mark.parametrize("at", ["no answer", "a wrong answer", "too late"])
async def test_no_browser_is_left_that_nobody_knows_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """It ran on, unknown, for as long as the driver did."""

    async def fails(browser: Browser) -> launching.Running:
        assert await browser.new_browser_cdp_session()
        if at == "no answer":
            raise PlaywrightError("no session")
        raise StopIteration

    async with surfing(tmp_path) as surfer:
        await surfer.open("form", user="bob")
        others = chromium_processes()
        with monkeypatch.context() as patch:
            if at == "too late":
                patch.setattr(launching, "LAUNCH_S", 0.05)
            else:
                patch.setattr(launching, "_known", fails)
            chromium = surfer.service._chromium
            assert chromium is not None
            with pytest.raises(UnavailableError, match="Chromium does not start"):
                await chromium._of(("ann", "s1"))
            while chromium._launcher._ending:
                await asyncio.sleep(0.01)
        assert await left_of([process for process in chromium_processes() if process not in others]) == []
        assert (await surfer.open("form")).values["title"] == "Form"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


async def test_nothing_is_left_in_the_folder_for_temporary_files(tmp_path: Path, temporary: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open("form")
        browser = chromium_processes()
        for process in processes_with("run-driver"):
            process.kill()
        assert await left_of(browser) == []
        await surfer.open("form")
        assert len(list(temporary.iterdir())) == 1
    assert list(temporary.iterdir()) == []


HELD = "import sys; from server.embedded.browser.driver import Scratch; print(Scratch().path, flush=True); sys.stdin.read()"


def test_the_folder_of_a_service_that_was_killed_is_removed_at_the_next_start(temporary: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HELD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        folder = Path(other.stdout.readline().decode().strip())
        (folder / "left").touch()
        second = Scratch()
        assert set(temporary.iterdir()) == {folder, second.path}
        other.kill()
    third = Scratch()
    assert set(temporary.iterdir()) == {second.path, third.path}
    second.remove()
    third.remove()
    assert list(temporary.iterdir()) == []


async def test_a_driver_that_was_stopped_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open("form")
        (stopped,) = processes_with("run-driver")
        stopped.suspend()
        with monkeypatch.context() as short:
            short.setattr(launching, "PULSE_S", 0.5)
            short.setattr(driver, "PULSE_S", 0.5)
            short.setattr(launching, "CLOSE_S", 0.5)
            assert (await surfer.open("form")).values["title"] == "Form"
        (other,) = processes_with("run-driver")
        assert other != stopped


async def test_so_is_one_that_stops_while_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with surfing(tmp_path) as surfer:
        chromium = surfer.service._chromium
        assert chromium is not None
        for process in processes_with("run-driver"):
            process.kill()
        monkeypatch.setenv("PLAYWRIGHT_NODEJS_PATH", str(silent(tmp_path)))
        with monkeypatch.context() as short:
            short.setattr(driver, "START_S", 0.5)
            with pytest.raises(UnavailableError, match="its driver was not there"):
                await chromium._of(("ann", "s1"))
        monkeypatch.delenv("PLAYWRIGHT_NODEJS_PATH")
        assert (await surfer.open("form")).values["title"] == "Form"
        assert len(processes_with("run-driver")) == 1
    assert processes_with("sleep 600") == []
    assert unread_failures(caplog) == []


async def test_a_browser_that_does_not_start_leaves_the_driver_and_other_browsers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open("form", user="bob")
        chromium = surfer.service._chromium
        assert chromium is not None
        with monkeypatch.context() as short:
            short.setattr(launching, "LAUNCH_S", 0.5)
            short.setattr(chromium._launcher, "_executable", str(silent(tmp_path)))
            with pytest.raises(UnavailableError):
                await chromium._of(("ann", "s1"))
        assert (await surfer.open("form")).values["title"] == "Form"
        assert (await surfer.do("extract_text", {"selector": "h1"}, user="bob")).values["text"] == "Hello"


def silent(folder: Path) -> Path:
    """A program that does nothing, until it is ended."""
    program = folder / "silent"
    program.write_text("#!/bin/sh\nexec sleep 600\n", encoding="utf-8")
    program.chmod(0o700)
    return program
