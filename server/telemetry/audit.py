"""The audit log: every decision on a risky action, and every safety verdict other than `allow`. Append-only JSON lines.

It shows afterwards who allowed which action. It contains no spoken words and no tokens. Of an action's parameters it has only
the names, because a value may be secret. Every record also goes to the structured log (logger `audit`).
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import structlog

from streaming.rfc3339 import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from streaming.ports import Action, CallContext, Safety, SafetyReport, Services

log = structlog.get_logger("audit")

ConfirmationState = Literal["asked", "approved", "declined", "expired", "withdrawn"]
Via = Literal["voice", "message", "other_socket", "call", "rest", ""]

MAX_WAITING = 10_000  # queued while the disk hangs; some megabytes
MAX_NAMES = 32
MAX_NAME_CHARS = 64
FILE_MODE = 0o600


class AuditLog:
    """Writes audit records. Never blocks and never raises. Without a path, records go to the structured log only."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._replica = f"{socket.gethostname()}:{os.getpid()}"
        self._waiting: deque[str] = deque()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="audit") if path is not None else None

    def decision(
        self,
        decision: ConfirmationState,
        confirmation_id: str,
        action: Action,
        who: CallContext,
        *,
        risk: str,
        asked_in: str,
        via: Via = "",
    ) -> None:
        """Record that a confirmation was requested or ended. `asked_in`: the question's session; `who` asked or decided."""
        record = {"event": "confirmation", "decision": decision, "confirmation_id": confirmation_id}
        if via:
            record["via"] = via
        if who.session_id != asked_in:
            record["asked_in"] = asked_in
        self._write(record | _about(action, who, risk))

    def verdict(self, verdict: str, action: Action, who: CallContext, risk: str) -> None:
        """Record the safety verdict on an action."""
        self._write({"event": "verdict", "verdict": verdict} | _about(action, who, risk))

    def close(self) -> None:
        """Wait until everything is written."""
        if self._writer is not None:
            self._writer.shutdown()

    # --- writing ---

    def _write(self, record: Mapping[str, Any]) -> None:
        log.info("audit", **{"of" if name == "event" else name: value for name, value in record.items()})
        if self._writer is None:
            return
        if len(self._waiting) >= MAX_WAITING:
            log.error("audit record lost", reason="the disk is too slow")
            return
        at = rfc3339(time.time(), milliseconds=True)
        self._waiting.append(json.dumps({"at": at, "replica": self._replica, **record}) + "\n")
        try:
            self._writer.submit(self._append)
        except RuntimeError:
            log.error("audit record lost", reason="the log is closed")  # noqa: TRY400 - the traceback adds nothing

    def _append(self) -> None:
        """Runs in the writer's thread. Opens the file each time, because a rotation may move it away at any moment."""
        assert self._path is not None, "there is a writer for a path only"
        lines = []
        while self._waiting:
            lines.append(self._waiting.popleft())
        if not lines:
            return
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, FILE_MODE)
            try:
                _write_all(file, "".join(lines).encode())
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            log.error("audit record lost", reason=error.strerror, records=len(lines))  # noqa: TRY400 - as above


def _write_all(file: int, data: bytes) -> None:
    """Write in one call, so that replicas sharing a file keep their lines whole; repeat if the disk took only a part."""
    while data:
        data = data[os.write(file, data) :]


def _about(action: Action, who: CallContext, risk: str) -> dict[str, Any]:
    return {
        "user": who.user_id,
        "roles": list(who.roles),
        "session": who.session_id,
        "request": who.request_id,
        "executor": action.executor,
        "action": action.action,
        "parameters": [name[:MAX_NAME_CHARS] for name in sorted(action.parameters)[:MAX_NAMES]],
        "risk": risk,
    }


class AuditedSafety:
    """M6, with every verdict other than `allow` recorded in the audit log."""

    def __init__(self, safety: Safety, audit: AuditLog) -> None:
        self._safety = safety
        self._audit = audit

    async def check(self, actions: Sequence[Action], context: CallContext) -> SafetyReport:
        report = await self._safety.check(actions, context)
        for action, verdict in zip(actions, report.actions, strict=True):
            if verdict.verdict != "allow":
                self._audit.verdict(verdict.verdict, action, context, verdict.risk)
        return report


def audited(services: Services, audit: AuditLog) -> Services:
    """The same services, with M6's verdicts recorded in the audit log."""
    return replace(services, safety=AuditedSafety(services.safety, audit))
