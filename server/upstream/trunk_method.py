"""Which method of a service carries a trunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc.aio


@dataclass(frozen=True, slots=True)
class TrunkMethod:
    """The method of a service's trunk.

    `first`: a stream's number, first request and metadata as a serialised StreamRequest. `stands_for`: the method that a stream
    replaces, for metrics and the breaker; empty for unary calls, which name their own.
    """

    call: Callable[[grpc.aio.Channel], Callable[[], grpc.aio.StreamStreamCall[Any, Any]]]
    stands_for: str
    first: Callable[[int, Any, dict[str, str]], bytes]
