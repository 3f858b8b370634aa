"""Calls that are cancelled while their page is found, and what they leave behind."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import Error as PlaywrightError

from server.embedded.browser import pages
from tests.server.embedded.executing import refused, request
from tests.server.embedded.website import chromium_processes, processes_with, surfing, unread_failures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from server.embedded.browser.pages import Chromium
    from tests.server.embedded.website import Surfer

ANN = ("ann", "s1")
STAGES: dict[str, Callable[[Chromium], object]] = {
    "at once": lambda _: True,
    "the browser has a process": lambda _: chromium_processes(),
    "the browser is there": lambda chromium: "ann" in chromium._running,
    "the context is there": lambda chromium: ANN in chromium._tabs,
}


pytestmark = pytest.mark.usefixtures("own_browser")


def browsers(surfer: Surfer) -> Chromium:
    assert surfer.service._chromium is not None
    return surfer.service._chromium


async def cancel_when(chromium: Chromium, stage: Callable[[Chromium], object]) -> None:
    call = asyncio.get_running_loop().create_task(chromium._of(ANN), name="call")
    await asyncio.sleep(0)
    while not stage(chromium):
        await asyncio.sleep(0)
    call.cancel()
    with suppress(asyncio.CancelledError):
        await call


@pytest.mark.parametrize("stage", STAGES)
async def test_a_start_that_was_cancelled_leaves_no_browser_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    async with surfing(tmp_path) as surfer:
        chromium = browsers(surfer)
        await cancel_when(chromium, STAGES[stage])
        assert (await surfer.open("form")).values["title"] == "Form"  # in the browser that was begun
        session = await chromium._running["ann"].browser.new_browser_cdp_session()
        assert len((await session.send("Target.getBrowserContexts"))["browserContextIds"]) == 1
        monkeypatch.setattr(pages, "IDLE_S", -1.0)
        await chromium.reap_now()
        assert chromium_processes() == []


async def test_a_start_of_the_driver_that_was_cancelled_is_used_by_the_next_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open("form")
        old = processes_with("run-driver")
        for process in old:
            process.kill()
        await cancel_when(browsers(surfer), lambda _: set(processes_with("run-driver")) - set(old))
        assert (await surfer.open("form")).values["title"] == "Form"
        assert len(processes_with("run-driver")) == 1
    assert processes_with("run-driver") == []
    assert unread_failures(caplog) == []


async def test_a_start_that_fails_for_a_call_that_was_cancelled_is_told_to_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with surfing(tmp_path) as surfer:
        chromium = browsers(surfer)
        monkeypatch.setattr(chromium._launcher, "_executable", "/nowhere/chromium")
        await cancel_when(chromium, lambda _: True)
        while chromium._finding:
            await asyncio.sleep(0)
    assert unread_failures(caplog) == []


async def test_pages_that_are_open_already_are_not_all_put_to_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One user opened as many as there are, one after another, and then had all of them wait: nobody else had one for a minute."""
    monkeypatch.setattr(pages, "MAX_AT_WORK", 2)
    monkeypatch.setattr(pages, "MAX_CONTEXTS", 3)
    async with surfing(tmp_path) as surfer:
        for session in ("1", "2", "3"):
            await surfer.open("form", session=session)
        hang = {"url": f"{surfer.site.url}/hang"}
        calls = [surfer.stub.Execute(request("navigate", hang, session=session)) for session in ("1", "2")]
        await surfer.site.hangs(2)
        for session in ("3", "4"):
            status, words = await refused(surfer.stub, "navigate", hang, session=session)
            assert (status, words) == ("RESOURCE_EXHAUSTED", "2 of this user's browser pages are at work")
        behind = surfer.stub.Execute(request("extract_text", session="1"))  # takes no further page
        assert (await surfer.open("form", user="bob")).values["title"] == "Form"
        for call in calls:
            call.cancel()
        assert [event.result.status async for event in behind][-1] == "ok"
        assert (await surfer.open("form", session="3")).values["title"] == "Form"


async def test_idle_pages_are_closed_after_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    chromium = pages.Chromium("none", tmp_path, private_open=False, sandbox=True)
    faults = [RuntimeError("gone"), PlaywrightError("gone"), asyncio.CancelledError()]

    async def reap_now() -> None:
        raise faults.pop(0)

    monkeypatch.setattr(pages, "REAP_S", 0.0)
    monkeypatch.setattr(chromium, "reap_now", reap_now)
    with pytest.raises(asyncio.CancelledError):
        await chromium.reap()
    assert not faults
    assert caplog.text.count("idle pages could not be closed") == 2
