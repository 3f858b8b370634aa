"""Cedar policies in files, and their evaluation.

Annotations add what Cedar lacks: @verdict("confirm") on a permit asks the user first, @risk is low, medium or high, @reason is
shown to people. Of the policies that apply, the strictest wins: forbid, then permit with confirm, then permit. What no policy
permits is denied.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cedarpy

from server.embedded.service import MissingPartError
from server.roles import ROLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

VERDICTS = ("allow", "confirm", "deny")  # from the most lenient to the strictest
RISKS = ("low", "medium", "high")

_ROLE_ENTITIES = [
    {
        "uid": {"type": "Role", "id": role},
        "attrs": {},
        "parents": [{"type": "Role", "id": below} for below in ROLES[:rank]],
    }
    for rank, role in enumerate(ROLES)
]


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judgement on one action, or on all."""

    verdict: str
    risk: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """The annotations of a policy."""

    verdict: str
    risk: str
    reason: str


class PolicyBook:
    """All policies of a folder."""

    def __init__(self, directory: Path) -> None:
        """Read the policies. Raises MissingPartError with file and message."""
        files = sorted(directory.glob("*.cedar"))
        if not files:
            raise MissingPartError(f"SAFETY_POLICY_DIR: there is no .cedar file in {directory}")
        text = "\n".join(_checked(path) for path in files)
        self._set = cedarpy.PolicySet.from_str(text)
        self._policies = _policies(text)

    def judge(self, user_id: str, roles: Sequence[str], executor: str, action: str, facts: dict[str, Any]) -> Judgement:
        """Judge one action of one user."""
        principal = {"type": "User", "id": user_id}
        parents = [{"type": "Role", "id": role} for role in roles]
        request = {
            "principal": principal,
            "action": {"type": "Action", "id": action},
            "resource": {"type": "Executor", "id": executor},
            "context": facts,
        }
        entities = [*_ROLE_ENTITIES, {"uid": principal, "attrs": {}, "parents": parents}]
        answer = cedarpy.is_authorized(request, self._set, entities)
        errors = answer.diagnostics.errors
        if errors:  # Cedar skips a policy that fails, and skipping a forbid would allow the action
            log.error("policy failed: %s", errors[0])
            return Judgement("deny", "high", ("a safety policy could not be applied",))
        return self._of(answer.diagnostics.reasons)

    def _of(self, names: Iterable[str]) -> Judgement:
        """The judgement by the strictest of the deciding policies."""
        fitting = [self._policies[name] for name in sorted(names, key=_number)]
        if not fitting:
            return Judgement("deny", "high", ())
        verdict = max((policy.verdict for policy in fitting), key=VERDICTS.index)
        deciding = [policy for policy in fitting if policy.verdict == verdict]
        reasons = tuple(dict.fromkeys(policy.reason for policy in deciding if policy.reason))
        return Judgement(verdict, max((policy.risk for policy in deciding), key=RISKS.index), reasons)


def _number(name: str) -> int:
    """A policy's position. Cedar names them policy0, policy1 … in the order of the text."""
    return int(name.removeprefix("policy"))


def _checked(path: Path) -> str:
    """The text of a valid policy file. Raises MissingPartError."""
    try:
        text = path.read_text(encoding="utf-8")
        _policies(text)
    except (OSError, ValueError) as broken:
        raise MissingPartError(f"the safety policies cannot be read: {path}: {broken}") from None
    return text


def _policies(text: str) -> dict[str, Policy]:
    """The policies by Cedar's names. Raises ValueError."""
    parsed = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"]
    return {name: _policy(entry["effect"], entry.get("annotations", {})) for name, entry in parsed.items()}


def _policy(effect: str, notes: dict[str, str | None]) -> Policy:
    name = notes.get("id") or "a policy without @id"
    verdict = notes.get("verdict") or ("deny" if effect == "forbid" else "allow")
    if verdict not in VERDICTS or (effect == "forbid") != (verdict == "deny"):
        raise ValueError(f'{name}: @verdict of a permit is "allow" or "confirm", and of a forbid it is "deny"')
    risk = notes.get("risk") or ("high" if effect == "forbid" else "medium")
    if risk not in RISKS:
        raise ValueError(f"{name}: @risk is low, medium or high, not {risk}")
    return Policy(verdict, risk, notes.get("reason") or "")
