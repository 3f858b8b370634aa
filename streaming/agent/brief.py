"""What a session's client brings for the language model beside the words: instructions, and functions that the client itself runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.ports import Plan, Round, Tool

NOT_UNDERSTOOD = "unknown"  # the intent of what no template fits
NO_MODEL = "I cannot use the functions of this app: no language model is set up here."


@dataclass(frozen=True, slots=True)
class Brief:
    """`choice`: auto, none, required, or the name of the one function to call. `max_tokens` 0: no limit.

    `rounds`: those of an earlier turn that stopped for the client's functions; this turn goes on behind them.
    `delegates`: whatever takes more than words is left to the client.
    """

    instructions: str = ""
    functions: tuple[Tool, ...] = ()
    choice: str = "auto"
    max_tokens: int = 0
    rounds: tuple[Round, ...] = ()
    delegates: bool = False

    def leaves(self, plan: Plan) -> bool:
        """Is this the client's to do? What needs no step is said by the agent itself."""
        return self.delegates and (bool(plan.steps) or plan.open_ended or plan.intent == NOT_UNDERSTOOD)

    @property
    def wants_model(self) -> bool:
        """Templates know nothing of instructions and functions."""
        return bool(self.instructions or self.functions or self.rounds)

    @property
    def must_call(self) -> bool:
        """Is no reply wanted without a call?"""
        return bool(self.functions) and self.choice not in {"auto", "none"}

    @property
    def tool_choice(self) -> str:
        """For the model, which is offered no other function than those of `offered`."""
        return "required" if self.must_call else "none" if self.choice == "none" else "auto"

    def offered(self, own: Sequence[Tool]) -> tuple[Tool, ...]:
        """The functions to choose from, the agent's `own` actions among them. A call that has to be is one of the client's."""
        if not self.must_call:
            return (*own, *self.functions)
        named = tuple(tool for tool in self.functions if tool.action == self.choice)
        return named or self.functions
