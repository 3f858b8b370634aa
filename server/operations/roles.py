"""Which roles an operation requires. Admins may do all that operators may, and operators all that users may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.operations.operation import Access
from server.roles import ROLES

if TYPE_CHECKING:
    from collections.abc import Collection

_ENOUGH = {access: frozenset(ROLES[ROLES.index(access.value) :]) for access in Access if access.role}

# The role that each executor requires, in its POST operation as in plan steps and socket channels.
EXECUTOR_ACCESS = {
    "browser": Access.OPERATOR,
    "os": Access.OPERATOR,
    "search": Access.USER,
    "memory": Access.USER,
}


def allows(access: Access, roles: Collection[str]) -> bool:
    """True if a signed-in caller with these roles has access."""
    enough = _ENOUGH.get(access)
    return enough is None or not enough.isdisjoint(roles)


def may_execute(executor: str, roles: Collection[str]) -> bool:
    """True if these roles may use that executor; False for an unknown executor."""
    access = EXECUTOR_ACCESS.get(executor)
    return access is not None and allows(access, roles)


class RolePermissions:
    """Implements `streaming.ports.Permissions` by the rules above."""

    def may_execute(self, executor: str, roles: Collection[str]) -> bool:
        return may_execute(executor, roles)
