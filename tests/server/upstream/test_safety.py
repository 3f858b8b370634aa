from __future__ import annotations

import pytest

from protos import safety_pb2
from server.upstream.convert import from_struct
from streaming.ports import Action, SafetyReport, ServiceError, Verdict
from tests.server.upstream.observing import CALLER
from tests.support.services import FakeServices

ACTIONS = [Action("os", "rm", {"path": "/", "n": 1}, "s1"), Action("search", "search", {"query": "x"}, "s2")]


def verdict(word: str, action_id: str = "", risk: str = "low") -> safety_pb2.Verdict:
    return safety_pb2.Verdict(verdict=word, risk=risk, reasons=["because"], action_id=action_id)


async def test_each_action_is_judged_for_the_user_and_roles_who_ask() -> None:
    async with FakeServices("safety") as fakes, fakes.upstream() as upstream:
        fakes.safety.answer(
            "Check",
            safety_pb2.CheckResponse(
                verdict=verdict("deny", "s1", "high"), actions=[verdict("deny", "s1", "high"), verdict("allow", "s2")]
            ),
        )
        report = await upstream.services.safety.check(ACTIONS, CALLER)
        request = fakes.safety.calls[0].requests[0]
    denied, allowed = Verdict("deny", "high", ("because",), "s1"), Verdict("allow", "low", ("because",), "s2")
    assert report == SafetyReport("deny", "high", ("because",), "s1", (denied, allowed))
    assert (request.user_id, list(request.roles), request.session_id) == ("u-1", ["user"], "s-1")
    assert [(one.id, one.executor, one.action) for one in request.actions] == [
        ("s1", "os", "rm"),
        ("s2", "search", "search"),
    ]
    assert from_struct(request.actions[0].parameters) == {"path": "/", "n": 1}


@pytest.mark.parametrize(
    "answer",
    [
        safety_pb2.CheckResponse(),
        safety_pb2.CheckResponse(verdict=verdict("allow")),
        safety_pb2.CheckResponse(verdict=verdict("allow"), actions=[verdict("allow")]),
        safety_pb2.CheckResponse(verdict=verdict("fine"), actions=[verdict("allow"), verdict("allow")]),
        safety_pb2.CheckResponse(verdict=verdict("allow"), actions=[verdict("allow"), verdict("")]),
    ],
    ids=["empty", "whole only", "one missing", "unknown word", "no word"],
)
async def test_an_answer_that_does_not_judge_every_action_is_no_leave(answer: safety_pb2.CheckResponse) -> None:
    async with FakeServices("safety") as fakes, fakes.upstream() as upstream:
        fakes.safety.answer("Check", answer)
        with pytest.raises(ServiceError) as raised:
            await upstream.services.safety.check(ACTIONS, CALLER)
        assert (raised.value.code, raised.value.service) == ("INTERNAL", "safety")
