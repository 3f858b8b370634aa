"""How often a caller may run operations, counted together for REST and the socket's `call`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.config import ConfigError, refuse_unknown
from server.errors import ApiError, retry_after
from server.operations.table import OPERATIONS
from server.shared.rate_limits import rate_key
from streaming.ports import Allowance

if TYPE_CHECKING:
    from collections.abc import Collection

    from server.config import Settings
    from server.gateway import Gateway
    from server.operations.operation import Operation
    from server.shared.rate_limits import Decision
    from streaming.ports import Identity


def check_limits(settings: Settings) -> None:
    """Raises ConfigError if RATE_LIMIT_ROUTES names what is no operation, or one that is not limited."""
    limited = [operation.name for operation in OPERATIONS if operation.cost]
    try:
        refuse_unknown("limited operation", settings.rate_limit_routes, limited)
    except ValueError as wrong:
        raise ConfigError([f"RATE_LIMIT_ROUTES: {wrong}"]) from None


async def count(
    gateway: Gateway, operation: Operation, user_id: str, roles: Collection[str], client_ip: str, once: str = ""
) -> Decision | None:
    """Count one run of an operation, or refuse it; None if the operation is not limited. Without a user id, the address is counted.

    `once`: see RateLimiter.
    """
    if not operation.cost:
        return None
    key, limit = _counted_as(gateway, operation, user_id, roles, client_ip)
    return await gateway.limiter.check(key, limit, gateway.settings.rate_limit_window, once)


def known_refusal(
    gateway: Gateway, operation: Operation, user_id: str, roles: Collection[str], client_ip: str
) -> Decision | None:
    """What `count` would say, if that is known to be a refusal: at once, and without asking Redis."""
    if not operation.cost:
        return None
    key, limit = _counted_as(gateway, operation, user_id, roles, client_ip)
    return gateway.limiter.known_refusal(key, limit, gateway.settings.rate_limit_window)


def _counted_as(
    gateway: Gateway, operation: Operation, user_id: str, roles: Collection[str], client_ip: str
) -> tuple[str, int]:
    """The limiter's key, and the limit.

    An operation of RATE_LIMIT_ROUTES has a limit of its own. All others share the highest limit of the caller's roles.
    """
    own_limit = gateway.settings.rate_limit_routes.get(operation.name)
    key = rate_key(user_id, client_ip, operation.name if own_limit else "")
    return key, own_limit or _limit_of(gateway, roles)


def _limit_of(gateway: Gateway, roles: Collection[str]) -> int:
    settings = gateway.settings
    role_limits = [settings.rate_limit_roles[role] for role in roles if role in settings.rate_limit_roles]
    return max(role_limits, default=settings.rate_limit_requests)


def allowance(gateway: Gateway, identity: Identity) -> Allowance:
    """What is left of the user's common rate limit. Does not count as a request."""
    limit = _limit_of(gateway, identity.roles)
    key = rate_key(identity.user_id, "")
    return Allowance(limit, *gateway.limiter.standing(key, limit, gateway.settings.rate_limit_window))


def refusal_of(decision: Decision) -> ApiError:
    """RATE_LIMITED, with the seconds to wait."""
    wait_s = retry_after(decision.retry_after_s)
    return ApiError("RATE_LIMITED", f"come back in {wait_s} s", headers={"Retry-After": wait_s})


def require_room(decision: Decision | None) -> None:
    """Raises ApiError RATE_LIMITED if the decision is a refusal."""
    if decision is not None and not decision.allowed:
        raise refusal_of(decision)
