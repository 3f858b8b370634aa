"""Messages between Chromium and the driver that no page may send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil  # type: ignore[import-untyped] # the library carries no types
import pytest

from server.embedded.browser import pipe
from server.embedded.browser.pages import Chromium, find_chromium
from server.embedded.browser.pipe import Messages
from server.embedded.service import MissingPartError
from tests.server.embedded.website import surfing


def sent(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\0"


def fed(stream: bytes, piece_bytes: int) -> bytes:
    messages = Messages()
    return b"".join(messages.feed(stream[at : at + piece_bytes]) for at in range(0, len(stream), piece_bytes))


@pytest.mark.parametrize("piece_bytes", [1, 7, 1_000_000])
def test_what_is_too_long_or_unused_is_dropped_and_answers_become_errors(
    monkeypatch: pytest.MonkeyPatch, piece_bytes: int
) -> None:
    monkeypatch.setattr(pipe, "MAX_MESSAGE_BYTES", 150)
    first, last = sent({"method": "Page.loadEventFired", "params": {}}), sent({"id": 9, "result": {"x": "\u00e9"}})
    long = {"value": "x" * 500 + ',"sessionId":"FORGED"}'}
    stream = (
        first
        + sent({"method": "Network.requestWillBeSent", "params": long, "sessionId": "AB"})
        + sent({"method": "Runtime.consoleAPICalled", "params": {}, "sessionId": "AB"})
        + sent({"id": 7, "result": long, "sessionId": "AB"})
        + sent({"id": 8, "result": long})
        + last
    )
    error = {"code": -32000, "message": "what the page holds is too long"}
    assert fed(stream, piece_bytes) == (
        first + sent({"id": 7, "error": error, "sessionId": "AB"}) + sent({"id": 8, "error": error}) + last
    )


def test_a_message_without_an_end_is_not_held_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe, "MAX_MESSAGE_BYTES", 100)
    messages = Messages()
    for _ in range(1_000):
        assert messages.feed(b"x" * 100) == b""
    assert len(messages._held) == 100


FLOODS = (
    "console.log(long)",
    "setTimeout(() => { throw new Error(long) })",
    "fetch('/form', { method: 'POST', body: long }).catch(() => 0)",
    "new Image().src = 'data:image/png;base64,' + long",
    "new Worker(URL.createObjectURL(new Blob(['console.log(\"w\".repeat(3e7))'])))",
)


def driver_bytes() -> int:
    """Memory of the driver, at its highest."""
    (driver,) = (one for one in psutil.Process().children(recursive=True) if "run-driver" in " ".join(one.cmdline()))
    status = Path(f"/proc/{driver.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def test_no_page_sends_the_driver_what_it_likes(tmp_path: Path) -> None:
    """One message of 30 MB takes the driver more than twice as much memory; one of 512 MB ended it, with everybody's pages."""
    async with surfing(tmp_path) as surfer:
        await surfer.open("form")
        before = driver_bytes()
        for flood in FLOODS:
            html = (
                f"<title>begun</title><script>const long = 'x'.repeat(3e7); {flood}; document.title = 'done'</script>"
            )
            assert (await surfer.open(f"page?html={quote(html)}")).values["title"] == "done"
            await surfer.do("wait", {"ms": 1_000})
        assert driver_bytes() - before < 30_000_000


async def test_a_folder_that_takes_no_script_is_told(tmp_path: Path) -> None:
    chromium = Chromium(find_chromium(""), tmp_path / "none", private_open=False, sandbox=False)
    with pytest.raises(MissingPartError, match=r"Chromium is started by a script in .*none: No such file"):
        await chromium.start()
