"""Text of others that would run if it were markup, and files that are damaged."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from playwright.async_api import expect

from tests.support.browser import (
    forget_toasts,
    go,
    in_writing,
    open_recording,
    say,
    see,
    session_file,
    turns_are_over,
)
from tests.support.gateway import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Page

    from tests.support.browser import Console
    from tests.support.gateway import GatewayProcess

STATIC = ROOT / "static"
NEEDED = {"turn.plan", "turn.interrupted"}
"""Without their fields a turn cannot be told."""
PAYLOADS = [
    '<img src=x onerror="window.hacked=1">',
    "<script>window.hacked=1</script>",
    '"><svg onload="window.hacked=1">',
    "javascript:window.hacked=1",
    '<iframe srcdoc="<script>parent.hacked=1</script>"></iframe>',
    "</textarea><script>window.hacked=1</script>",
    "{{constructor.constructor('window.hacked=1')()}}",
    "<a href='javascript:window.hacked=1' autofocus onfocus='window.hacked=1'>x</a>",
]


async def test_typed_text_is_never_run(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await in_writing(page)
        for payload in PAYLOADS:
            await say(page, payload)
        await turns_are_over(page, len(PAYLOADS))
        assert await page.locator(".you").all_inner_texts() == PAYLOADS
        assert await unharmed(page)


async def test_what_services_say_is_never_run(console: Console, gateway: GatewayProcess, tmp_path: Path) -> None:
    """Transcripts, intents, plans, output, results, links, pictures and errors, in every view."""
    lines = [line for number, payload in enumerate(PAYLOADS) for line in hostile_turn(number, payload)]
    async with console(gateway) as page:
        await open_recording(page, session_file(tmp_path / "attack.jsonl", lines))
        await page.press("canvas.track", "End")
        await see(page, ".recordings .fault")
        assert await unharmed(page)
        await expect(page.locator(".results a"), "a link to something else than a page").to_have_count(0)
        await page.click("text=See it in Turns and Wire")
        await see(page, f".turn-row >> nth={len(PAYLOADS) - 1}")
        for row in await page.locator(".turn-row").all():
            await row.click()
            assert await unharmed(page)
        await go(page, "wire")
        await see(page, ".vrow >> nth=12")
        for row in (await page.locator(".vrow").all())[-12:]:
            await row.click()
            assert await unharmed(page)


def hostile_turn(number: int, payload: str) -> list[dict[str, Any]]:
    channel, turn, at = 2 * number + 1, f"t{number}{payload}", number * 100

    def event(kind: str, **fields: Any) -> dict[str, Any]:
        return {
            "at_ms": at,
            "direction": "in",
            "message": {"type": kind, "channel": channel, "turn_id": turn, **fields},
        }

    result = {"results": [{"title": payload, "url": payload, "snippet": payload}]}
    picture = {"image_base64": payload, "media_type": payload}
    step = {
        "id": payload,
        "executor": payload,
        "action": payload,
        "parameters": {payload: payload},
        "depends_on": [],
        "description": payload,
    }
    question = {"confirmation_id": payload, "reason": payload, "risk": payload, "expires_at": payload}
    return [
        event("stt.speech_started", at_ms=0),
        event("stt.partial", text=payload, stable_chars=3),
        event("stt.final", text=payload, confidence=1, start_ms=0, end_ms=1, words=[]),
        event("turn.intent", intent=payload, confidence=0.5, entities={payload: payload}, alternatives=[]),
        event("turn.plan", plan_id=payload, goal=payload, steps=[step]),
        event("turn.safety", verdict=payload, risk=payload, reasons=[payload], actions=[]),
        event("task.started", task_id=payload, step_id=payload),
        event("task.progress", step_id=payload, message=payload, stream="stdout", data=payload),
        event("task.confirmation_required", step_id="q", **question),
        event("task.result", step_id=payload, status=payload, message=payload, result=result),
        event("task.result", step_id="picture", status="ok", result=picture),
        event("task.result", step_id="other", status="ok", result={payload: payload}),
        event("turn.reply", text=payload),
        event("turn.interrupted", generation=1, heard_ms=1, heard_text=payload),
        event("error", code=payload, message=payload, retryable=False),
        event(payload),
    ]


async def test_a_damaged_file_is_told_and_harms_no_view(
    console: Console, gateway: GatewayProcess, tmp_path: Path
) -> None:
    """Each message in turn has lost all that it says. Errors of the page fail the test at its end."""
    whole = hostile_turn(0, "words")
    async with console(gateway) as page:
        await go(page, "recordings")
        for at, line in enumerate(whole):
            bare = {"type": line["message"]["type"], "channel": 1, "turn_id": "t0words"}
            lines = [*whole[:at], line | {"message": bare}, *whole[at + 1 :]]
            await forget_toasts(page)
            await page.set_input_files("#recording", session_file(tmp_path / f"{at}.jsonl", lines))
            if bare["type"] in NEEDED:
                await see(page, f".toast >> text=Line {at + 2} is damaged")
                continue
            await see(page, f".recordings p >> text={at}.jsonl")
            await page.press("canvas.track", "End")
        await page.click("text=See it in Turns and Wire")
        await see(page, ".turn-row")
        for text in ("{", "[]", '{"type": "jarvis.recording", "version": 1}\n{"at_ms": 1}', "\0\1"):
            (tmp_path / "no.jsonl").write_text(text)
            await go(page, "recordings")
            await page.set_input_files("#recording", tmp_path / "no.jsonl")
            await see(page, ".toast[data-tone=bad]")


async def test_a_turn_that_cannot_be_drawn_hides_no_later_one(
    console: Console, gateway: GatewayProcess, tmp_path: Path
) -> None:
    lines = hostile_turn(0, "words") + hostile_turn(1, "later")
    next(line for line in lines if line["message"]["type"] == "task.progress")["message"]["percent"] = "much"
    async with console(gateway, pardon=("non-finite",)) as page:
        await open_recording(page, session_file(tmp_path / "odd.jsonl", lines))
        await page.press("canvas.track", "End")
        await see(page, ".recordings .turn .agent >> text=later")


async def unharmed(page: Page) -> bool:
    strange = (
        "main :is(script, iframe, object, embed, [onerror], [onload], [onfocus], img[src='x'], a[href^='javascript'])"
    )
    return await page.evaluate("window.hacked === undefined") and await page.locator(strange).count() == 0


def test_no_markup_is_made_of_text() -> None:
    scripts = [*(STATIC / "console").glob("*.js"), STATIC / "jarvis-client.js"]
    banned = r"(inner|outer)HTML\s*\+?=(?!=)|setHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"  # reading is no danger
    found = [f"{file.name}: {made[0]}" for file in scripts for made in re.finditer(banned, file.read_text())]
    assert found == []
