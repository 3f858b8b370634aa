"""Each view of the console in a real browser, and all of them checked by axe, in both themes and on a phone."""

from __future__ import annotations

import asyncio
import json
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.async_playwright import Axe

from server.errors import ERRORS
from streaming.protocol.messages import TurnParams
from tests.support.browser import (
    PHONE,
    VIEWS,
    console,
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
from tests.support.gateway import client, listen

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.gen_test(timeout=120)
STATIC = Path(__file__).parent.parent.parent / "static"
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
SERVICES = ("stt", "tts", "intent", "planner", "safety", "browser", "os", "search", "memory")


async def test_turns_show_where_the_time_went(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await say(page, "list files")
        await see(page, ".turn[data-status=ok]")
        await page.keyboard.press("Escape")  # out of the text
        await page.keyboard.press("2")
        for stage in ("Intent", "Plan", "Safety", "os.ls", "Reply words", "First byte", "First sound", "Speaking"):
            await see(page, f".waterfall.wide .name >> text={stage}")
        await see(page, ".chips >> text=first_audio")
        await see(page, ".compare >> text=p95")
        await see(page, ".one-turn .output")
        await page.click(".facts summary >> text=Plan")
        await see(page, ".facts pre >> text=executor")
        assert await page.locator(".turn-row").count() == 1


async def test_what_the_browser_service_sees_is_shown(gateway: GatewayProcess) -> None:
    """Tasks of their own are turns too; a screenshot is shown as a picture."""
    navigate = {"executor": "browser", "action": "navigate", "parameters": {"url": f"{gateway.base}/docs"}}
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
        assert await page.locator(".turn-row").count() == 2
        await go(page, "talk")
        at_end = "(box => box.scrollHeight - box.scrollTop - box.clientHeight < 2)(document.querySelector('.history'))"
        await until(page, "document.querySelector('.talk img.screenshot')?.complete")
        assert await page.evaluate(at_end), "the picture has scrolled the newest words out of sight"
        box = await page.locator(".talk img.screenshot").bounding_box()
        assert box is not None
        assert abs(box["width"] / box["height"] - 1.6) < 0.05


async def test_any_message_is_sent_by_hand_and_seen_on_the_wire(gateway: GatewayProcess) -> None:
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
        await page.click("text=Copy")
        await see(page, ".toast >> text=Copied")
        copied = json.loads(await page.evaluate("navigator.clipboard.readText()"))
        assert copied["code"] == "UNKNOWN_TYPE"
        assert await page.evaluate("location.hash.startsWith('#wire/')")
        await page.fill("input[type=search]", "type:call")
        await page.click(".vrow >> text=agent.intent")
        await page.click("text=/^Python$/")
        python = 'answer = await client.call("agent.intent", '
        assert (await page.evaluate("navigator.clipboard.readText()")).startswith(python)
        await page.fill("input[type=search]", "nothing has these words")
        await page.click("text=Show everything")
        await see(page, ".vrow .type >> text=session.ready")
        await see(page, ".vrow .type >> text=socket.handshake")
        assert await page.input_value("input[type=search]") == ""
        await page.uncheck("label:has-text('housekeeping') input")
        await page.fill("input[type=search]", "type:ack way:out")  # asked for by name, it is shown
        await see(page, ".vrow .type >> text=ack")


async def test_turns_stages_messages_and_operations_lead_to_each_other(gateway: GatewayProcess) -> None:
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


async def test_the_lab_shows_why_a_turn_ended_and_asks_it_another_way(gateway: GatewayProcess) -> None:
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
        await page.select_option(".lab label:has-text('End of a turn') select", "push")
        await page.click("#again")
        await see(page, "table[aria-label='Run again'] td >> text=same")
        await see(page, "table[aria-label=Difference] tr:has-text('Words') >> text=same")
        assert await page.locator("table[aria-label='Decisions in turn B'] >> text=probably").count() == 0, "by hand"
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


async def test_tens_of_thousands_of_rows(gateway: GatewayProcess, tmp_path: Path) -> None:
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


async def test_an_operation_is_tried(gateway: GatewayProcess) -> None:
    async with console(gateway, pardon=("422",)) as page:
        await go(page, "rest")
        await see(page, ".detail .path:has-text('/api/v1/agent/intent')")
        await page.click(".detail button.primary")
        await see(page, "#answer-status >> text=200")
        assert json.loads(await page.inner_text("#answer-body"))["intent"] == "get_time"
        await see(page, ".limit >> text=requests left")
        await page.click(".detail .segments >> text=JSON")
        await page.fill("[aria-label='Body as JSON']", '{"text": ""}')
        await page.click(".detail button.primary")
        await see(page, "#answer-status >> text=422")
        await page.click("text=Copy as curl")
        await see(page, ".toast >> text=Copied")
        copied = await page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith(f"curl -sS -X POST '{gateway.base}/api/v1/agent/intent' -H 'Authorization: Bearer ")


async def test_what_is_copied_as_curl_runs_in_a_shell(gateway: GatewayProcess, tmp_path: Path) -> None:
    file = tmp_path / """it's; "a", $HOME `id`.wav"""
    shutil.copy(recording("what-time-is-it"), file)
    async with console(gateway) as page:
        await go(page, "rest")
        await page.fill(".detail textarea", """@say 'hello' "$HOME" `id` \\""")
        assert "intent" in await run_copied(page, tmp_path)
        await page.click(".operation >> text=voice.stt")
        await page.set_input_files(".detail input[type=file]", file)
        await page.fill("label:has-text('language') input", "en-US")
        assert (await run_copied(page, tmp_path))["text"] == "What time is it?"


async def run_copied(page: Page, folder: Path) -> Any:
    await page.click("text=Copy as curl")
    await page.wait_for_selector(".toast >> text=Copied")
    command = await page.evaluate("navigator.clipboard.readText()")
    shell = await asyncio.create_subprocess_exec("sh", "-c", command, cwd=folder, stdout=asyncio.subprocess.PIPE)
    answer, _ = await shell.communicate()
    return json.loads(answer)


async def test_operations_with_sound_files_and_events(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await go(page, "rest")
        await page.click(".operation >> text=voice.tts")
        await page.click(".detail button.primary")
        await see(page, "audio[controls]")
        assert "200" in await page.inner_text(".detail")
        await page.click(".operation >> text=/^executor.os.command$/")
        await page.select_option("[aria-label='Answer as']", "text/event-stream")
        await page.click(".detail button.primary")
        await see(page, "#answer-body >> text=event: result")
        await page.click(".operation >> text=voice.stt")
        await page.set_input_files(".detail input[type=file]", recording("what-time-is-it"))
        await page.click(".detail button.primary")
        await see(page, "#answer-body >> text=what time is it")


async def test_the_system_is_shown_as_it_is(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await say(page, "what time is it")
        await see(page, ".turn[data-status=ok]")
        await go(page, "system")
        for name in SERVICES:
            await see(page, f"[aria-label=Services] tr:has-text('{name}') .badge >> text=circuit closed")
        await see(page, "table[aria-label='Live sessions'] >> text=this one")
        await see(page, "table[aria-label=Calls] >> text=Recognize")
        await see(page, "table[aria-label='Turn stages'] >> text=first_audio")
        assert await page.locator("[aria-label=Services] .badge >> text=circuit closed").count() == len(SERVICES)
        await see(page, "[aria-label=Services] tr:has-text('stt') [aria-label='stt, the last ten minutes: closed']")
        assert not await page.is_visible("#services")
        await go(page, "talk")
        down = {"status": "down", "circuit": "open", "reason": "it left"}
        health = json.dumps({"status": "ready", "version": "1", "services": {"tts": down}})
        await page.route("**/health", lambda route: route.fulfill(body=health))
        await page.click("#services >> text=tts down")
        await see(page, "[aria-label=Services] >> text=it left")
        await see(page, "[aria-label='tts, the last ten minutes: closed, then down']")


async def test_another_session_is_observed(gateway: GatewayProcess) -> None:
    kitchen = f"kitchen-{uuid.uuid4().hex[:6]}"
    async with client(gateway, kitchen) as other, console(gateway) as page:
        await go(page, "system")
        await page.click(f"table[aria-label='Live sessions'] tr:has-text('{kitchen}') >> text=Observe")
        await see(page, f".channels caption >> text=Observed: {kitchen}")
        assert not await page.is_visible("#cut"), "it would be this page's own socket"
        assert not await page.is_visible(".composer")
        await listen(other.open(TurnParams(text="what time is it")))
        await see(page, ".vrow .type >> text=turn.reply")
        await go(page, "turns")
        await see(page, ".turn-row >> text=what time is it")
        await see(page, ".one-turn .agent >> text=/^It is \\d/")
        await go(page, "recordings")
        await page.click("text=Scrub the observed session")
        await page.press("canvas.track", "End")
        await see(page, ".recordings .agent >> text=/^It is \\d/")
        assert float((await page.inner_text(".clock")).split("0:")[-1]) > 0
        await page.click("[aria-label='Stop observing']")
        await until(page, "document.querySelectorAll('.source:not([hidden])').length === 0")
        await go(page, "wire")
        await see(page, ".channels caption >> text=no open channels")


async def test_a_session_is_saved_opened_and_scrubbed(gateway: GatewayProcess, tmp_path: Path) -> None:
    file = tmp_path / "session.jsonl"
    async with console(gateway) as page:
        await page.set_input_files("#wav", recording("what-time-is-it"))
        await see(page, ".turn[data-status=ok]")
        await say(page, "what time is it")
        await turns_are_over(page, 2)
        await go(page, "recordings")
        async with page.expect_download() as download:
            await page.click("text=Save this session")
        await (await download.value).save_as(file)
        await open_recording(page, file)
        await page.press("canvas.track", "Home")
        assert await page.locator(".recordings .turn").count() == 0
        await page.press("canvas.track", "End")
        await turns_are_over(page, 2, ".recordings")
        assert "What time is it?" in await page.inner_text(".recordings .you >> nth=0")
        await page.press("canvas.track", "Home")
        await page.click("[aria-label=Play]")
        await see(page, ".recordings .you >> text=what time is it")
        assert float((await page.inner_text(".clock")).split("0:")[-1]) > 4
        await page.set_input_files("#recording", STATIC / "index.html")
        await see(page, ".toast >> text=no recording")
    text = file.read_text()
    assert gateway.token not in text
    assert "resume_token" not in text


# --- looks ---


async def test_everything_is_reached_by_keyboard(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await in_writing(page)
        for number, words in enumerate(("what time is it", "list files"), start=1):
            await page.keyboard.press("Escape")
            await page.evaluate("document.activeElement.blur()")
            await page.keyboard.press("/")
            await page.keyboard.type(f"{words}\n")
            await turns_are_over(page, number)
        await page.keyboard.press("Escape")
        for key, view in enumerate(VIEWS, start=1):
            await page.keyboard.press(str(key))
            await see(page, f"#nav [data-view={view}][aria-current=page]")
        await page.keyboard.press("2")
        await see(page, ".turn-row >> nth=1")
        await tab_to(page, "Turns, newest first")
        await page.keyboard.press("ArrowDown")
        await see(page, ".turn-row[aria-selected=true] >> text=what time is it")
        await page.keyboard.press("3")
        await see(page, ".vrow >> nth=1")
        await tab_to(page, "Messages, newest last")
        await page.keyboard.press("Home")
        await page.keyboard.press("ArrowDown")  # behind the handshake
        await see(page, ".wire-detail >> text=session.ready")
        await page.keyboard.press("Escape")
        assert not await page.is_visible(".wire-detail")
        await page.keyboard.press("?")
        await see(page, "dialog[open]")
        await page.keyboard.press("Enter")
        assert not await page.is_visible("dialog")


async def tab_to(page: Page, label: str) -> None:
    """Its focus can be seen, as that of everything on the way."""
    for _ in range(40):
        await page.keyboard.press("Tab")
        found = await page.evaluate(
            "[document.activeElement.getAttribute('aria-label'), getComputedStyle(document.activeElement).outlineStyle]"
        )
        assert found[1] != "none", found
        if found[0] == label:
            return
    raise AssertionError(f"{label} is not reached")


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_axe_finds_nothing(gateway: GatewayProcess, theme: str) -> None:
    async with console(gateway, theme=theme) as page:
        assert await violations(page) == []
        await say(page, "list files")
        await say(page, "forget my name")
        await see(page, ".ask")
        for view in VIEWS:
            await go(page, view)
            await fill_view(page, view)
            assert await violations(page) == [], view


async def fill_view(page: Page, view: str) -> None:
    if view == "recordings":
        await page.click("text=Scrub this session")
    elif view == "wire":
        await page.click(".vrow >> nth=2")
        await page.click("text=Send a message by hand")
    elif view == "rest":
        await see(page, ".detail .path")
    elif view == "system":
        await see(page, ".tile")


async def test_axe_finds_nothing_on_a_phone_or_at_the_sign_in(gateway: GatewayProcess) -> None:
    async with console(gateway, size=PHONE, theme="light", token=gateway.own_token()) as page:
        await page.click("[aria-label='Timing, audio and voice']")
        await page.click("summary >> text=Voice")
        await in_writing(page)
        assert await violations(page) == []
        await page.click("[aria-label='Timing, audio and voice']")
        await say(page, "list files")
        await see(page, ".turn[data-status=ok]")
        for view in VIEWS:
            await go(page, view)
            await fill_view(page, view)
            assert await violations(page) == [], view
            assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], view
        await page.click("[aria-label='Sign out']")
        await see(page, "#sign-in")
        assert await violations(page) == []


async def violations(page: Page) -> list[str]:
    found = (await Axe().run(page, options=WCAG)).response["violations"]
    return [
        f"{each['id']}: {node['html'][:160]} {node['failureSummary'][:200]}" for each in found for node in each["nodes"]
    ]


async def test_the_theme_is_kept(gateway: GatewayProcess) -> None:
    async with console(gateway, theme="light") as page:
        ground = "getComputedStyle(document.body).backgroundColor"
        light = await page.evaluate(ground)
        await page.click("#theme")
        assert await page.evaluate(ground) != light
        await page.reload()
        await see(page, "#status[data-state=online]")
        assert await page.evaluate(ground) != light


def test_the_console_is_small() -> None:
    """With the client, its codec and the worklets."""
    client = [STATIC / "jarvis-client.js", STATIC / "jarvis" / "codec.js", *(STATIC / "worklets").iterdir()]
    files = [STATIC / "index.html", *(STATIC / "console").iterdir(), *client]
    assert sum(file.stat().st_size for file in files) <= 280 * 1024


def test_no_markup_is_made_of_text() -> None:
    scripts = [*(STATIC / "console").glob("*.js"), STATIC / "jarvis-client.js"]
    banned = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function")
    found = [f"{file.name}: {word}" for file in scripts for word in banned if word in file.read_text()]
    assert found == []


async def test_the_reference_complains_of_nothing(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        told: list[str] = []
        page.on("console", lambda message: told.append(message.text))
        await page.goto(f"{gateway.base}/redoc")
        await see(page, "#redoc h1")
        await see(page, "#redoc h2 >> text=Plan the steps")
        assert told == []


async def test_the_type_of_a_problem_leads_to_what_it_means(gateway: GatewayProcess) -> None:
    async with console(gateway) as page:
        await page.goto(f"{gateway.base}/docs#RATE_LIMITED")
        await see(page, "#RATE_LIMITED >> text=429")
        await until(page, "document.getElementById('RATE_LIMITED').getBoundingClientRect().top < innerHeight")
        shown = await page.evaluate("[...document.querySelectorAll('.errors dt')].map(({ id }) => id)")
        assert shown == list(ERRORS)
