"""The table of operations, and everything that is derived from it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from server.app import ROUTES
from server.errors import ERRORS, ApiError
from server.operations import BY_NAME, OPERATIONS, Access, RolePermissions, invoke
from server.operations.operation import Operation, RequestModel, ResponseModel, Streaming
from server.operations.refusals import refusals_of
from server.operations.roles import allows
from server.operations.validation import invalid, pointer, validated
from server.roles import EXECUTORS, may_execute
from server.routes import Route, Router, UnguardedRouteError
from server.sessions.desk import GatewayDesk
from server.sessions.quota import SessionQuota
from streaming.ports import Action, CallContext, Identity, ServiceError, Verdict
from streaming.protocol.errors import ERROR_CODES
from tests.support.rest import document, running

if TYPE_CHECKING:
    from pathlib import Path

CONTEXT = CallContext("ada", ("user",), session_id="kitchen", request_id="r1")
ADA = Identity("ada", "ada", ("user",))
OPERATOR = Identity("ada", "ada", ("operator",))


def test_names_and_routes_are_unique() -> None:
    assert len(BY_NAME) == len(OPERATIONS)
    assert len({(operation.method, operation.path) for operation in OPERATIONS}) == len(OPERATIONS)


def test_every_operation_has_a_route_with_its_rule() -> None:
    routed = {(method, route.path): route for route in ROUTES for method in route.operations}
    for operation in OPERATIONS:
        route = routed[operation.method, operation.path]
        assert route.operations[operation.method] is operation
        assert route.access is operation.access


def test_every_field_of_a_path_is_a_field_of_the_request() -> None:
    for operation in OPERATIONS:
        assert set(operation.path_parameters) <= operation.request.model_fields.keys()


def test_executors_ask_for_the_same_role_everywhere() -> None:
    for name in ("executor.browser.action", "executor.os.command", "executor.search"):
        assert BY_NAME[name].access.role == EXECUTORS[name.split(".")[1]]
    assert BY_NAME["memory.store"].access.role == EXECUTORS["memory"]


@pytest.mark.parametrize(
    ("executor", "roles", "may"),
    [
        ("search", ["user"], True),
        ("browser", ["user"], False),
        ("browser", ["operator"], True),
        ("os", ["guest", "admin"], True),
        ("os", [], False),
        ("unknown", ["admin"], False),
    ],
)
def test_who_may_use_an_executor(executor: str, roles: list[str], may: bool) -> None:
    assert may_execute(executor, roles) is may
    assert RolePermissions().may_execute(executor, roles) is may


def test_public_and_signed_in_ask_for_no_role() -> None:
    assert allows(Access.PUBLIC, ())
    assert allows(Access.SIGNED_IN, ())
    assert not allows(Access.USER, ())


def test_every_refusal_is_in_the_catalogue() -> None:
    for operation in OPERATIONS:
        for status, codes in refusals_of(operation).items():
            assert all(ERRORS[code].status == status for code in codes)


def test_every_error_of_a_call_is_one_of_the_socket() -> None:
    of_http = {"BAD_REQUEST", "NOT_ACCEPTABLE", "URI_TOO_LONG", "MALFORMED_JSON", "BODY_TOO_LARGE"}
    of_http |= {"UNSUPPORTED_MEDIA_TYPE", "IDEMPOTENCY_IN_PROGRESS", "IDEMPOTENCY_KEY_REUSED"}  # need a head or a body
    for operation in OPERATIONS:
        if operation.run is not None and operation.callable:
            codes = {code for codes in refusals_of(operation).values() for code in codes}
            assert codes - of_http <= ERROR_CODES.keys()
    assert "UNKNOWN_OPERATION" in ERROR_CODES


def test_a_route_without_a_rule_stops_the_start() -> None:
    route = dataclasses.replace(ROUTES[0], access=None)
    with pytest.raises(UnguardedRouteError, match=route.path):
        Router([route])


def test_paths_find_their_routes() -> None:
    router = Router(ROUTES)
    found = router.match("/api/v1/memory/retrieve/a%2Fb")
    assert found is not None
    assert (found[0].path, found[1]) == ("/api/v1/memory/retrieve/{key}", ("a%2Fb",))
    assert router.match("/api/v1/memory/retrieve/a/b") is None
    assert router.match("/api/v1/memory/retrieve/") is None
    exact = router.match("/ws/stats")
    assert exact is not None
    assert "GET" in exact[0].operations


def test_allow_names_head_beside_get() -> None:
    assert Route("/x", ROUTES[0].handler, Access.PUBLIC, methods=("GET", "POST")).allow == "GET, HEAD, OPTIONS, POST"


# --- call ---


async def test_a_call_answers_as_rest_does(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        told = await invoke(gw.gateway, ADA, CONTEXT, "agent.intent", {"text": "hi"})
        assert told["intent"] == "time"
        assert gw.script.contexts[-1] == CONTEXT
        await invoke(gw.gateway, ADA, CONTEXT, "agent.intent", {"text": "hi", "session_id": "other"})
        assert gw.script.contexts[-1].session_id == "other"
        await invoke(gw.gateway, ADA, CONTEXT, "memory.store", {"key": "k", "value": [1.5, None]})
        assert (await invoke(gw.gateway, ADA, CONTEXT, "memory.retrieve", {"key": "k"}))["value"] == [1.5, None]
        assert await invoke(gw.gateway, ADA, CONTEXT, "memory.delete", {"key": "k"}) is None
        assert (await invoke(gw.gateway, ADA, CONTEXT, "ops.health", {}))["status"] == "ready"


async def test_a_long_answer_is_not_written_and_read_again(tmp_path: Path) -> None:
    """That took twenty milliseconds for the longest."""
    long = "é" * 60_000
    async with running(tmp_path) as gw:
        await invoke(gw.gateway, ADA, CONTEXT, "memory.store", {"key": "k", "value": long})
        kept = await gw.gateway.services.memory.retrieve("k", CONTEXT)
        assert (await invoke(gw.gateway, ADA, CONTEXT, "memory.retrieve", {"key": "k"}))["value"] is kept.value


@pytest.mark.parametrize(
    ("name", "params", "code"),
    [
        ("no.such", {}, "UNKNOWN_OPERATION"),
        ("voice.stt", {}, "UNKNOWN_OPERATION"),
        ("voice.tts", {"text": "hi"}, "UNKNOWN_OPERATION"),
        ("auth.token", {"username": "a", "password": "b"}, "UNKNOWN_OPERATION"),
        ("ops.metrics", {}, "UNKNOWN_OPERATION"),
        ("executor.os.command", {"command": "ls"}, "FORBIDDEN"),
        ("agent.intent", {}, "VALIDATION_ERROR"),
        ("agent.intent", {"text": "hi", "more": 1}, "VALIDATION_ERROR"),
        ("memory.context", {"session_id": "s", "limit": "5"}, "VALIDATION_ERROR"),
    ],
)
async def test_a_call_is_refused_as_rest_refuses(tmp_path: Path, name: str, params: dict[str, Any], code: str) -> None:
    async with running(tmp_path) as gw:
        with pytest.raises(ApiError) as refused:
            await invoke(gw.gateway, ADA, CONTEXT, name, params)
        assert refused.value.code == code


async def test_calls_and_requests_count_against_one_limit(tmp_path: Path) -> None:
    async with running(tmp_path, rate_limit_requests=3) as gw:
        await invoke(gw.gateway, ADA, CONTEXT, "agent.intent", {"text": "hi"})
        assert (await gw.fetch("GET", "/api/v1/agent/intents", user="ada")).code == 200
        await invoke(gw.gateway, ADA, CONTEXT, "agent.intents", {})
        with pytest.raises(ApiError) as refused:
            await invoke(gw.gateway, ADA, CONTEXT, "agent.intent", {"text": "hi"})
        assert (refused.value.code, refused.value.status) == ("RATE_LIMITED", 429)
        assert 0 < int(refused.value.headers["Retry-After"]) <= 60
        assert (await gw.fetch("GET", "/api/v1/agent/intents", user="ada")).code == 429
        assert (await invoke(gw.gateway, ADA, CONTEXT, "ops.health", {}))["status"] == "ready"  # not limited


async def test_actions_of_channels_and_turns_count_against_that_limit_too(tmp_path: Path) -> None:
    async with running(tmp_path, rate_limit_requests=6) as gw:
        quota = SessionQuota(gw.gateway)
        for action in (Action("os", "ls", {}), Action("browser", "navigate", {}), Action("memory", "store", {})):
            await quota.take(action, CONTEXT)
        await quota.take_turn(CONTEXT, "a")
        await quota.take_speech(CONTEXT, "b")
        assert (await gw.fetch("GET", "/api/v1/agent/intents", user=CONTEXT.user_id)).code == 200
        for action in (Action("os", "ls", {}), Action("search", "search", {}), Action("memory", "delete", {})):
            with pytest.raises(ServiceError, match="RATE_LIMITED") as refused:
                await quota.take(action, CONTEXT)
            assert refused.value.retry_after_ms
        for take in (quota.take_turn, quota.take_speech):
            with pytest.raises(ServiceError, match="RATE_LIMITED"):
                await take(CONTEXT, "c")
        await quota.take(Action("nobody", "nothing", {}), CONTEXT)


async def test_a_call_over_the_limit_is_refused_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, rate_limit_requests=1) as gw:
        desk = GatewayDesk(gw.gateway)
        assert desk.refusal("agent.intent", ADA) is None
        await desk.call("agent.intent", {"text": "hi"}, ADA, CONTEXT)
        refused = desk.refusal("agent.intent", ADA)
        assert refused is not None
        assert (refused.code, refused.retryable, refused.retry_after_ms) == ("RATE_LIMITED", True, 60_000)
        for name in (
            "executor.os.command",
            "ops.health",
            "nothing",
        ):  # the first may have run: its answer is looked for
            assert desk.refusal(name, ADA) is None
        with pytest.raises(ServiceError, match="RATE_LIMITED"):
            await desk.call("executor.search", {"query": "tea"}, ADA, CONTEXT)


async def test_of_a_request_over_the_limit_redis_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, rate_limit_requests=1) as gw:
        assert (await gw.fetch("GET", "/api/v1/agent/intents")).code == 200
        asked: list[Identity] = []
        monkeypatch.setattr(gw.gateway.authenticator, "revocation", asked.append)
        assert (await gw.fetch("GET", "/api/v1/agent/intents")).code == 429
        assert asked == []


async def test_nor_does_a_refused_task_claim_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, rate_limit_requests=1) as gw:
        desk, quota = GatewayDesk(gw.gateway), SessionQuota(gw.gateway)
        listing = Action("os", "ls", {})
        assert quota.refusal(listing, CONTEXT) is None
        await desk.call("agent.intent", {"text": "hi"}, ADA, CONTEXT)
        claimed: list[object] = []
        monkeypatch.setattr(gw.gateway.once, "claim", claimed.append)
        with pytest.raises(ServiceError, match="RATE_LIMITED"):
            await desk.call("executor.search", {"query": "tea"}, ADA, CONTEXT)
        refused = quota.refusal(listing, CONTEXT)
        assert refused is not None
        assert (refused.code, refused.retry_after_ms) == ("RATE_LIMITED", 60_000)
        assert quota.refusal(Action("nobody", "nothing", {}), CONTEXT) is None
        assert claimed == []


async def test_limits_of_roles_and_operations_hold_for_calls(tmp_path: Path) -> None:
    limits = {"rate_limit_requests": 1, "rate_limit_roles": {"admin": 2}, "rate_limit_routes": {"agent.intents": 1}}
    root = Identity("root", "root", ("admin",))
    async with running(tmp_path, **limits) as gw:
        for _ in range(2):
            await invoke(gw.gateway, root, CONTEXT, "agent.intent", {"text": "hi"})
        await invoke(gw.gateway, root, CONTEXT, "agent.intents", {})
        for name, params in (("agent.intent", {"text": "hi"}), ("agent.intents", {})):
            with pytest.raises(ApiError, match="RATE_LIMITED"):
                await invoke(gw.gateway, root, CONTEXT, name, params)


async def test_a_refused_call_says_when_to_come_back(tmp_path: Path) -> None:
    async with running(tmp_path, rate_limit_requests=1) as gw:
        desk = GatewayDesk(gw.gateway)
        await desk.call("agent.intents", {}, ADA, CONTEXT)
        with pytest.raises(ServiceError) as refused:
            await desk.call("agent.intents", {}, ADA, CONTEXT)
    assert (refused.value.code, refused.value.retryable) == ("RATE_LIMITED", True)
    assert 0 < (refused.value.retry_after_ms or 0) <= 60_000


async def refusal_of(desk: GatewayDesk, op: str, params: dict[str, Any], request_id: str) -> ServiceError:
    with pytest.raises(ServiceError) as refused:
        await desk.call(op, params, OPERATOR, dataclasses.replace(CONTEXT, request_id=request_id))
    return refused.value


async def test_a_risky_call_tells_by_which_id_its_caller_approves_it(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        desk = GatewayDesk(gw.gateway)
        gw.script.verdict = Verdict("confirm", "medium", ("it changes files",))
        asked = await refusal_of(desk, "executor.os.command", {"command": "mkdir"}, "c1")
        assert (asked.code, asked.message, asked.retryable) == ("CONFIRMATION_REQUIRED", "it changes files", False)
        assert asked.details.keys() == {"confirmation_id", "expires_at", "risk", "action_hash"}
        again = await refusal_of(desk, "executor.os.command", {"command": "mkdir"}, "c1")
        assert again.details == asked.details  # the same command does not ask twice
        assert gw.script.executed == []
        approval = {"confirmation_id": asked.details["confirmation_id"], "approve": True}
        context = dataclasses.replace(CONTEXT, roles=OPERATOR.roles, request_id="c2")
        done = [await desk.call("executor.confirm", approval, OPERATOR, context) for _ in range(2)]
        assert done[0]["status"] == "ok"
        assert done[0] == done[1]
        assert (await refusal_of(desk, "executor.confirm", approval, "c3")).code == "NOT_FOUND"
        assert len(gw.script.executed) == 1


async def test_a_refused_call_has_the_details_of_rest(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        desk = GatewayDesk(gw.gateway)
        answer = await gw.fetch("POST", "/api/v1/memory/search", {"query": 5, "limit": 0}, user="ada")
        wrong = await refusal_of(desk, "memory.search", {"query": 5, "limit": 0}, "c1")
        assert wrong.details == {"errors": document(answer)["errors"]}
        assert len(wrong.details["errors"]) == 2
        gw.script.verdict = Verdict("deny", "high", ("no",))
        denied = await refusal_of(desk, "executor.os.command", {"command": "ls"}, "c2")
        assert (denied.code, denied.message, denied.details) == ("SAFETY_DENIED", "no", {"risk": "high"})


async def test_a_call_passes_on_what_a_service_says(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        with pytest.raises(ServiceError, match="no such key"):
            await invoke(gw.gateway, ADA, CONTEXT, "memory.retrieve", {"key": "k"})


async def test_a_call_never_carries_numbers_that_json_has_not(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gw.script.entities = {"a": float("nan")}
        told = await invoke(gw.gateway, ADA, CONTEXT, "agent.intent", {"text": "hi"})
        assert told["entities"] == {"a": None}


async def test_a_new_operation_is_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Sum(RequestModel):
        a: int
        b: int

    class Total(ResponseModel):
        total: int

    async def add(_gateway: Any, _caller: Any, request: Sum) -> Total:
        return Total(total=request.a + request.b)

    entry = Operation("math.add", "POST", "/api/v1/math/add", "Add", Access.USER, Sum, Total, add)
    monkeypatch.setitem(BY_NAME, entry.name, entry)
    async with running(tmp_path) as gw:
        assert await invoke(gw.gateway, ADA, CONTEXT, "math.add", {"a": 1, "b": 2}) == {"total": 3}
    assert entry.takes_body
    assert entry.streaming is Streaming.NONE


def test_errors_point_at_their_field() -> None:
    assert pointer(("steps", 0, "a/b~")) == "#/steps/0/a~1b~0"
    error = invalid((("x",), "is wrong"), (("y",), "is missing"))
    assert error.errors == [{"pointer": "#/x", "detail": "is wrong"}, {"pointer": "#/y", "detail": "is missing"}]


NAMES = {str(number): 0 for number in range(9_000)}


@pytest.mark.parametrize(
    ("values", "detail"),
    [
        (NAMES, "more than 1000 fields"),
        ({"plan": {"steps": [{"executor": "os", "action": "ls", **NAMES}]}}, "more than 1024 flaws"),
    ],
    ids=["of the body", "within it"],
)
def test_thousands_of_unknown_names_are_not_told_one_by_one(values: dict[str, Any], detail: str) -> None:
    with pytest.raises(ApiError, match=detail) as refused:
        validated(BY_NAME["agent.safety.check"], values)
    assert (refused.value.status, [each["pointer"] for each in refused.value.errors or ()]) == (422, ["#"])


async def test_a_call_for_which_the_gateway_waited_in_vain_is_refused_like_a_request(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        desk = GatewayDesk(gw.gateway)
        gw.script.failing["memory"] = TimeoutError()
        read = await refusal_of(desk, "memory.retrieve", {"key": "k"}, "c1")
        assert (read.code, read.retryable) == ("DEADLINE_EXCEEDED", True)
        stored = [await refusal_of(desk, "memory.store", {"key": "k", "value": 1}, "c2") for _ in range(2)]
        assert [(refused.code, refused.retryable) for refused in stored] == [("DEADLINE_EXCEEDED", False)] * 2
