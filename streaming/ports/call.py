"""Who calls, and how a call fails."""

from __future__ import annotations

from dataclasses import dataclass


class ServiceError(Exception):
    """A service refused, failed or could not be reached.

    `code` is a stable UPPER_SNAKE word: INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, DEADLINE_EXCEEDED, UNAVAILABLE,
    CIRCUIT_OPEN, RESOURCE_EXHAUSTED, CANCELLED, INTERNAL, … (gRPC's names, and CIRCUIT_OPEN). `message` is for people.
    """

    def __init__(
        self, code: str, message: str, *, service: str, retryable: bool = False, retry_after_ms: int | None = None
    ) -> None:
        super().__init__(f"{service}: {code}: {message}")
        self.code = code
        self.message = message
        self.service = service
        self.retryable = retryable
        self.retry_after_ms = retry_after_ms

    @property
    def nothing_ran(self) -> bool:
        """Is it certain that no task ran? The call was not made, or only safety was asked.

        An executor that broke may have done half of a task: the same command must not do it again.
        """
        return self.code == "CIRCUIT_OPEN" or self.service == "safety"


@dataclass(frozen=True, slots=True)
class CallContext:
    """Who asks, and under which trace: travels as gRPC metadata. `timeout_ms` shortens the service's own deadline."""

    user_id: str
    roles: tuple[str, ...] = ()
    session_id: str = ""
    request_id: str = ""
    traceparent: str = ""
    timeout_ms: int | None = None
