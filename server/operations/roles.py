"""Which roles an operation asks for, and who holds them: admin can what operator can, operator what user can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.identity.roles import ROLES
from server.operations.operation import Access

if TYPE_CHECKING:
    from collections.abc import Collection

_ENOUGH = {access: frozenset(ROLES[ROLES.index(access.value) :]) for access in Access if access.role}

# The role that each executor's POST operation asks for; plan steps and socket channels are held to the same.
EXECUTOR_ACCESS = {
    "browser": Access.OPERATOR,
    "os": Access.OPERATOR,
    "search": Access.USER,
    "memory": Access.USER,
}


def allows(access: Access, roles: Collection[str]) -> bool:
    """May somebody who is signed in with these roles come in?"""
    enough = _ENOUGH.get(access)
    return enough is None or not enough.isdisjoint(roles)


def may_execute(executor: str, roles: Collection[str]) -> bool:
    """May somebody with these roles use that executor? An executor nobody knows: no."""
    access = EXECUTOR_ACCESS.get(executor)
    return access is not None and allows(access, roles)


class RolePermissions:
    """`streaming.ports.Permissions` by the rules above."""

    def may_execute(self, executor: str, roles: Collection[str]) -> bool:
        """May somebody with these roles use that executor?"""
        return may_execute(executor, roles)
