"""Derives the parts of a gateway from the settings: addresses, limits, services for lanes. Starts nothing."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from server.operations import RolePermissions
from server.overload import OverloadLimits
from server.services import SERVICES
from server.sessions.quota import SessionQuota
from server.upstream import BreakerPolicy, ServiceEndpoint, TlsFiles
from streaming.jarvis import Limits
from streaming.ports import LaneServices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.config import Settings
    from server.gateway import Gateway
    from streaming.ports import Observation

_SECRET_NAME = re.compile(
    r"^(JWT|REDIS)_|TOKEN|SECRET|PASSW|API_?KEY|ACCESS_?KEY|CREDENTIAL|PRIVATE_?KEY", re.IGNORECASE
)
EMBEDDED_OPTIONS = (
    "CHROMIUM_PATH",
    "CHROMIUM_SANDBOX",
    "BROWSER_PRIVATE_NETWORK",
    "OS_ROOT",
    "SEARCH_DOCUMENTS_DIR",
    "SEARCH_PROVIDER",
    "SEARXNG_URL",
    "SAFETY_POLICY_DIR",
    "STT_ENGINE",
    "STT_MODEL_PATH",
    "TURN_MODEL_PATH",
    "TTS_ENGINE",
    "TTS_VOICE_PATH",
    "LLM_BASE_URL",
    "LLM_MODEL",
    "LLM_FIRST",
    "LLM_STALL_SECONDS",
    "LLM_REPLY_SECONDS",
)


def endpoints(settings: Settings, embedded: Mapping[str, str]) -> list[ServiceEndpoint]:
    """The address of each service. Embedded services are used where they actually listen, without TLS."""
    ca, certificate, key = settings.grpc_tls_ca_file, settings.grpc_tls_cert_file, settings.grpc_tls_key_file
    tls = TlsFiles(ca, certificate, key) if ca or certificate else None
    return [
        ServiceEndpoint(
            name,
            embedded.get(name) or settings.grpc_url(name),
            settings.deadline_ms(name) or service.deadline_ms,
            None if name in embedded else tls,
            settings.grpc_pool_size,
        )
        for name, service in SERVICES.items()
    ]


def breaker_policy(settings: Settings) -> BreakerPolicy:
    """When a circuit opens, and for how long."""
    return BreakerPolicy(min_faults=settings.breaker_min_faults, open_s=settings.breaker_open_seconds)


def session_limits(settings: Settings) -> Limits:
    """The limits of one session."""
    return Limits(
        channels=settings.ws_max_channels,
        commands_per_s=settings.ws_commands_per_second,
        audio_bytes_per_s=settings.ws_audio_bytes_per_second,
        queue_bytes=settings.ws_queue_bytes,
        detached_queue_bytes=2 * settings.ws_queue_bytes,
        most_queue_bytes=4 * settings.ws_queue_bytes,
        replay_bytes=settings.ws_replay_bytes,
        resume_window_s=settings.ws_resume_seconds,
        heartbeat_s=settings.ws_heartbeat_seconds,
    )


def overload_limits(settings: Settings) -> OverloadLimits:
    """The limits at which the gateway sheds load."""
    return OverloadLimits(
        lag_s=settings.overload_lag_ms / 1000,
        memory_bytes=settings.overload_memory_mb * 1024 * 1024,
        sessions=settings.ws_max_sessions,
    )


def lane_services(gateway: Gateway, observation: Observation) -> LaneServices:
    """The services that lanes use."""
    return LaneServices(
        gateway.services,
        gateway.confirmations,
        RolePermissions(),
        gateway.metrics,
        gateway.tracer,
        observation,
        gateway.once,
        SessionQuota(gateway),
        lambda: gateway.overload.sheds_progress,
    )


def embedded_addresses(settings: Settings) -> dict[str, str]:
    """The services to start here, with their addresses: those whose address is not configured."""
    if not settings.embedded:
        return {}
    missing = [name for name in SERVICES if name not in settings.explicit_grpc_urls]
    return {name: settings.grpc_url(name).replace("localhost", "127.0.0.1") for name in missing}


def embedded_environment(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """The embedded process's environment: ours without secrets, plus the options that may come from `.env`."""
    kept = {name: value for name, value in environment.items() if not _SECRET_NAME.search(name)}
    closed = {"OS_CLOSED_PATHS": os.pathsep.join(map(str, private_paths(settings)))}
    options = {name: str(getattr(settings, name.lower())) for name in EMBEDDED_OPTIONS}
    return kept | {name: value for name, value in options.items() if value} | closed | {"PYTHONPATH": _source_root()}


def embedded_secrets(settings: Settings) -> dict[str, str]:
    """Options that are told to the embedded process alone: an environment can be read, and its children inherit it."""
    return {"LLM_API_KEY": settings.llm_api_key.get_secret_value()}


def private_paths(settings: Settings) -> list[Path]:
    """Every file and folder that a setting names, and `.env`. No command may read, change or move them."""
    named = [value for _, value in settings if isinstance(value, Path)]
    return [path.absolute() for path in (Path(".env"), *named)]


def _source_root() -> str:
    return str(Path(__file__).resolve().parent.parent)
