"""M6, safety: Cedar policies in files decide allow, confirm or deny, with risk and reasons in words."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import cedarpy
import grpc
import grpc.aio
from google.protobuf.json_format import MessageToDict

from protos import safety_pb2, safety_pb2_grpc
from server.embedded.commands import COMMANDS
from server.embedded.service import EmbeddedService, MissingPartError

if TYPE_CHECKING:
    from collections.abc import Sequence

POLICIES = Path(__file__).parent / "policies"
STRICTNESS = ("allow", "confirm", "deny")
MAX_ACTIONS = 64
MAX_TEXT_CHARS = 4_096  # of parameters, as policies see them

_POLICY = re.compile(r"((?:@\w+\(\"[^\"]*\"\)\s*)+)(permit|forbid)\b")
_ANNOTATION = re.compile(r"@(\w+)\(\"([^\"]*)\"\)")
_COMMENT = re.compile(r"^\s*//[^\n]*", re.MULTILINE)

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Policy:
    """What a policy's annotations say."""

    verdict: str
    risk: str
    reason: str


def read_policies(directory: Path) -> tuple[str, dict[str, Policy]]:
    """The text for Cedar, and each policy by the name Cedar gives it (policy0 …). Raises MissingPartError."""
    files = sorted(directory.glob("*.cedar"))
    if not files:
        raise MissingPartError(f"there is no .cedar file in {directory}")
    text = "\n".join(_COMMENT.sub("", path.read_text(encoding="utf-8")) for path in files)
    policies: dict[str, Policy] = {}
    for index, (notes, effect) in enumerate(_POLICY.findall(text)):
        named = dict(_ANNOTATION.findall(notes))
        verdict = "deny" if effect == "forbid" else named.get("verdict", "allow")
        policies[f"policy{index}"] = Policy(verdict, named.get("risk", "medium"), named.get("reason", ""))
    try:
        cedarpy.format_policies(text)
    except ValueError as broken:
        raise MissingPartError(f"the policies in {directory} cannot be read: {broken}") from None
    return text, policies


def _text(parameters: dict[str, Any]) -> str:
    """All values of the parameters, for policies to look into."""
    values: list[str] = []
    stack: list[Any] = [parameters]
    while stack:
        value = stack.pop(0)
        if isinstance(value, dict):
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
        else:
            values.append(str(value))
    return " ".join(values)[:MAX_TEXT_CHARS]


def _kind(executor: str, action: str) -> str:
    """What a whitelisted command does: read or change."""
    return COMMANDS[action].kind if executor == "os" and action in COMMANDS else "unknown"


class Judge:
    """Policies, and the one question asked of them."""

    def __init__(self, directory: Path) -> None:
        self._text, self._policies = read_policies(directory)

    def verdict(self, action: safety_pb2.Action, user_id: str, roles: Sequence[str]) -> safety_pb2.Verdict:
        """Of one action."""
        given = MessageToDict(action.parameters)
        words = _text(given)
        request = {
            "principal": f'User::"{_quoted(user_id)}"',
            "action": f'Action::"{_quoted(action.action)}"',
            "resource": f'Executor::"{_quoted(action.executor)}"',
            "context": {
                "text": words if action.action == "navigate" else words.lower(),
                "kind": _kind(action.executor, action.action),
            },
        }
        principal = {
            "uid": {"type": "User", "id": user_id},
            "attrs": {"operator": bool({"operator", "admin"} & set(roles))},
            "parents": [],
        }
        answer = cedarpy.is_authorized(request, self._text, json.dumps([principal]))
        return self._as_verdict(action, list(answer.diagnostics.reasons), allowed=answer.allowed)

    def _as_verdict(self, action: safety_pb2.Action, reasons: list[str], *, allowed: bool) -> safety_pb2.Verdict:
        matched = [self._policies[name] for name in sorted(reasons) if name in self._policies]
        if not matched:
            words = f"no policy allows {action.action} with the {action.executor} executor for this user"
            return safety_pb2.Verdict(verdict="deny", risk="high", reasons=[words], action_id=action.id)
        # several permits may match: the one that asks nothing is the most specific about harmlessness
        deciding = min(matched, key=lambda policy: STRICTNESS.index(policy.verdict)) if allowed else matched[0]
        return safety_pb2.Verdict(
            verdict=deciding.verdict if allowed else "deny",
            risk=deciding.risk,
            reasons=list(dict.fromkeys(policy.reason for policy in matched if policy.verdict == deciding.verdict)),
            action_id=action.id,
        )


def _quoted(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


class SafetyService(EmbeddedService, safety_pb2_grpc.SafetyServicer):
    """See the module."""

    name: ClassVar[str] = "safety"
    full_name: ClassVar[str] = "jarvis.safety.v1.Safety"
    _judge: Judge

    async def start(self) -> None:
        """Read the policies. Raises MissingPartError."""
        self._judge = Judge(Path(self.config.option("SAFETY_POLICY_DIR") or POLICIES))

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register."""
        safety_pb2_grpc.add_SafetyServicer_to_server(self, server)

    async def Check(self, request: safety_pb2.CheckRequest, context: Context) -> safety_pb2.CheckResponse:  # noqa: N802
        """May these be done?"""
        if not 0 < len(request.actions) <= MAX_ACTIONS:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"1 to {MAX_ACTIONS} actions can be judged at once")
        verdicts = [self._judge.verdict(action, request.user_id, request.roles) for action in request.actions]
        strictest = max(verdicts, key=lambda verdict: STRICTNESS.index(verdict.verdict))
        return safety_pb2.CheckResponse(verdict=strictest, actions=verdicts)
