"""Executors over HTTP: safety, confirmation, events, keys, and clients that leave."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from server.net.http import exchange
from server.shared.confirmations import CONFIRMATION_S
from streaming.ports import ServiceError, TaskProgress, TaskResult, Verdict
from tests.support.rest import Rest, document, problem, running

if TYPE_CHECKING:
    from pathlib import Path

    from tornado.httpclient import HTTPResponse

    from streaming.ports import TaskEvent

BROWSER = "/api/v1/executor/browser/action"
COMMAND = "/api/v1/executor/os/command"
SEARCH = "/api/v1/executor/search"
OPERATOR = ("operator",)
EVENTS = {"Accept": "text/event-stream"}
PROGRESS: list[TaskEvent] = [
    TaskProgress("opening", 10.0),
    TaskProgress(stream="stdout", data="line\nline"),
    TaskResult("ok", {"title": "Example"}),
]


def events(response: HTTPResponse) -> list[tuple[str, Any]]:
    """Names and data of the events of an answer."""
    assert response.headers["Content-Type"] == "text/event-stream"
    told = []
    for block in response.body.decode().split("\n\n"):
        if block and not block.startswith(":"):
            name, data = block.split("\n")
            told.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return told


async def confirmation(gw: Rest) -> str:
    """Ask for something that needs approval."""
    gw.script.verdict = Verdict("confirm", "high", ("it deletes things",))
    asked = await gw.fetch("POST", COMMAND, {"command": "rm", "args": ["x"]}, roles=OPERATOR)
    assert problem(asked) == (409, "CONFIRMATION_REQUIRED")
    return str(document(asked)["confirmation_id"])


# --- the three ---


async def test_a_browser_action(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        asked = {
            "action": "navigate",
            "parameters": {"url": "https://example.com"},
            "session_id": "s",
            "timeout_ms": 900,
        }
        answer = await gw.fetch("POST", BROWSER, asked, roles=OPERATOR)
        assert answer.code == 200
        told = document(answer)
        assert told == {"task_id": told["task_id"], "status": "ok", "result": {"did": "it"}, "message": None}
        ((name, action, parameters, context),) = gw.script.executed
    assert (name, action, parameters) == ("browser", "navigate", {"url": "https://example.com"})
    assert (context.session_id, context.timeout_ms, context.user_id) == ("s", 900, "ada")


async def test_a_command_that_fails_is_still_an_answer(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        result = {"exit_code": 2.0, "stdout": "out", "stderr": "err", "duration_ms": 12.0}
        gw.script.task_events = [TaskResult("failed", result, "exit code 2")]
        answer = await gw.fetch("POST", COMMAND, {"command": "ls", "args": ["-l", "/x"]}, roles=OPERATOR)
        told = document(answer)
        assert gw.script.executed[0][1:3] == ("ls", {"args": ["-l", "/x"]})
    assert answer.code == 200
    assert {key: told[key] for key in ("status", "exit_code", "stdout", "stderr", "duration_ms", "message")} == {
        "status": "failed", "exit_code": 2, "stdout": "out", "stderr": "err", "duration_ms": 12, "message": "exit code 2",
    }  # fmt: skip
    assert told["truncated"] is False


async def test_a_command_whose_output_was_cut_says_so(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        result = {"exit_code": -9.0, "stdout": "out", "stderr": "", "duration_ms": 12.0, "truncated": True}
        gw.script.task_events = [TaskResult("ok", result, "its output was cut")]
        told = document(await gw.fetch("POST", COMMAND, {"command": "cat", "args": ["long"]}, roles=OPERATOR))
    assert (told["status"], told["exit_code"], told["truncated"]) == ("ok", -9, True)
    assert told["message"] == "its output was cut"


async def test_a_search(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        found = {"title": "T", "url": "https://t.example", "snippet": "s", "score": 0.5, "extra": "kept out"}
        gw.script.task_events = [TaskResult("ok", {"provider": "local", "results": [found]})]
        answer = await gw.fetch("POST", SEARCH, {"query": "tea"})
        del found["extra"]
        assert document(answer) == {"query": "tea", "provider": "local", "results": [found], "left_out": 0}
        gw.script.task_events = [TaskResult("ok", {"provider": "local", "results": [], "left_out": 2.0})]
        assert document(await gw.fetch("POST", SEARCH, {"query": "tea"}))["left_out"] == 2
        assert gw.script.executed[0][1:3] == ("search", {"query": "tea", "max_results": 10})
        gw.script.task_events = [TaskResult("failed", {}, "the index is gone")]
        assert problem(await gw.fetch("POST", SEARCH, {"query": "tea"})) == (503, "UNAVAILABLE")


@pytest.mark.parametrize(("path", "field"), [("browser/actions", "actions"), ("os/commands", "commands")])
async def test_lists(tmp_path: Path, path: str, field: str) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.fetch("GET", f"/api/v1/executor/{path}", roles=OPERATOR)
        assert document(answer) == {field: [{"name": "do", "description": "does it", "parameters": {"type": "object"}}]}


@pytest.mark.parametrize("path", [BROWSER, COMMAND])
async def test_users_may_not_touch_browser_and_system(tmp_path: Path, path: str) -> None:
    async with running(tmp_path) as gw:
        body = {"action": "x"} if path == BROWSER else {"command": "x"}
        assert problem(await gw.fetch("POST", path, body)) == (403, "FORBIDDEN")
        assert gw.script.contexts == []


# --- safety ---


async def test_what_safety_denies_does_not_run(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gw.script.verdict = Verdict("deny", "high", ("it is forbidden", "at night"))
        answer = await gw.fetch("POST", COMMAND, {"command": "rm"}, roles=OPERATOR, headers=EVENTS)
        assert problem(answer) == (403, "SAFETY_DENIED")
        assert document(answer)["detail"] == "it is forbidden; at night"
        assert gw.script.executed == []


async def test_a_safety_service_that_is_down_stops_everything(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gw.script.failing["safety"] = ServiceError("UNAVAILABLE", "down", service="safety", retry_after_ms=2500)
        answer = await gw.fetch("POST", COMMAND, {"command": "ls"}, roles=OPERATOR)
        assert problem(answer) == (503, "UNAVAILABLE")
        assert answer.headers["Retry-After"] == "3"
        assert gw.script.executed == []


async def test_an_approved_action_runs_once(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        confirmation_id = await confirmation(gw)
        path = f"/api/v1/executor/confirmations/{confirmation_id}"
        first = await gw.fetch("POST", path, {"approve": True}, roles=OPERATOR)
        again = await gw.fetch("POST", path, {"approve": True}, roles=OPERATOR)
        ((_, action, parameters, context),) = gw.script.executed
        assert (action, parameters) == ("rm", {"args": ["x"]})
        assert 1 <= context.asked_ms_ago <= CONFIRMATION_S * 1000
    told = document(first)
    assert (first.code, told["approved"], told["status"], told["result"]) == (200, True, "ok", {"did": "it"})
    assert problem(again) == (404, "NOT_FOUND")


async def test_a_refused_action_is_gone(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        path = f"/api/v1/executor/confirmations/{await confirmation(gw)}"
        refused = await gw.fetch("POST", path, {"approve": False}, roles=OPERATOR)
        assert (refused.code, document(refused)["status"]) == (200, "declined")
        assert problem(await gw.fetch("POST", path, {"approve": True}, roles=OPERATOR)) == (404, "NOT_FOUND")
        assert gw.script.executed == []


async def test_another_users_question_does_not_exist_and_stays_open(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        path = f"/api/v1/executor/confirmations/{await confirmation(gw)}"
        stranger = await gw.fetch("POST", path, {"approve": True}, roles=("admin",), user="eve")
        nobody = await gw.fetch("POST", "/api/v1/executor/confirmations/none", {"approve": True}, roles=OPERATOR)
        assert problem(stranger) == problem(nobody) == (404, "NOT_FOUND")
        assert document(stranger)["detail"] == document(nobody)["detail"]
        assert gw.script.executed == []
        assert (await gw.fetch("POST", path, {"approve": True}, roles=OPERATOR)).code == 200


async def test_who_has_lost_the_role_may_approve_no_more(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        path = f"/api/v1/executor/confirmations/{await confirmation(gw)}"
        assert problem(await gw.fetch("POST", path, {"approve": True}, roles=("user",))) == (403, "FORBIDDEN")
        assert gw.script.executed == []
        approved = await gw.fetch("POST", path, {"approve": True}, roles=OPERATOR)  # a refused approval leaves it open
        assert (approved.code, len(gw.script.executed)) == (200, 1)


# --- events ---


async def test_progress_as_events(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gw.script.task_events = list(PROGRESS)
        told = events(await gw.fetch("POST", BROWSER, {"action": "go"}, roles=OPERATOR, headers=EVENTS))
    assert told[:2] == [
        ("progress", {"message": "opening", "percent": 10.0}),
        ("progress", {"stream": "stdout", "data": "line\nline"}),
    ]
    assert told[2][0] == "result"
    assert told[2][1]["result"] == {"title": "Example"}
    assert len(told) == 3


async def test_a_task_that_breaks_midway_ends_with_an_error_event(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gate = gw.script.task_gate = asyncio.Event()
        gw.script.task_events = [TaskProgress("begins"), TaskResult("ok", {})]
        seen = bytearray()

        def on_chunk(chunk: bytes) -> None:
            seen.extend(chunk)
            gate.set()

        gw.script.breaks_at_gate = ServiceError("DEADLINE_EXCEEDED", "took too long", service="browser")
        await gw.fetch("POST", BROWSER, {"action": "go"}, roles=OPERATOR, headers=EVENTS, streaming_callback=on_chunk)
    names = [line for line in seen.decode().split("\n") if line.startswith("event: ")]
    assert names == ["event: progress", "event: error"]
    assert "DEADLINE_EXCEEDED" in seen.decode()


async def test_progress_comes_while_the_task_runs(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gate = gw.script.task_gate = asyncio.Event()
        gw.script.task_events = list(PROGRESS)
        chunks: list[bytes] = []

        def on_chunk(chunk: bytes) -> None:
            chunks.append(chunk)
            if b"stdout" in b"".join(chunks):
                gate.set()  # the result comes only after the client has seen progress

        await gw.fetch("POST", BROWSER, {"action": "go"}, roles=OPERATOR, headers=EVENTS, streaming_callback=on_chunk)
        assert b"event: result" in b"".join(chunks)


@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/event-stream"])
async def test_a_client_that_leaves_cancels_its_task(tmp_path: Path, accept: str) -> None:
    async with running(tmp_path) as gw:
        gw.script.task_gate = asyncio.Event()
        gw.script.task_events = list(PROGRESS)
        writer = await leave(gw, f"Accept: {accept}\r\n")
        writer.close()
        await idle(gw)
        assert gw.script.cancelled.is_set()


@pytest.mark.fast_reader("Tornado takes it for one that has left")
async def test_a_client_that_closes_only_its_sending_side_gets_its_answer(tmp_path: Path) -> None:
    """It is asked by 100 Continue whether it is there."""
    async with running(tmp_path) as gw:
        gate = gw.script.task_gate = asyncio.Event()
        reader, writer = await at_work(gw, "")
        writer.write_eof()
        assert [await reader.readline() for _ in range(4)] == [b"HTTP/1.1 100 Continue\r\n", b"\r\n"] * 2
        gate.set()
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
        assert not gw.script.cancelled.is_set()
        writer.close()


@pytest.mark.fast_reader("Tornado takes it for one that has left")
async def test_each_task_of_a_client_that_sends_no_more_is_cancelled_once_it_has_left(tmp_path: Path) -> None:
    """Also one behind the request that was worked for when it closed its sending side."""
    async with running(tmp_path) as gw:
        gate = gw.script.task_gate = asyncio.Event()
        reader, writer = await at_work(gw, "", times=2)
        writer.write_eof()
        gw.script.task_gate = asyncio.Event()
        gate.set()
        while len(gw.script.executed) < 2:
            await asyncio.sleep(0.001)
        await reader.readuntil(b"HTTP/1.1 200 OK\r\n")
        await reader.readuntil(b"HTTP/1.1 100 Continue\r\n")
        assert not gw.script.cancelled.is_set()
        writer.close()
        await idle(gw)
        assert gw.script.cancelled.is_set()


@pytest.mark.fast_reader("Tornado takes it for one that has left")
async def test_a_client_of_events_that_closes_only_its_sending_side_gets_them_all(tmp_path: Path) -> None:
    """It is asked by comments between them."""
    async with running(tmp_path) as gw:
        gate = gw.script.task_gate = asyncio.Event()
        gw.script.task_events = list(PROGRESS)
        reader, writer = await at_work(gw, "Accept: text/event-stream\r\nConnection: close\r\n")
        await reader.readuntil(b"event: progress\n")
        writer.write_eof()
        for _ in range(2):
            await reader.readuntil(b"\r\n:\n\n\r\n")
        gate.set()
        rest = await reader.read()
        assert b"event: result\n" in rest
        assert rest.endswith(b"0\r\n\r\n")
        assert not gw.script.cancelled.is_set()
        writer.close()


@pytest.mark.fast_reader("Tornado asks nobody")
async def test_a_client_that_waits_is_asked_again_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it has waited."""
    monkeypatch.setattr(exchange, "ASK_S", 0.001)
    monkeypatch.setattr(exchange, "MOST_ASK_S", 0.001)
    async with running(tmp_path) as gw:
        gw.script.task_gate = asyncio.Event()
        reader, writer = await at_work(gw, "")
        writer.write_eof()
        for _ in range(20):  # by twice the time each, the last of these would take a quarter of an hour
            await reader.readuntil(b"HTTP/1.1 100 Continue\r\n")
        writer.close()
        await idle(gw)
        assert gw.script.cancelled.is_set()


async def leave(gw: Rest, headers: str) -> asyncio.StreamWriter:
    """Send a request, and return once its task runs."""
    return (await at_work(gw, headers))[1]


async def at_work(gw: Rest, headers: str, times: int = 1) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client whose task runs, the first of so many in a pipeline."""
    body = b'{"action": "go"}'
    token = gw.token("operator")
    head = (
        f"POST {BROWSER} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{headers}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", gw.port)
    writer.write((head.encode() + body) * times)
    while not gw.script.executed:
        await asyncio.sleep(0.001)
    return reader, writer


async def idle(gw: Rest) -> None:
    """Until no request is at work."""
    while gw.gateway.requests_running:
        await asyncio.sleep(0.001)


# --- keys ---


async def test_the_same_key_gives_the_stored_answer(tmp_path: Path) -> None:
    key = {"Idempotency-Key": "k-1"}
    async with running(tmp_path) as gw:
        first = await gw.fetch("POST", COMMAND, {"command": "ls"}, roles=OPERATOR, headers=key)
        again = await gw.fetch("POST", COMMAND, {"args": [], "command": "ls"}, roles=OPERATOR, headers=key)
        other = await gw.fetch("POST", COMMAND, {"command": "pwd"}, roles=OPERATOR, headers=key)
        stranger = await gw.fetch("POST", COMMAND, {"command": "ls"}, roles=OPERATOR, headers=key, user="eve")
        as_events = await gw.fetch("POST", COMMAND, {"command": "ls"}, roles=OPERATOR, headers=key | EVENTS)
        assert len(gw.script.executed) == 2  # ada's and eve's
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.body == first.body
    assert problem(other) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert stranger.code == 200
    assert document(stranger)["task_id"] != document(first)["task_id"]
    assert events(as_events) == [("result", document(first))]


async def test_a_stored_answer_is_not_for_who_has_lost_a_role(tmp_path: Path) -> None:
    """Anybody may settle a question, so the operation's own role does not tell who may have its answer."""
    key = {"Idempotency-Key": "k-1"}
    async with running(tmp_path) as gw:
        path = f"/api/v1/executor/confirmations/{await confirmation(gw)}"
        first, lost, again = [
            await gw.fetch("POST", path, {"approve": True}, roles=(role,), headers=key)
            for role in ("operator", "user", "admin")
        ]
    assert first.code == 200
    assert problem(lost) == (403, "FORBIDDEN")
    assert (again.headers["Idempotency-Replayed"], again.body) == ("true", first.body)


async def test_a_key_whose_first_request_still_runs(tmp_path: Path) -> None:
    key = {"Idempotency-Key": "k-1"}
    async with running(tmp_path) as gw, asyncio.TaskGroup() as group:
        gate = gw.script.task_gate = asyncio.Event()
        first = group.create_task(
            gw.fetch("POST", COMMAND, {"command": "ls"}, roles=OPERATOR, headers=key), name="first"
        )
        while not gw.script.executed:
            await asyncio.sleep(0.001)
        second = await gw.fetch("POST", COMMAND, {"command": "ls"}, roles=OPERATOR, headers=key)
        assert problem(second) == (409, "IDEMPOTENCY_IN_PROGRESS")
        gate.set()
        assert (await first).code == 200
        third = await gw.fetch("POST", COMMAND, {"command": "ls"}, roles=OPERATOR, headers=key)
        assert third.body == (await first).body
        assert len(gw.script.executed) == 1


async def test_a_client_with_a_key_may_leave_and_come_back(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gate = gw.script.task_gate = asyncio.Event()
        writer = await leave(gw, "Idempotency-Key: k-2\r\n")
        writer.close()
        await writer.wait_closed()
        gate.set()
        await idle(gw)
        answer = await gw.fetch("POST", BROWSER, {"action": "go"}, roles=OPERATOR, headers={"Idempotency-Key": "k-2"})
        assert answer.code == 200
        assert answer.headers["Idempotency-Replayed"] == "true"
        assert len(gw.script.executed) == 1


async def test_a_task_that_was_stopped_on_its_way_is_not_run_again_for_its_key(tmp_path: Path) -> None:
    key = {"Idempotency-Key": "k-3"}
    async with running(tmp_path) as gw, asyncio.TaskGroup() as group:
        gw.script.task_gate = asyncio.Event()
        group.create_task(leave(gw, "Idempotency-Key: k-3\r\n"), name="first")
        while not gw.script.executed:
            await asyncio.sleep(0.001)
        for request in tuple(gw.gateway.requests):  # as at the end of the process
            request.cancel()
        await idle(gw)
        answer = await gw.fetch("POST", BROWSER, {"action": "go"}, roles=OPERATOR, headers=key)
        assert (answer.code, document(answer)["code"]) == (499, "CANCELLED")
        assert len(gw.script.executed) == 1


async def test_a_failure_is_an_answer_too_unless_nothing_ran(tmp_path: Path) -> None:
    key = {"Idempotency-Key": "k-1"}
    async with running(tmp_path) as gw:

        async def ask() -> tuple[int, str]:
            answer = await gw.fetch("POST", COMMAND, {"command": "ls"}, roles=OPERATOR, headers=key)
            return answer.code, document(answer)["code"]

        gw.script.failing["safety"] = ServiceError("UNAVAILABLE", "down", service="safety")
        assert await ask() == (503, "UNAVAILABLE")
        del gw.script.failing["safety"]
        gw.script.failing["os"] = ServiceError("CIRCUIT_OPEN", "resting", service="os")
        assert await ask() == (503, "CIRCUIT_OPEN")
        gw.script.failing["os"] = ServiceError("DEADLINE_EXCEEDED", "who knows what it did", service="os")
        assert await ask() == (504, "DEADLINE_EXCEEDED")
        del gw.script.failing["os"]
        assert await ask() == (504, "DEADLINE_EXCEEDED")  # it may have run: not again
        assert gw.script.executed == []


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "ü"])
async def test_odd_keys(tmp_path: Path, key: str) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.fetch("POST", COMMAND, {"command": "ls"}, roles=OPERATOR, headers={"Idempotency-Key": key})
        assert problem(answer) == (422, "VALIDATION_ERROR")
