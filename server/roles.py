"""The roles that tokens, users and policies know, in ascending order. Each includes the rights of those before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

USER = "user"
OPERATOR = "operator"
ADMIN = "admin"

ROLES = (USER, OPERATOR, ADMIN)
ENOUGH = {role: frozenset(ROLES[number:]) for number, role in enumerate(ROLES)}
"""The roles that include each role."""

# The role that each executor requires, in its POST operation as in plan steps, socket channels and approvals.
EXECUTORS = {"browser": OPERATOR, "os": OPERATOR, "search": USER, "memory": USER}


def may_execute(executor: str, roles: Collection[str]) -> bool:
    """True if these roles may use that executor; False for an unknown executor."""
    return executor in EXECUTORS and not ENOUGH[EXECUTORS[executor]].isdisjoint(roles)


def include(roles: Collection[str], needed: Collection[str]) -> bool:
    """True if whoever has `roles` may do all that somebody with the roles `needed` may."""
    return all(not ENOUGH.get(role, {role}).isdisjoint(roles) for role in needed)
