"""The interface between an embedded service and its host: start, join a gRPC server, stop."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from server.services import SERVICES

if TYPE_CHECKING:
    import grpc.aio


class InvalidRequestError(Exception):
    """The caller's mistake; the text says what is wrong."""


class MissingPartError(Exception):
    """A part that the service needs is missing; the text says which one, and how to get it."""


class NotYetError(MissingPartError):
    """It may be there later without anybody's doing: the host tries the start again."""


@dataclass(frozen=True, slots=True)
class EmbeddedConfig:
    """The services' configuration. `directory` holds what survives a restart (memory, search index)."""

    directory: Path = Path(".jarvis")
    options: tuple[tuple[str, str], ...] = ()  # NAME=value settings of single services, from the environment

    def option(self, name: str, default: str = "") -> str:
        """A setting by name, as text."""
        return dict(self.options).get(name, default)


class EmbeddedService(ABC):
    """One of M2-M10. If `start` raises MissingPartError, the host reports the service as down, with the reason; NotYetError: until it starts."""

    name: ClassVar[str]  # its key in server.services.SERVICES, and its folder
    # The engine, if there is a choice, for example "hibari (heart)". Set by `start`, reported with the health.
    engine: str = ""
    # What it understands, as primary language tags, reported with the health; empty: not limited, or unknown.
    languages: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: EmbeddedConfig) -> None:
        self.config = config
        self.instance = secrets.token_hex(8)  # tells callers its processes apart

    @property
    def full_name(self) -> str:
        """The gRPC service, for example jarvis.stt.v1.SpeechToText; its name in grpc.health.v1."""
        return SERVICES[self.name].full_name

    async def start(self) -> None:  # noqa: B027 - most have nothing to acquire
        """Load models, open files, start processes. Raises MissingPartError; may be called again after NotYetError."""

    @abstractmethod
    def add_to(self, server: grpc.aio.Server) -> None:
        """Register the servicer."""

    @property
    def impaired(self) -> str:
        """What a service that works cannot do for now, and why. Reported with the health."""
        return ""

    async def stop(self) -> None:  # noqa: B027 - most have nothing to release
        """Release everything; no process is left behind."""
