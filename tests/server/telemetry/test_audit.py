"""The audit log: every decision, and every verdict except `allow`, without secrets."""

from __future__ import annotations

import asyncio
import json
import stat
from typing import TYPE_CHECKING, Any, Literal

import pytest
from structlog.testing import capture_logs

from server.shared.confirmations import ConfirmationStore
from server.shared.state import LocalState
from server.telemetry.audit import AuditedSafety, AuditLog
from streaming.ports import Action, CallContext, SafetyReport, Verdict
from tests.server.redis_support import replica

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


ACTION = Action("os", "curl", {"token": "hunter2", "args": ["https://secret.example"]})
VERDICT = Verdict("confirm", "high", ("it sends hunter2 away",))
ADA = CallContext("ada", ("operator",), session_id="kitchen", request_id="r1")
HALL = CallContext("ada", ("operator",), session_id="hall", request_id="r2")
REST = CallContext("ada", ("operator",), request_id="r3")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def approved(
    asked_at: ConfirmationStore,
    settled_at: ConfirmationStore,
    confirmation_id: str,
    who: CallContext,
    via: Literal["message", "voice"],
) -> None:
    """While whoever asked waits for it."""
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(asked_at.decision(confirmation_id), name="lane")
        assert await settled_at.settle(confirmation_id, who, approve=True, via=via)
        assert await waiting is True


class Audited:
    """Confirmations with an audit log in a file, read back when all is written."""

    def __init__(self, path: Path, life_s: float = 120) -> None:
        self.path = path
        self.audit = AuditLog(path)
        self.store = ConfirmationStore(LocalState(), life_s, self.audit, destructive_by_voice=True)

    def written(self) -> list[dict[str, Any]]:
        self.audit.close()
        return lines(self.path)

    def decisions(self) -> list[tuple[str, str | None]]:
        return [(line["decision"], line.get("via")) for line in self.written()]


@pytest.fixture
def it(tmp_path: Path) -> Audited:
    return Audited(tmp_path / "audit.jsonl")


async def test_a_decision_is_written_with_who_when_and_what(it: Audited) -> None:
    asked = await it.store.create(ACTION, VERDICT, ADA)
    await approved(it.store, it.store, asked.confirmation_id, ADA, "voice")
    first, second = it.written()
    assert first.pop("decision") == "asked"
    at = second.pop("at")
    assert at[-1] == "Z"
    assert at >= first["at"]
    assert second.pop("replica") == first["replica"] != ""
    assert second == {
        "event": "confirmation",
        "decision": "approved",
        "confirmation_id": asked.confirmation_id,
        "via": "voice",
        "user": "ada",
        "roles": ["operator"],
        "session": "kitchen",
        "request": "r1",
        "executor": "os",
        "action": "curl",
        "parameters": ["args", "token"],
        "risk": "high",
    }


async def test_values_and_reasons_are_in_no_log(it: Audited) -> None:
    with capture_logs() as captured:
        asked = await it.store.create(ACTION, VERDICT, ADA)
        await it.store.settle(asked.confirmation_id, ADA, approve=False)
    assert [line["decision"] for line in captured] == ["asked", "declined"]
    for text in (json.dumps(captured), json.dumps(it.written())):
        assert "hunter2" not in text
        assert "secret.example" not in text


@pytest.mark.parametrize(("by", "via"), [(ADA, "message"), (HALL, "other_socket"), (REST, "other_socket")])
async def test_by_message(it: Audited, by: CallContext, via: str) -> None:
    asked = await it.store.create(ACTION, VERDICT, ADA)
    await it.store.settle(asked.confirmation_id, by, approve=False)
    assert it.decisions() == [("asked", None), ("declined", via)]
    assert lines(it.path)[1].get("asked_in") == (None if by is ADA else "kitchen")


@pytest.mark.parametrize(("by", "via"), [(REST, "rest"), (HALL, "call")])
async def test_by_an_operation(it: Audited, by: CallContext, via: str) -> None:
    asked = await it.store.defer(ACTION, VERDICT, REST, None)
    await it.store.take(asked.confirmation_id, by, approve=True)
    assert it.decisions() == [("asked", None), ("approved", via)]


async def test_who_may_not_decide_decides_nothing(it: Audited) -> None:
    asked = await it.store.create(ACTION, VERDICT, ADA)
    await it.store.settle(asked.confirmation_id, CallContext("eve", session_id="kitchen"), approve=True)
    await it.store.settle("no-such-question", ADA, approve=True)
    assert it.decisions() == [("asked", None)]


async def test_a_question_nobody_answers_expires_once(tmp_path: Path) -> None:
    it = Audited(tmp_path / "audit.jsonl", life_s=0.02)
    asked = await it.store.create(ACTION, VERDICT, ADA)
    assert await it.store.decision(asked.confirmation_id) is None
    await it.store.settle(asked.confirmation_id, ADA, approve=True)
    assert it.decisions() == [("asked", None), ("expired", None)]


async def test_a_wait_that_is_given_up_is_written_down(it: Audited) -> None:
    asked = await it.store.create(ACTION, VERDICT, ADA)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(it.store.decision(asked.confirmation_id), name="lane")
        await asyncio.sleep(0)
        waiting.cancel()
    assert it.decisions() == [("asked", None), ("withdrawn", None)]


async def test_a_deferred_question_expires_too_unless_it_was_settled(tmp_path: Path) -> None:
    it = Audited(tmp_path / "audit.jsonl", life_s=1.5)
    settled = await it.store.defer(ACTION, VERDICT, REST, None)
    await it.store.take(settled.confirmation_id, REST, approve=False)
    forgotten = await it.store.defer(ACTION, VERDICT, REST, None)
    async with asyncio.TaskGroup() as group:
        loop = group.create_task(it.store.expire(), name="expiry")
        while not it.path.exists() or "expired" not in it.path.read_text():
            await asyncio.sleep(0.01)
        loop.cancel()
    by_id = [(line["confirmation_id"], line["decision"]) for line in it.written() if line["decision"] != "asked"]
    assert by_id == [(settled.confirmation_id, "declined"), (forgotten.confirmation_id, "expired")]


# --- safety ---


class Safety:
    """Says to each action what its parameter says."""

    async def check(self, actions: Sequence[Action], context: CallContext) -> SafetyReport:
        each = tuple(Verdict(action.parameters["be"], "high", ("because",), action.id) for action in actions)
        return SafetyReport("deny", "high", (), "", each)


async def test_verdicts_that_hold_something_back_are_written_one_by_one(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "audit.jsonl")
    actions = [Action("os", name, {"be": name}, name) for name in ("allow", "confirm", "deny")]
    report = await AuditedSafety(Safety(), audit).check(actions, ADA)
    assert len(report.actions) == 3
    audit.close()
    written = lines(tmp_path / "audit.jsonl")
    assert [(line["event"], line["verdict"], line["action"]) for line in written] == [
        ("verdict", "confirm", "confirm"),
        ("verdict", "deny", "deny"),
    ]


# --- the file ---


async def test_the_file_is_added_to_survives_rotation_and_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text('{"old": 1}\n')
    audit = AuditLog(path)
    audit.verdict("deny", ACTION, ADA, "high")
    audit.close()
    assert [line.get("old") for line in lines(path)] == [1, None]
    path.rename(tmp_path / "audit.jsonl.1")
    audit = AuditLog(path)
    audit.verdict("deny", ACTION, ADA, "high")
    audit.close()
    assert len(lines(path)) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_names_are_bounded(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "audit.jsonl")
    audit.verdict("deny", Action("os", "x", {f"{n}" * 500: n for n in range(100)}), ADA, "high")
    audit.close()
    (line,) = lines(tmp_path / "audit.jsonl")
    assert len(line["parameters"]) == 32
    assert max(map(len, line["parameters"])) == 64


async def test_a_disk_that_fails_does_not_fail_the_decision(tmp_path: Path) -> None:
    it = Audited(tmp_path / "no such folder" / "audit.jsonl")
    with capture_logs() as captured:
        asked = await it.store.create(ACTION, VERDICT, ADA)
        await approved(it.store, it.store, asked.confirmation_id, ADA, "voice")
        it.audit.close()
        it.audit.verdict("deny", ACTION, ADA, "high")  # after the end
    lost = [line for line in captured if line["log_level"] == "error"]
    assert {line["event"] for line in lost} == {"audit record lost"}
    assert {line["reason"] for line in lost} == {"No such file or directory", "the log is closed"}


async def test_replicas_write_whole_lines_to_one_file(tmp_path: Path) -> None:
    logs = [AuditLog(tmp_path / "audit.jsonl") for _ in range(3)]
    for _ in range(50):
        for audit in logs:
            audit.verdict("deny", ACTION, ADA, "high")
    for audit in logs:
        audit.close()
    assert len(lines(tmp_path / "audit.jsonl")) == 150


async def test_another_replicas_decision_is_written_where_it_was_made(redis_url: str, tmp_path: Path) -> None:
    async with replica(redis_url) as one, replica(redis_url) as other:
        here, there = (AuditLog(tmp_path / name) for name in ("here", "there"))
        first, second = (
            ConfirmationStore(one, audit=here),
            ConfirmationStore(other, audit=there, destructive_by_voice=True),
        )
        asked = await first.create(ACTION, VERDICT, ADA)
        await approved(first, second, asked.confirmation_id, HALL, "message")
        for part in (here, there):
            part.close()
    assert [line["decision"] for line in lines(tmp_path / "here")] == ["asked"]
    assert [(line["decision"], line["via"]) for line in lines(tmp_path / "there")] == [("approved", "other_socket")]
