"""What every embedded service is to its host: it starts, joins a gRPC server, and stops."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import grpc.aio


class MissingPartError(Exception):
    """A system part the service cannot work without is not there; the text says which, and how to get it."""


@dataclass(frozen=True, slots=True)
class EmbeddedConfig:
    """What the services are told at start. `directory` holds what survives a restart (memory, search index)."""

    directory: Path = Path(".jarvis")
    options: tuple[tuple[str, str], ...] = ()  # NAME=value settings of single services, from the environment

    def option(self, name: str, default: str = "") -> str:
        """One setting by name, as text."""
        return dict(self.options).get(name, default)


class EmbeddedService(ABC):
    """One of M2-M10. The host reports it down, with the reason, when `start` raises MissingPartError."""

    name: ClassVar[str]  # stt, tts, intent, planner, safety, browser, os, search, memory
    full_name: ClassVar[str]  # the gRPC service, jarvis.stt.v1.SpeechToText: its name in grpc.health.v1
    engine: str = (
        ""  # what does the work, where there is a choice: "hibari (heart)"; set by `start`, told with its health
    )

    def __init__(self, config: EmbeddedConfig) -> None:
        self.config = config

    async def start(self) -> None:  # noqa: B027 - most have nothing to acquire
        """Acquire models, files, processes. Raises MissingPartError."""

    @abstractmethod
    def add_to(self, server: grpc.aio.Server) -> None:
        """Register the servicer."""

    async def stop(self) -> None:  # noqa: B027 - most have nothing to release
        """Release everything; no process is left behind."""
