"""The steps of a plan. Each runs as soon as those it depends on are done; independent ones run concurrently."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from streaming.agent.references import MissingResultError, fill
from streaming.agent.tasks import TaskRun
from streaming.ports import Action, Outcome
from streaming.task_group import TaskGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streaming.agent.asking import Asker
    from streaming.domain import LaneEvent
    from streaming.outlet import LaneSetup
    from streaming.ports import SafetyReport, Step, Verdict


def as_actions(steps: Sequence[Step]) -> list[Action]:
    """The steps as actions for the safety check."""
    return [Action(step.executor, step.action, step.parameters, step.id) for step in steps]


class StepRun:
    """Runs all steps of one plan."""

    def __init__(
        self,
        setup: LaneSetup,
        tell: Callable[[LaneEvent], None],
        turn_id: str,
        report: SafetyReport,
        asker: Asker,
        *,
        counted_once: bool,
    ) -> None:
        """`counted_once`: another replica may begin them anew, with the same ids, while a question of theirs is open."""
        self._tell = tell
        self._setup = setup
        self._turn_id = turn_id
        self._verdicts = {verdict.action_id: verdict for verdict in report.actions}
        self._whole = report
        self._asker = asker
        self._counted_once = counted_once
        self._results: dict[str, dict[str, Any]] = {}
        self._done: dict[str, asyncio.Future[Outcome]] = {}

    async def run(self, steps: Sequence[Step]) -> list[Outcome]:
        """Run the steps; returns their outcomes in the plan's order."""
        loop = asyncio.get_running_loop()
        self._done = {step.id: loop.create_future() for step in steps}
        async with TaskGroup() as group:
            for step in steps:
                group.create_task(self._run_step(step), name=f"step {step.id}")
        return [self._done[step.id].result() for step in steps]

    async def _run_step(self, step: Step) -> None:
        outcome = await self._outcome(step)
        if outcome.status == "ok":
            self._results[step.id] = outcome.result
        self._done[step.id].set_result(outcome)

    async def _outcome(self, step: Step) -> Outcome:
        # Steps come in an order that respects their dependencies; otherwise a step could wait for itself.
        earlier = list(self._done)[: list(self._done).index(step.id)]
        for needed in step.depends_on:
            if needed not in earlier:
                return Outcome(step.id, "skipped", message=f"it depends on {needed}, which does not come before it")
            if (await self._done[needed]).status != "ok":
                return Outcome(step.id, "skipped", message="an earlier step did not succeed")
        try:
            parameters = fill(step.parameters, self._results, step.depends_on)
            action = Action(step.executor, step.action, parameters, step.id)
        except MissingResultError:
            return Outcome(step.id, "skipped", message="an earlier step found nothing to go on with")
        return await self._checked(action, step)

    async def _checked(self, action: Action, step: Step) -> Outcome:
        """Run a step. Parameters filled in from results were not known before, so they are checked again."""

        async def judge() -> Verdict:
            if action.parameters != step.parameters:
                return await self._setup.provided.services.safety.check([action], self._setup.context)
            return self._verdicts.get(step.id, self._whole)

        run = TaskRun(
            self._setup,
            self._tell,
            action,
            step_id=step.id,
            turn_id=self._turn_id,
            description=step.description,
            asker=self._asker,
            counted_as=f"{self._turn_id} {step.id}" if self._counted_once else "",
        )
        return replace(await run.run(judge), step_id=step.id)
