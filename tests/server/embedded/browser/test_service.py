"""M7 over gRPC with a real Chromium, on pages of a local server."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped] # the library carries no types
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # the library carries no types
from tornado.testing import bind_unused_port

from protos import browser_pb2_grpc
from server.embedded.browser import launching
from server.embedded.browser import pages as browser_pages
from server.embedded.browser.actions import MAX_PNG_BYTES
from server.embedded.browser.launching import find_chromium
from server.embedded.browser.service import ENDED, BrowserService, wants_sandbox
from server.embedded.browser.tabs import VIEWPORT_HEIGHT
from server.embedded.service import MissingPartError
from tests.server.embedded.executing import config, listed, refused, request, serving
from tests.server.embedded.website import chromium_processes, processes_with, surfing, unread_failures

if TYPE_CHECKING:
    from pathlib import Path

OWN = pytest.mark.usefixtures("own_browser")


async def test_a_form_is_opened_filled_sent_and_read(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        run = await surfer.open("form")
        assert run.values == {"url": f"{surfer.site.url}/form", "title": "Form", "status": 200}
        told = [(progress.percent, progress.message) for progress in run.progress]
        assert told == [
            (0, "opening 127.0.0.1"),
            (20, "the browser is ready"),
            (60, "the server answered 200"),
            (100, "done"),
        ]
        assert (await surfer.do("type", {"selector": "#name", "text": "Ann & Bob"})).status == "ok"
        run = await surfer.do("click", {"text": "Send it"})
        assert run.values == {"url": f"{surfer.site.url}/said?name=Ann+%26+Bob", "title": "Said"}
        run = await surfer.do("extract_text")
        assert (run.values["text"], run.values["truncated"]) == ("Ann & Bob", False)
        assert run.values.keys() == {"text", "url", "title", "truncated"}
        assert (await surfer.do("back")).values["title"] == "Form"
        assert (await surfer.do("extract_text", {"selector": "h1"})).values["text"] == "Hello"
        await surfer.do("type", {"selector": "#name", "text": "Eve"})
        assert (await surfer.do("press", {"key": "Enter"})).status == "failed"  # "Send it" wants to be asked for
        assert (await surfer.do("press", {"key": "Tab"})).status == "ok"
        assert (await surfer.do("wait", {"selector": "body"})).values["title"] == "Form"


async def test_links_windows_dialogs_and_scrolling(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open("form")
        second = f"{surfer.site.url}/second"
        links = (await surfer.do("links")).values["links"]
        assert links == [{"text": "Next page", "url": second}, {"text": "Window", "url": second}]
        assert (await surfer.do("scroll")).values["y"] == VIEWPORT_HEIGHT * 3 // 4
        assert (await surfer.do("scroll", {"to": "bottom"})).values["y"] > 2_000
        assert (await surfer.do("scroll", {"to": "top"})).values["y"] == 0
        run = await surfer.do("click", {"text": "Ask"})
        assert run.values["dialogs"] == ["first", "second"]
        assert run.values["declined"] == ["second"], "a question, which was answered no"
        assert (await surfer.do("wait", {"ms": 1})).values.keys() == {"url", "title"}
        assert (await surfer.do("click", {"text": "Window"})).values["title"] == "Second"
        assert (await surfer.do("back")).values["title"] == "Form"


async def test_a_screenshot_is_a_picture_of_what_is_seen(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open("form")
        values = (await surfer.do("screenshot")).values
        assert (values["media_type"], values["width"], values["height"]) == ("image/png", 1280, 800)
        png = base64.b64decode(values["image_base64"], validate=True)
        assert png[:8] == b"\x89PNG\r\n\x1a\n"
        assert (int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")) == (1280, 800)
        await surfer.open("noise")
        values = (await surfer.do("screenshot")).values
        jpeg = base64.b64decode(values["image_base64"], validate=True)
        assert (values["media_type"], jpeg[:2]) == ("image/jpeg", b"\xff\xd8")
        assert len(jpeg) < MAX_PNG_BYTES


async def test_what_does_not_succeed_fails_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed, port = bind_unused_port()
    closed.close()
    async with surfing(tmp_path) as surfer:
        await surfer.open("form")
        here = {"url": f"{surfer.site.url}/form", "title": "Form"}
        for action, parameters, words in (
            ("click", {"text": "Not there"}, "Not there is not there"),
            ("type", {"selector": "#none", "text": "x"}, "#none is not there"),
            ("type", {"selector": "h1", "text": "x"}, "Element is not an <input>"),
            ("extract_text", {"selector": "#none"}, "#none is not there"),
            ("wait", {"selector": "#[["}, "Unexpected token"),
            ("press", {"key": "Nonsense"}, "Unknown key"),
        ):
            with monkeypatch.context() as patch:
                if "not there" in words:
                    patch.setattr("server.embedded.browser.actions.ELEMENT_TIMEOUT_MS", 100)
                run = await surfer.do(action, parameters)
            assert (run.status, run.values) == ("failed", here), action
            assert words in run.message
            assert run.progress[-1].message == run.message
        for url, words in (
            (f"http://127.0.0.1:{port}/", f"nothing answers at 127.0.0.1:{port}"),
            ("http://nowhere.invalid/", "there is no host nowhere.invalid, or no network"),
            ("http://127.0.0.1:1/", "browsers do not open that port"),
            (f"{surfer.site.url}/download", "the address is a download, which is not taken"),
        ):
            run = await surfer.do("navigate", {"url": url})
            assert (run.status, run.message) == ("failed", words)
        run = await surfer.open("none")
        assert (run.values["status"], run.values["title"]) == (404, "Nothing")


async def test_a_page_that_asks_to_stay_is_left(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        for _ in range(2):
            await surfer.open("leaving")
            await surfer.do("click", {"text": "Edit"})  # pages that nobody has touched are left without a question
            run = await surfer.open("form")
            assert (run.values["title"], run.values.get("dialogs")) == ("Form", None)
        await surfer.open("leaving")
        await surfer.do("click", {"text": "Edit"})
        assert (await surfer.do("back")).values["title"] == "Form"


async def test_without_a_page_that_is_said(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        for action, parameters in (
            ("screenshot", {}),
            ("extract_text", {}),
            ("links", {}),
            ("scroll", {}),
            ("click", {"text": "x"}),
            ("type", {"selector": "x", "text": "x"}),
            ("press", {"key": "a"}),
            ("wait", {"ms": 1}),
        ):
            run = await surfer.do(action, parameters)
            assert (action, run.status, run.message) == (action, "failed", "no page is open")
        await surfer.do("navigate", {"url": "http://nowhere.invalid/"})
        assert (await surfer.do("screenshot")).message == "no page is open"
        await surfer.open("form")
        assert (await surfer.do("screenshot")).status == "ok"


async def test_there_is_no_way_back_from_the_first_page(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        run = await surfer.do("back")
        assert (run.status, run.message) == ("failed", "there is no page before this one")
        await surfer.open("form")
        run = await surfer.do("back")
        assert (run.status, run.message) == ("failed", "there is no page before this one")
        assert run.values["title"] == "Form"


@pytest.mark.parametrize(
    ("action", "parameters", "words"),
    [
        ("navigate", {}, "url: field required"),
        ("navigate", {"url": "file:///etc/passwd"}, "url: only pages of the web are opened"),
        ("navigate", {"url": "chrome://version"}, "url: only pages of the web are opened"),
        ("navigate", {"url": "javascript:alert(1)"}, "url: only pages of the web are opened"),
        ("navigate", {"url": "view-source:http://x"}, "url: only pages of the web are opened"),
        ("navigate", {"url": "example"}, "url: only pages of the web are opened"),
        ("navigate", {"url": "http://a\u202eb/"}, "url: only pages of the web are opened"),
        ("navigate", {"url": "http://"}, "url: only pages of the web are opened"),
        ("click", {}, "parameters: give either selector or text"),
        ("click", {"selector": "a", "text": "b"}, "parameters: give either selector or text"),
        ("wait", {}, "parameters: give either selector or ms"),
        ("wait", {"ms": 60_001}, "ms: input should be less than or equal to 60000"),
        ("type", {"selector": "a"}, "text: field required"),
        ("press", {"key": "a b"}, "key: string should match pattern"),
        ("scroll", {"to": "left"}, "to: input should be 'up', 'down', 'top' or 'bottom'"),
        ("screenshot", {"path": "/tmp/x"}, "path: extra inputs are not permitted"),
    ],
)
async def test_wrong_parameters_are_refused_before_anything_happens(
    tmp_path: Path, action: str, parameters: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_start(self: Any) -> None:
        """No browser is needed."""

    monkeypatch.setattr(browser_pages.Chromium, "start", no_start)
    async with serving(BrowserService(config(tmp_path))) as channel:
        stub = browser_pb2_grpc.BrowserExecutorStub(channel)
        status, details = await refused(stub, action, parameters)
        assert (status, details[: len(words)]) == ("INVALID_ARGUMENT", words)


async def test_actions_are_listed_and_others_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_start(self: Any) -> None:
        """No browser is needed."""

    monkeypatch.setattr(browser_pages.Chromium, "start", no_start)
    async with serving(BrowserService(config(tmp_path))) as channel:
        stub = browser_pb2_grpc.BrowserExecutorStub(channel)
        actions = await listed(stub)
        assert {"navigate", "click", "type", "extract_text", "screenshot", "back", "wait"} <= set(actions)
        for schema in actions.values():
            Draft202012Validator.check_schema(schema)
        assert actions["navigate"]["required"] == ["url"]
        status, details = await refused(stub, "evaluate", {"script": "1"})
        assert (status, details[:36]) == ("NOT_FOUND", "there is no action evaluate; known: ")


async def test_users_and_sessions_share_nothing(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        for user, session in (("ann", "1"), ("ann", "2"), ("bob", "1")):
            await surfer.open(f"cookie?who={user}{session}", user=user, session=session)
            assert (await surfer.do("extract_text", user=user, session=session)).values["text"] == "nobody"
        await surfer.open("cookie?who=x", user="ann", session="1")
        assert (await surfer.do("extract_text", user="ann", session="1")).values["text"] == "ann1"


async def test_tasks_of_one_session_wait_for_each_other_and_those_of_others_do_not(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        hanging = surfer.stub.Execute(request("navigate", {"url": f"{surfer.site.url}/hang"}))
        await surfer.site.hangs(1)
        assert (await surfer.open("form", session="other")).values["title"] == "Form"
        status, _ = await refused(surfer.stub, "extract_text", {}, timeout_ms=200)
        assert status == "DEADLINE_EXCEEDED"
        hanging.cancel()
        assert (await surfer.open("form")).values["title"] == "Form"


async def test_cancel_stops_the_page_from_loading(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        call = surfer.stub.Execute(request("navigate", {"url": f"{surfer.site.url}/hang"}))
        await surfer.site.hangs(1)
        call.cancel()
        await surfer.site.hangs(0)
        assert (await surfer.open("form")).values["title"] == "Form"


async def test_a_task_over_its_time_is_stopped(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        url = f"{surfer.site.url}/hang"
        status, words = await refused(surfer.stub, "navigate", {"url": url}, timeout_ms=700)
        assert (status, words) == ("DEADLINE_EXCEEDED", "navigate was not done after 0.7 s")
        await surfer.site.hangs(0)


async def test_a_cancelled_click_never_happens_later(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open("late")
        status, _ = await refused(surfer.stub, "click", {"selector": "#never"}, timeout_ms=200)
        assert status == "DEADLINE_EXCEEDED"
        assert (await surfer.do("wait", {"selector": "#p"})).status == "ok"
        assert (await surfer.do("extract_text")).values["text"] == "here"


@pytest.mark.parametrize("option", ["", "deny"])
async def test_the_network_of_this_machine_is_closed_unless_the_option_opens_it(tmp_path: Path, option: str) -> None:
    async with surfing(tmp_path, BROWSER_PRIVATE_NETWORK=option) as surfer:
        for host in ("127.0.0.1", "localhost", "127.1"):
            run = await surfer.do("navigate", {"url": surfer.site.url.replace("127.0.0.1", host) + "/form"})
            assert run.status == "failed"
            assert "closed to the browser" in run.message
        assert surfer.site.asked == []


async def test_the_clouds_own_addresses_are_closed_to_pages_redirects_and_scripts(tmp_path: Path) -> None:
    metadata = "http://169.254.169.254/latest/meta-data/"
    async with surfing(tmp_path) as surfer:
        run = await surfer.do("navigate", {"url": metadata})
        assert run.message == "169.254.169.254 is in a network that is closed to the browser"
        run = await surfer.do("navigate", {"url": f"{surfer.site.url}/redirect?to={metadata}"})
        assert run.status == "failed"
        chromium = surfer.service._chromium
        assert chromium is not None
        (tabs,) = chromium._tabs.values()
        tabs.gate._reasons.clear()
        await surfer.open(f"inwards?to={metadata}")
        while not tabs.gate.reason("169.254.169.254"):
            await asyncio.sleep(0.01)


async def test_the_error_page_of_one_address_does_not_break_off_the_next(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        nowhere = f"{surfer.site.url}/redirect?to=http://169.254.169.254/"
        for _ in range(10):
            assert (await surfer.do("navigate", {"url": nowhere})).status == "failed"
            assert (await surfer.open("form")).values["title"] == "Form"


@OWN
async def test_a_browser_that_dies_is_started_again_by_the_next_task(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        call = surfer.stub.Execute(request("navigate", {"url": f"{surfer.site.url}/hang"}))
        await surfer.site.hangs(1)
        for process in chromium_processes():
            with suppress(psutil.NoSuchProcess):  # some end with their parent
                process.send_signal(signal.SIGKILL)
        *_, last = [event async for event in call]
        assert last.result.status == "failed"
        assert last.result.message == ENDED
        assert (await surfer.open("form")).values["title"] == "Form"


@OWN
async def test_a_driver_that_dies_is_started_again_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with surfing(tmp_path) as surfer:
        call = surfer.stub.Execute(request("navigate", {"url": f"{surfer.site.url}/hang"}))
        await surfer.site.hangs(1)
        for process in processes_with("run-driver"):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        *_, last = [event async for event in call]
        assert last.result.message == ENDED
        assert (await surfer.open("form")).values["title"] == "Form"
    assert unread_failures(caplog) == []


@OWN
async def test_a_browser_that_dies_takes_no_page_of_another_user_along(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open("form", user="bob")
        others = chromium_processes()
        await surfer.open("form")
        for process in chromium_processes():
            if process not in others:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        assert (await surfer.do("extract_text", {"selector": "h1"}, user="bob")).values["text"] == "Hello"
        assert (await surfer.open("form")).values["title"] == "Form"


@OWN
async def test_the_least_used_page_makes_room_and_idle_ones_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser_pages, "MAX_CONTEXTS", 2)
    async with surfing(tmp_path) as surfer:
        for session in ("1", "2", "1", "3"):
            await surfer.open(f"cookie?who={session}", session=session)
        await surfer.open("cookie", session="1")
        assert (await surfer.do("extract_text", session="1")).values["text"] == "1"
        await surfer.open("cookie", session="2")
        assert (await surfer.do("extract_text", session="2")).values["text"] == "nobody"
        monkeypatch.setattr(browser_pages, "IDLE_S", -1.0)
        chromium = surfer.service._chromium
        assert chromium is not None
        await chromium.reap_now()
        assert chromium_processes() == []
        assert (await surfer.open("form")).values["title"] == "Form"


async def test_when_all_pages_are_at_work_a_task_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser_pages, "MAX_CONTEXTS", 1)
    async with surfing(tmp_path) as surfer:
        call = surfer.stub.Execute(request("navigate", {"url": f"{surfer.site.url}/hang"}))
        await surfer.site.hangs(1)
        status, words = await refused(surfer.stub, "screenshot", {}, session="other")
        assert (status, words) == ("RESOURCE_EXHAUSTED", "all 1 browser pages are at work")
        call.cancel()


async def test_one_user_has_not_all_pages_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser_pages, "MAX_AT_WORK", 1)
    async with surfing(tmp_path) as surfer:
        call = surfer.stub.Execute(request("navigate", {"url": f"{surfer.site.url}/hang"}))
        await surfer.site.hangs(1)
        status, words = await refused(surfer.stub, "screenshot", {}, session="other")
        assert (status, words) == ("RESOURCE_EXHAUSTED", "1 of this user's browser pages are at work")
        assert (await surfer.open("form", user="bob")).values["title"] == "Form"
        call.cancel()


async def test_a_user_with_many_pages_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser_pages, "MAX_CONTEXTS", 3)
    async with surfing(tmp_path) as surfer:
        await surfer.open("cookie?who=bob", user="bob")
        for session in ("1", "2", "3"):
            await surfer.open("cookie", session=session)
        await surfer.open("cookie", user="bob")
        assert (await surfer.do("extract_text", user="bob")).values["text"] == "bob"


@OWN
async def test_nothing_is_left_after_stop(tmp_path: Path) -> None:
    async with surfing(tmp_path) as surfer:
        await surfer.open("form")
        assert chromium_processes()
    left = [process for process in psutil.Process().children(recursive=True) if process.status() != "zombie"]
    assert [process for process in left if "chrom" in process.name() or "node" in process.name()] == []


@OWN
async def test_secrets_of_the_environment_do_not_reach_the_browser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_SECRET_KEY", "hush-hush")
    async with surfing(tmp_path) as surfer:
        await surfer.open("form")
        assert chromium_processes()
        for process in chromium_processes():
            assert "JWT_SECRET_KEY" not in process.environ()


@OWN
async def test_a_browser_that_is_not_there_or_does_not_start_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingPartError, match="CHROMIUM_PATH: /nowhere/chromium is not a program"):
        await BrowserService(config(tmp_path, CHROMIUM_PATH="/nowhere/chromium")).start()
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(MissingPartError, match="Chromium does not start: "):
        await BrowserService(config(tmp_path, CHROMIUM_PATH=str(broken))).start()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(launching, "PLACES", ())
    with pytest.raises(MissingPartError, match=r"Chromium was not found: .*install"):
        find_chromium("")


def test_the_sandbox_is_left_out_for_root_and_where_the_option_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert wants_sandbox(config(tmp_path))
    assert not wants_sandbox(config(tmp_path, CHROMIUM_SANDBOX="false"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert not wants_sandbox(config(tmp_path))
