"""M6, safety: Cedar policies in files decide allow, confirm or deny, with risk and reasons."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import grpc
import grpc.aio
from google.protobuf.json_format import MessageToDict

from protos import safety_pb2, safety_pb2_grpc
from server.embedded.addresses import private_network_open
from server.embedded.fairness import FairThreads
from server.embedded.safety.facts import MAX_TEXT_CHARS, TooLongError, facts
from server.embedded.safety.policy import RISKS, VERDICTS, Judgement, PolicyBook
from server.embedded.service import EmbeddedConfig, EmbeddedService

if TYPE_CHECKING:
    from collections.abc import Sequence

POLICIES = Path(__file__).parent / "policies"
MAX_ACTIONS = 64  # of one plan
MAX_ACTION_BYTES = 4 * MAX_TEXT_CHARS  # a character has up to four
COST_BYTES = 1_024  # of parameters cost as much as one small action more
MAX_ECHOED_CHARS = 64

Context = grpc.aio.ServicerContext[Any, Any]


class SafetyService(EmbeddedService, safety_pb2_grpc.SafetyServicer):
    """Judges the actions of a request, one by one, by the policies of one folder."""

    name: ClassVar[str] = "safety"

    def __init__(self, config: EmbeddedConfig) -> None:
        super().__init__(config)
        self._book: PolicyBook | None = None
        self._private_allowed = False
        self._threads = FairThreads(1, "safety")

    async def start(self) -> None:
        """Read the policies of SAFETY_POLICY_DIR, or the ones here. Raises MissingPartError."""
        self._private_allowed = private_network_open(self.config)
        self._book = PolicyBook(Path(self.config.option("SAFETY_POLICY_DIR") or POLICIES))

    async def stop(self) -> None:
        """End the thread."""
        self._threads.close()

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register the servicer."""
        safety_pb2_grpc.add_SafetyServicer_to_server(self, server)

    async def Check(  # noqa: N802 - gRPC's name
        self, request: safety_pb2.CheckRequest, context: Context
    ) -> safety_pb2.CheckResponse:
        """Judge the actions, each in a turn of the thread: a plan of long ones keeps nobody waiting."""
        if not 0 < len(request.actions) <= MAX_ACTIONS:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"1 to {MAX_ACTIONS} actions can be judged at once")
        judgements = [
            await self._threads.run(
                partial(self._judge, action, request.user_id, request.roles), 1 + action.ByteSize() / COST_BYTES
            )
            for action in request.actions
        ]
        ids = [action.id for action in request.actions]
        whole, decisive_id = strictest(judgements, ids)
        return safety_pb2.CheckResponse(
            verdict=_message(whole, decisive_id),
            actions=[_message(judgement, id_) for judgement, id_ in zip(judgements, ids, strict=True)],
        )

    def _judge(self, action: safety_pb2.Action, user_id: str, roles: Sequence[str]) -> Judgement:
        """Judge one action. Whatever cannot be judged is denied."""
        assert self._book is not None, "calls are refused until start() is done"
        if action.ByteSize() > MAX_ACTION_BYTES:
            return Judgement("deny", "high", (f"an action of more than {MAX_ACTION_BYTES} bytes cannot be judged",))
        try:
            parameters = MessageToDict(action.parameters)
            known = facts(action.executor, action.action, parameters, private_allowed=self._private_allowed)
        except TooLongError as long:
            return Judgement("deny", "high", (str(long),))
        except ValueError:  # NaN and infinity, which JSON does not have
            return Judgement("deny", "high", ("the parameters hold a number that is not finite",))
        judgement = self._book.judge(user_id, roles, action.executor, action.action, known)
        if judgement.verdict == "deny" and not judgement.reasons:
            return Judgement("deny", judgement.risk, (f"no policy allows {_named(action)} for this user",))
        return judgement


def strictest(judgements: Sequence[Judgement], ids: Sequence[str]) -> tuple[Judgement, str]:
    """The judgement on a plan, and the id of the first action that decides it. The risk is the highest of all."""
    verdict = max((judgement.verdict for judgement in judgements), key=VERDICTS.index)
    risk = max((judgement.risk for judgement in judgements), key=RISKS.index)
    deciding = [number for number, judgement in enumerate(judgements) if judgement.verdict == verdict]
    reasons = dict.fromkeys(reason for number in deciding for reason in judgements[number].reasons)
    return Judgement(verdict, risk, tuple(reasons)), ids[deciding[0]]


def _message(judgement: Judgement, action_id: str) -> safety_pb2.Verdict:
    return safety_pb2.Verdict(
        verdict=judgement.verdict, risk=judgement.risk, reasons=judgement.reasons, action_id=action_id
    )


def _named(action: safety_pb2.Action) -> str:
    """The action and executor in words, shortened to one line."""
    words = f"{action.action[:MAX_ECHOED_CHARS]} by the executor {action.executor[:MAX_ECHOED_CHARS]}"
    return "".join(char for char in words if char.isprintable())
