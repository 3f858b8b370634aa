"""The caller, and how a call fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

from streaming.errors import is_retryable

GATEWAY = "gateway"  # the `service` of errors by the gateway itself


class ServiceError(Exception):
    """A service, or the gateway itself, refused a call, failed or was unreachable.

    `code` is from the catalogue, `streaming.errors`; `message` is for people. `details` is JSON for the client's program:
    CONFIRMATION_REQUIRED has `confirmation_id`, `expires_at`, `risk` and `action_hash`, SAFETY_DENIED `risk`, VALIDATION_ERROR `errors`.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        service: str = GATEWAY,
        retry_after_ms: int | None = None,
        details: dict[str, Any] | None = None,
        final: bool = False,
        unsent: bool = False,
    ) -> None:
        """`final`: the same request will fail again, although the code suggests otherwise. `unsent`: it never reached the service."""
        super().__init__(f"{service}: {code}: {message}")
        self.code = code
        self.message = message
        self.service = service
        self.retryable = is_retryable(code) and not final
        self.retry_after_ms = retry_after_ms
        self.details = details or {}
        self._unsent = unsent

    @property
    def said(self) -> str:
        """The message, after the name of the service that said it."""
        return self.message if self.service == GATEWAY else f"{self.service}: {self.message}"

    @property
    def nothing_ran(self) -> bool:
        """True if no task can have run, so that the same request may run one.

        The gateway refuses before a task starts. But a question must not be asked twice, and a task that was stopped, or for which
        the gateway waited in vain, may have run in part. So may one whose executor failed or ended, unless the call never reached
        it; a search changes nothing. Memory stores all or nothing: while it has no room, nothing.
        """
        if self.service == GATEWAY:
            return self.code not in _RAN_OR_ASKED
        no_room = (self.service, self.code) == ("memory", "RESOURCE_EXHAUSTED")
        return no_room or self._unsent or self.code == "CIRCUIT_OPEN" or self.service in _WITHOUT_EFFECT

    def settling(self, key: str) -> ServiceError:
        """This error as the answer that is kept for `key` ("id", "Idempotency-Key"), unless nothing ran.

        Whoever repeats the request gets it again, so it is final, although its code suggests otherwise.
        """
        if self.nothing_ran or not self.retryable:
            return self
        kept = f"it may have taken effect, and this {key} keeps this answer: take a new one to try again"
        return ServiceError(
            self.code, f"{self.message}; {kept}", service=self.service, details=self.details, final=True
        )


_RAN_OR_ASKED = frozenset({"CONFIRMATION_REQUIRED", "CANCELLED", "DEADLINE_EXCEEDED", "INTERNAL"})
_WITHOUT_EFFECT = frozenset({"safety", "search"})


class NewestRoles(Sequence[str]):
    """The roles of a session's newest token. All contexts of the session share them, so each check sees those of today."""

    __slots__ = ("_roles",)

    def __init__(self, roles: tuple[str, ...]) -> None:
        self._roles = roles

    def become(self, roles: tuple[str, ...]) -> None:
        """The session has got another token."""
        self._roles = roles

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...

    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        return self._roles[index]

    def __len__(self) -> int:
        return len(self._roles)


@dataclass(frozen=True, slots=True)
class CallContext:
    """The caller, session and trace, sent as gRPC metadata. `timeout_ms` shortens the service's own deadline.

    `asked_ms_ago`: for a task that was approved, when its user was asked; 0: nobody was. What it was about may have changed since.
    A session works for hours, and its token is renewed: ask for `roles` where something is about to run, and keep no copy.
    """

    user_id: str
    roles: Sequence[str] = ()
    session_id: str = ""
    request_id: str = ""
    traceparent: str = ""
    timeout_ms: int | None = None
    asked_ms_ago: int = 0
