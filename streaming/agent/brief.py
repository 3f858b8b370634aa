"""What a session's client gives the language model besides the words: instructions, and functions that the client runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streaming.agent.answering import APPROVALS, ASKS_BACK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.ports import Intent, Plan, Round, Tool

NOT_UNDERSTOOD = "unknown"  # the intent of what no template fits
# What these mean depends on what was said before, perhaps by a language model; of the second, only if they name nothing.
_REPLIES = frozenset({NOT_UNDERSTOOD, *APPROVALS, *ASKS_BACK})
_MAY_POINT_BACK = frozenset({"undo", "forget"})
NO_MODEL = "I cannot use the functions of this app: no language model is set up here."


@dataclass(frozen=True, slots=True)
class Brief:
    """`choice`: auto, none, required, or the name of the only function to call. `max_tokens` 0: no limit.

    `rounds`: of an earlier turn that stopped for the client's functions; this turn continues after them.
    `delegates`: plans with steps are left to the client.
    """

    instructions: str = ""
    functions: tuple[Tool, ...] = ()
    choice: str = "auto"
    max_tokens: int = 0
    rounds: tuple[Round, ...] = ()
    delegates: bool = False

    def leaves(self, plan: Plan) -> bool:
        """True if the client is to do this. Plans without steps are answered by the agent itself."""
        return self.delegates and (bool(plan.steps) or plan.open_ended or plan.intent == NOT_UNDERSTOOD)

    def needs_model(self, intent: Intent) -> bool:
        """True if templates must not answer such words even where the language model does not."""
        points_back = intent.intent in _REPLIES or (intent.intent in _MAY_POINT_BACK and not intent.entities)
        return points_back or self.must_call or bool(self.rounds)

    @property
    def wants_model(self) -> bool:
        """True if only a language model can use the brief; templates cannot."""
        return bool(self.instructions or self.functions or self.rounds)

    @property
    def must_call(self) -> bool:
        """True if the model must call a function."""
        return bool(self.functions) and self.choice not in {"auto", "none"}

    @property
    def tool_choice(self) -> str:
        """The choice as the model's API has it. A single required function is the only one `offered`."""
        return "required" if self.must_call else "none" if self.choice == "none" else "auto"

    def offered(self, own: Sequence[Tool]) -> tuple[Tool, ...]:
        """The functions to choose from: the agent's `own` actions and the client's, or only the client's if the model must call."""
        if not self.must_call:
            return (*own, *self.functions)
        named = tuple(tool for tool in self.functions if tool.action == self.choice)
        return named or self.functions
