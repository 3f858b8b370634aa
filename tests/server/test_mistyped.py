"""A mistyped setting is told, and no variable of another program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from server.config import Settings
from server.mistyped import meant, warning


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("PORTT", "PORT"),
        ("PROT", "PORT"),
        ("DEBUG_MODE", "DEBUG"),
        ("CORS_ORIGIN", "CORS_ORIGINS"),
        ("allowed_host", "ALLOWED_HOSTS"),
        ("WS_QUEUE_SIZE", "WS_QUEUE_BYTES"),
        ("JWT_SECRET", "JWT_SECRET_KEY"),
        ("RATE_LIMIT_REQUEST", "RATE_LIMIT_REQUESTS"),
        ("STT_ENGNE", "STT_ENGINE"),
        ("RADIS_URL", "REDIS_URL"),
        ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
        ("VOICE_STT_URL", "VOICE_STT_GRPC_URL"),
        ("JARVIS_TOKN", "JARVIS_TOKEN"),
        ("MEMORY_URL", "MEMORY_GRPC_URL"),
        ("LLM_KEY", "LLM_API_KEY"),
        ("TWILIO_TOKEN", "TWILIO_AUTH_TOKEN"),
        ("REDIS_URI", "REDIS_URL"),
    ],
)
def test_a_near_miss_is_told_with_what_was_meant(name: str, setting: str) -> None:
    assert meant(name) == setting


@pytest.mark.parametrize(
    "name",
    [
        *("COMPOSE_PROJECT_NAME", "POSTGRES_PASSWORD", "DATABASE_URL", "AWS_SECRET_KEY", "OPENAI_API_KEY", "PATH"),
        *("HTTP_PROXY", "HTTPS_PROXY", "GRPC_VERBOSITY", "GRPC_DNS_RESOLVER", "OTEL_SERVICE_NAME", "USER", "LANG"),
        *("SERVER_PORT", "SECRET_KEY", "sk-live-0123456789", "", "P" * 65),
        *("REDIS_PASSWORD", "REDIS_HOST", "REDIS_PORT", "REDIS_TLS_URL", "REDIS_VERSION", "REDIS_MAXMEMORY"),
        *("TWILIO_ACCOUNT_SID", "TWILIO_API_KEY", "TWILIO_PHONE_NUMBER", "SEARXNG_BASE_URL", "SEARXNG_SECRET"),
        *(
            "JARVIS_VERSION",
            "JARVIS_IMAGE",
            "JARVIS_PORT",
            "JARVIS_USER",
            "BROWSER",
            "HTTP_PORT",
            "PORT_HTTP",
            "LOG_FILE",
        ),
        *(
            "JWT_PUBLIC_KEY",
            "LLM_PROVIDER",
            "LLM_MAX_TOKENS",
            "OS_AUTH_URL",
            "EMBEDDED_DB",
            "USERS_DB",
            "TRUSTED_HOSTS",
        ),
    ],
)
def test_other_programs_may_have_variables_there(name: str) -> None:
    assert meant(name) is None


def test_no_variable_of_the_deployment_s_files_is_a_mistake() -> None:
    files = [file for file in Path("deploy").rglob("*") if file.is_file()] + [Path("Dockerfile")]
    names = {name for file in files for name in re.findall(r"\$[{(]?([A-Z][A-Z0-9_]+)", file.read_text())}
    assert "JWT_SECRET_KEY" in names
    assert warning(sorted(names)) is None


def test_no_setting_is_a_mistake_in_whatever_case_it_is_written() -> None:
    for name in Settings.model_fields:
        assert (meant(name), meant(name.upper())) == (None, None)


def test_all_of_them_are_one_line_without_their_values() -> None:
    assert warning(["PORT", "PORTT", "PATH", "HOSTS"]) == ".env: no setting has this name: PORTT (PORT?), HOSTS (HOST?)"
    assert warning(["PORT", "PATH"]) is None
