"""What is left of browsers whose driver, or whose program beside it, has ended."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped] # the library carries no types
import pytest

from tests.server.embedded.website import chromium_processes, processes_with, surfing

if TYPE_CHECKING:
    from pathlib import Path

GONE_S = 60.0  # for processes to end; on a machine that is busy, that takes seconds


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
