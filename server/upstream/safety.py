"""M6, safety."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protos import safety_pb2
from server.upstream.convert import asking, to_struct
from server.upstream.status import failure
from streaming.ports import SafetyReport, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protos.safety_pb2_grpc import SafetyAsyncStub
    from server.upstream.call import ServiceLine
    from streaming.ports import Action, CallContext

VERDICTS = frozenset({"allow", "confirm", "deny"})


class SafetyClient:
    """Implements `streaming.ports.Safety`."""

    def __init__(self, line: ServiceLine[SafetyAsyncStub]) -> None:
        self._line = line

    async def check(self, actions: Sequence[Action], context: CallContext) -> SafetyReport:
        """Check actions of the context's user. An answer that does not judge every action is an error, never a permission."""
        with asking("safety"):
            request = safety_pb2.CheckRequest(
                actions=[_action_message(action) for action in actions],
                user_id=context.user_id,
                roles=context.roles,
                session_id=context.session_id,
            )
        answer = await self._line.unary("Check", lambda stub: stub.Check, request, context, idempotent=True)
        whole = _verdict(answer.verdict)
        each = tuple(_verdict(verdict) for verdict in answer.actions)
        if len(each) != len(actions) or not VERDICTS.issuperset(one.verdict for one in (whole, *each)):
            raise failure("safety", "INTERNAL", "the safety check did not judge every action")
        return SafetyReport(whole.verdict, whole.risk, whole.reasons, whole.action_id, each)


def _action_message(action: Action) -> safety_pb2.Action:
    return safety_pb2.Action(
        id=action.id, executor=action.executor, action=action.action, parameters=to_struct(action.parameters)
    )


def _verdict(verdict: safety_pb2.Verdict) -> Verdict:
    return Verdict(verdict.verdict, verdict.risk, tuple(verdict.reasons), verdict.action_id)
