"""Turns, Wire and Lab: what a turn was, message by message."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from playwright.async_api import expect

from tests.support.browser import (
    copied,
    go,
    in_writing,
    open_recording,
    recording,
    say,
    see,
    session_file,
    turns_are_over,
    until,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.browser import Console
    from tests.support.gateway import GatewayProcess


async def test_turns_show_where_the_time_went(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await say(page, "list files")
        await see(page, ".turn[data-status=ok]")
        await page.keyboard.press("Escape")  # out of the text
        await page.keyboard.press("2")
        for stage in ("Intent", "Plan", "Safety", "os.ls", "Reply words", "First byte", "First sound", "Speaking"):
            await see(page, f".waterfall.wide .name >> text={stage}")
        await see(page, ".chips >> text=first audio")
        await see(page, ".compare >> text=p95")
        await see(page, ".one-turn .output")
        await page.click(".facts summary >> text=Plan")
        await see(page, ".facts pre >> text=executor")
        await expect(page.locator(".turn-row")).to_have_count(1)


async def test_what_the_browser_service_sees_is_shown(console: Console, gateway: GatewayProcess) -> None:
    """Tasks of their own are turns too; a screenshot is shown as a picture."""
    navigate = {"executor": "browser", "action": "navigate", "parameters": {"url": f"{gateway.base}/health"}}
    screenshot = {"executor": "browser", "action": "screenshot", "parameters": {}}
    async with console(gateway) as page:
        await go(page, "wire")
        await page.click("text=Send a message by hand")
        for number, params in enumerate((navigate, screenshot), start=1):
            message = {"type": "channel.open", "kind": "execute", "params": params}
            await page.fill(".composer textarea", json.dumps(message))
            await page.press(".composer textarea", "Control+Enter")
            await see(page, f".vrow:has-text('task.result') >> nth={number - 1}")
        await go(page, "turns")
        await see(page, ".turn-row >> text=browser screenshot")
        await until(page, "document.querySelector('.one-turn img.screenshot')?.naturalWidth > 300")
        await see(page, ".waterfall.wide .name >> text=browser.screenshot")
        await expect(page.locator(".turn-row")).to_have_count(2)
        await go(page, "talk")
        at_end = "(box => box.scrollHeight - box.scrollTop - box.clientHeight < 2)(document.querySelector('.history'))"
        await until(page, "document.querySelector('.talk img.screenshot')?.complete")
        assert await page.evaluate(at_end), "the picture has scrolled the newest words out of sight"
        box = await page.locator(".talk img.screenshot").bounding_box()
        assert box is not None
        assert abs(box["width"] / box["height"] - 1.6) < 0.05


async def test_any_message_is_sent_by_hand_and_seen_on_the_wire(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await go(page, "wire")
        await page.click("text=Send a message by hand")
        await page.select_option(".composer select", label="call ")
        await page.click(".composer button.primary")
        await see(page, ".vrow .type >> text=result")
        assert await page.locator(".composer option").count() > 15, "one of each command"
        await page.fill(".composer textarea", '{"type": "no.such.type"}')
        await page.press(".composer textarea", "Control+Enter")
        await see(page, ".vrow[data-bad=true] >> text=error")
        await page.fill(".composer textarea", "{")
        await page.press(".composer textarea", "Control+Enter")
        await see(page, ".composer >> text=This is no JSON")
        await page.fill("input[type=search]", "type:err UNKNOWN -nothing /_TYP./")
        await until(page, "document.querySelectorAll('.vrow').length === 1")
        await page.click(".vrow")
        assert json.loads(await copied(page, "text=Copy"))["code"] == "UNKNOWN_TYPE"
        assert await page.evaluate("location.hash.startsWith('#wire/')")
        await page.fill("input[type=search]", "type:call")
        await page.click(".vrow >> text=agent.intent")
        assert (await copied(page, "text=/^Python$/")).startswith('answer = await client.call("agent.intent", ')
        await page.fill("input[type=search]", "nothing has these words")
        await page.click("text=Show everything")
        await see(page, ".vrow .type >> text=session.ready")
        await see(page, ".vrow .type >> text=socket.handshake")
        await expect(page.locator("input[type=search]")).to_have_value("")
        await page.uncheck("label:has-text('housekeeping') input")
        await page.fill("input[type=search]", "type:ack way:out")  # asked for by name, it is shown
        await see(page, ".vrow .type >> text=ack")


async def test_turns_stages_messages_and_operations_lead_to_each_other(
    console: Console, gateway: GatewayProcess
) -> None:
    async with console(gateway) as page:
        await in_writing(page)
        for number, words in enumerate(("what time is it", "list files"), start=1):
            await say(page, words)
            await turns_are_over(page, number)
        await go(page, "wire")
        await page.click(".band >> text=what time is it")
        await until(page, "document.querySelector('.vrow .type')?.textContent === 'channel.open'")
        assert "list files" not in await page.inner_text(".virtual"), "the other turn's messages are left out"
        await page.click("text=All of the time")
        await see(page, ".vrow .type >> text=socket.handshake")
        await page.click(".vrow >> text=turn.plan >> nth=-1")
        await page.click("text=Its turn")
        await see(page, ".turn-row[aria-selected=true] >> text=list files")
        assert await page.evaluate("location.hash") == "#turns/2"
        await page.focus(".waterfall.wide .row:has-text('Safety')")
        await page.keyboard.press("Enter")
        await see(page, ".wire-detail h2 >> text=turn.safety")
        await page.evaluate("location.hash = '#rest/memory.store'")
        await see(page, ".detail .path:has-text('/api/v1/memory/store')")
        await page.click(".operation >> text=memory.search")
        assert await page.evaluate("location.hash") == "#rest/memory.search"


async def test_the_lab_shows_why_a_turn_ended_and_asks_it_another_way(
    console: Console, gateway: GatewayProcess
) -> None:
    async with console(gateway, token=gateway.own_token(f"lab-{uuid.uuid4().hex[:6]}")) as page:
        await in_writing(page)
        await say(page, "what time is it")
        await turns_are_over(page, 1)
        await page.set_input_files("#wav", recording("what-time-is-it"))
        await turns_are_over(page, 2)
        await go(page, "turns")
        await page.click(".turn-row >> nth=0")
        await page.click("text=In the Lab")
        for decision in ("speech begins", "words so far: What", "speech has stopped", "the turn is over"):
            await see(page, f"table[aria-label='Decisions in turn A'] >> text={decision}")
        drawn = "(c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(Boolean))"
        assert await page.evaluate(f"{drawn}(document.querySelector('.spectrum'))")
        await until(page, "document.querySelector('.lab option[value=en-GB]')")
        languages = await page.locator(".lab label:has-text('Language') option").all_inner_texts()
        assert all(each.startswith("en-") for each in languages), "those that the recogniser knows"
        await page.select_option(".lab label:has-text('End of a turn') select", "push")
        await page.click("#again")
        await see(page, "table[aria-label='Run again'] td >> text=same")
        await see(page, "table[aria-label=Difference] tr:has-text('Words') >> text=same")
        # By hand
        await expect(page.locator("table[aria-label='Decisions in turn B'] >> text=probably")).to_have_count(0)
        await page.fill("#network-delay", "300")
        await see(page, "#network")
        await page.select_option("[aria-label='Turn A']", label="what time is it")
        await page.click("#again")
        await see(page, "table[aria-label='Run again'] td:first-child >> text=what time is it")
        took = "document.querySelector('[aria-label=\"Run again\"] tbody td:last-child').textContent"
        assert await page.evaluate(f"parseFloat({took}) >= 600 || {took}.endsWith(' s')"), await page.evaluate(took)
        await page.click("#measure")
        await see(page, ".lab table[aria-label=Spoken] th >> text=Spoken, 2")
        await see(page, ".lab table[aria-label=Typed] td >> text=To the answer")


async def test_a_recorded_turn_without_its_sound_is_run_again_and_over(
    console: Console, gateway: GatewayProcess, tmp_path: Path
) -> None:
    heard: list[dict[str, Any]] = [
        {"type": "channel.open", "channel": 1, "kind": "turn", "params": {}},
        {"type": "stt.speech_started", "channel": 1, "at_ms": 100},
        {"type": "stt.partial", "channel": 1, "text": "what", "stable_chars": 4},
        {"type": "turn.intent", "channel": 1, "turn_id": "a", "intent": "get_time", "confidence": 1, "entities": {}},
        {"type": "turn.done", "channel": 1, "turn_id": "a", "status": "ok"},
    ]
    lines = [
        {"at_ms": 100 * at, "direction": "out" if at == 0 else "in", "message": each} for at, each in enumerate(heard)
    ]
    async with console(gateway) as page:
        await open_recording(page, session_file(tmp_path / "silent.jsonl", lines))
        await page.click("text=See it in Turns and Wire")
        await go(page, "lab")
        await page.click("#again")
        await see(page, "table[aria-label='Run again'] td >> text=nothing heard")
        await expect(page.locator("#again")).to_be_enabled()


async def test_a_link_to_a_message_far_down_brings_it_into_view(console: Console, gateway: GatewayProcess) -> None:
    """Also behind a reload, when the list has no rows yet."""
    async with console(gateway, size={"width": 1280, "height": 480}) as page:
        await in_writing(page)
        for number in (1, 2):
            await say(page, "list files")
            await turns_are_over(page, number)
        await go(page, "wire")
        await see(page, ".vrow >> nth=1")
        await page.press(".virtual", "End")
        shown = await page.inner_text(".wire-detail .num")
        await page.reload()
        await expect(page.locator(".wire-detail .num")).to_have_text(shown)
        await expect(page.locator(".vrow[aria-selected=true]")).to_be_in_viewport()


WATCH_FOR_BLANKS = """
window.blanks = 0;
new MutationObserver(() => { if (document.querySelector('.virtual').hidden || !document.querySelector('.vrow')) window.blanks += 1; })
  .observe(document.querySelector('.wire-list'), { attributes: true, childList: true, subtree: true });
"""


async def test_tens_of_thousands_of_rows(console: Console, gateway: GatewayProcess, tmp_path: Path) -> None:
    kinds = ("credit.x", "pong")
    lines = [{"at_ms": n, "direction": "in", "message": {"type": kinds[n % 2], "t": n}} for n in range(40_000)]
    async with console(gateway) as page:
        await open_recording(page, session_file(tmp_path / "long.jsonl", lines))
        await page.click("text=See it in Turns and Wire")
        await go(page, "wire")
        await see(page, "text=20,000 of 40,000")
        await page.check("text=housekeeping")
        await see(page, "text=40,000 of 40,000")
        await page.press(".virtual", "Home")
        await see(page, ".vrow[aria-selected=true] >> text=0:00.0")
        await page.press(".virtual", "End")
        await see(page, ".vrow[aria-selected=true] >> text=0:39.9")
        assert await page.locator(".vrow").count() < 80
        await page.evaluate("document.querySelectorAll('.vrow').forEach((row) => { row.wasThere = true; })")
        await page.press(".virtual", "Home")
        await see(page, ".vrow[aria-selected=true] >> text=0:00.0")
        assert await page.evaluate("[...document.querySelectorAll('.vrow')].every((row) => row.wasThere)")
        await page.evaluate(WATCH_FOR_BLANKS)
        await page.fill("input[type=search]", "type:pong 3999")
        await see(page, "text=9 of 40,000")
        assert await page.evaluate("window.blanks") == 0, "the earlier rows stay until the filter has seen all"


async def test_a_pause_stands_still_and_can_be_filtered(console: Console, gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await go(page, "wire")
        await see(page, ".vrow .type >> text=session.ready")
        await page.click("#pause")
        await page.click("text=Send a message by hand")
        await page.press(".composer textarea", "Control+Enter")
        await see(page, ".composer >> text=Sent.")
        await expect(page.locator(".vrow >> text=agent.intent")).to_have_count(0)
        await page.fill("input[type=search]", "type:session")
        await see(page, "text=/^1 of/")
        await page.fill("input[type=search]", "agent.intent")
        await see(page, "text=Nothing is left to show")
        await page.click("#pause")
        await see(page, ".vrow >> text=agent.intent")


async def test_what_was_cleared_stays_so(console: Console, gateway: GatewayProcess) -> None:
    """Also behind a reload, which brings all rows back; and what follows is shown."""
    async with console(gateway) as page:
        await go(page, "wire")
        await page.click(".vrow .type >> text=session.ready")  # the address is now a link to it
        await see(page, ".wire-detail")
        await page.click("#clear")
        await see(page, "text=Nothing is left to show")
        await page.reload()
        await see(page, ".vrow .type >> text=session.resumed")
        await expect(page.locator(".vrow .type >> text=session.ready")).to_have_count(0)
        await page.fill("input[type=search]", "no such row")
        await page.click("text=Show everything")
        await see(page, ".vrow .type >> text=session.ready")


async def test_a_turn_is_never_shown_with_the_work_of_another_session(
    console: Console, gateway: GatewayProcess, tmp_path: Path
) -> None:
    """Both are the first of their sessions."""
    recorded = {"type": "channel.open", "channel": 1, "kind": "turn", "params": {"text": "recorded words"}}
    file = session_file(tmp_path / "other.jsonl", [{"at_ms": 0, "direction": "out", "message": recorded}])
    async with console(gateway) as page:
        await in_writing(page)
        await say(page, "what time is it")
        await turns_are_over(page, 1)
        await open_recording(page, file)
        await page.click("text=See it in Turns and Wire")
        await see(page, ".one-turn .you >> text=recorded words")
        await page.select_option("[aria-label=Turns] select", "0")
        await expect(page.locator(".one-turn .you")).to_have_text("what time is it")
