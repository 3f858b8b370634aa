"""Which roles an operation requires. Admins may do all that operators may, and operators all that users may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.operations.operation import Access
from server.roles import ENOUGH, may_execute

if TYPE_CHECKING:
    from collections.abc import Collection

_ENOUGH = {access: ENOUGH[access.role] for access in Access if access.role}


def allows(access: Access, roles: Collection[str]) -> bool:
    """True if a signed-in caller with these roles has access."""
    enough = _ENOUGH.get(access)
    return enough is None or not enough.isdisjoint(roles)


class RolePermissions:
    """Implements `streaming.ports.Permissions` by `server.roles`."""

    def may_execute(self, executor: str, roles: Collection[str]) -> bool:
        return may_execute(executor, roles)
