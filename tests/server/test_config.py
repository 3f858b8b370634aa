from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from server.config import ConfigError, Settings, load_settings
from server.documents.env_example import render
from server.lifecycle import Lifecycle
from server.operations.quota import check_limits
from server.services import SERVICES

ROOT = Path(__file__).resolve().parents[2]
KEY = "0123456789abcdef0123456789abcdef"
CONTRACT_DEFAULTS = {
    "debug": False,
    "host": "0.0.0.0",
    "port": 8000,
    "jwt_algorithm": "HS256",
    "jwt_expiration_minutes": 60,
    "jwt_refresh_expiration_days": 7,
    "redis_url": "redis://localhost:6379/0",
    "rate_limit_requests": 100,
    "rate_limit_window": 60,
    "cors_origins": (),
    "voice_stt_grpc_url": "localhost:50051",
    "voice_tts_grpc_url": "localhost:50052",
    "intent_grpc_url": "localhost:50053",
    "planner_grpc_url": "localhost:50054",
    "safety_grpc_url": "localhost:50055",
    "browser_grpc_url": "localhost:50056",
    "os_grpc_url": "localhost:50057",
    "search_grpc_url": "localhost:50058",
    "memory_grpc_url": "localhost:50059",
    "drain_seconds": 30,
}


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def mistakes(monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[str]:
    with pytest.raises(ConfigError) as wrong:
        load(monkeypatch, **{"JWT_SECRET_KEY": KEY, **variables})
    return wrong.value.lines


def test_defaults_are_those_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, JWT_SECRET_KEY=KEY)
    assert {name: getattr(settings, name) for name in CONTRACT_DEFAULTS} == CONTRACT_DEFAULTS
    assert settings.explicit_grpc_urls == frozenset()
    assert not settings.explicit_redis


def test_example_file_is_that_of_the_settings() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == render()


def test_example_file_names_each_variable_once_with_its_default() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    names = re.findall(r"^#([A-Z0-9_]+)=", text, re.MULTILINE)
    assert names == [name.upper() for name in Settings.model_fields]
    assert all(field.description for field in Settings.model_fields.values())


def test_example_file_with_every_line_taken_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = re.sub(r"^#(?=[A-Z0-9_]+=)", "", (ROOT / ".env.example").read_text(encoding="utf-8"), flags=re.MULTILINE)
    (tmp_path / ".env").write_text(text, encoding="utf-8")
    assert load(monkeypatch, JWT_SECRET_KEY=KEY).model_dump() == load_settings(_env_file=None).model_dump()
    assert len(dotenv_values(tmp_path / ".env")) == len(Settings.model_fields)


def test_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"PORT=1\nHOST=::1\nJWT_SECRET_KEY={KEY}\nSOMETHING_ELSE=1\n", encoding="utf-8")
    settings = load(monkeypatch, PORT="2")
    assert (settings.port, settings.host) == (2, "::1")


def test_every_mistake_gets_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = mistakes(
        monkeypatch,
        PORT="70000",
        DEBUG="perhaps",
        RATE_LIMIT_REQUESTS="many",
        TRUSTED_PROXIES="10.0.0.0/8,everybody",
        REQUIRED_SERVICES="stt,ears",
        CORS_ORIGINS="*",
        GRPC_DEADLINES_MS="stt=20000,nobody=1",
    )
    assert [line.partition(":")[0].partition("=")[0] for line in lines] == [
        "DEBUG",
        "PORT",
        "CORS_ORIGINS",
        "TRUSTED_PROXIES",
        "REQUIRED_SERVICES",
        "RATE_LIMIT_REQUESTS",
        "GRPC_DEADLINES_MS",
    ]
    assert "PORT=70000: should be less than or equal to 65535" in lines
    assert all(name in " ".join(lines) for name in ("perhaps", "many", "everybody", "ears", *SERVICES))


@pytest.mark.parametrize(
    "key",
    [
        "",
        "short",
        "changeme" * 8,
        "your-secret-key-change-in-production",
        "a" * 64,
        "<insert-your-jwt-secret-key-here>",
    ],
)
def test_a_bad_key_is_refused_and_never_echoed(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    (line,) = mistakes(monkeypatch, JWT_SECRET_KEY=key)
    assert line.startswith("JWT_SECRET_KEY: ")
    assert not key or key not in line


@pytest.mark.parametrize(
    "key", [KEY, "correct horse battery staple is no good any more 17", "x7Vq!secret!9fLp2#mZ0wR8&yT4uK6sB1"]
)
def test_a_good_key_is_taken(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    assert load(monkeypatch, JWT_SECRET_KEY=key).jwt_secret_key.get_secret_value() == key


def test_longer_hashes_want_longer_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "needs 64" in mistakes(monkeypatch, JWT_ALGORITHM="HS512")[0]


def test_debug_makes_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = load(monkeypatch, DEBUG="true"), load(monkeypatch, DEBUG="true")
    keys = {settings.jwt_secret_key.get_secret_value() for settings in (first, second)}
    assert len(keys) == 2
    assert all(len(key) >= 64 for key in keys)
    assert load(monkeypatch, DEBUG="true", JWT_SECRET_KEY="dev").jwt_secret_key.get_secret_value() == "dev"


def test_secrets_come_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n", encoding="utf-8")
    (tmp_path / "redis").write_text("redis://:pw@redis:6379/1\n", encoding="utf-8")
    settings = load(monkeypatch, JWT_SECRET_KEY_FILE=str(tmp_path / "key"), REDIS_URL_FILE=str(tmp_path / "redis"))
    assert settings.jwt_secret_key.get_secret_value() == KEY
    assert settings.redis_url == "redis://:pw@redis:6379/1"
    assert settings.explicit_redis
    monkeypatch.setenv("JWT_SECRET_KEY_FILE", str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match=r"JWT_SECRET_KEY: .*nothing cannot be read"):
        load_settings()
    monkeypatch.setenv("JWT_SECRET_KEY_FILE", "/dev/zero")
    with pytest.raises(ConfigError, match=r"JWT_SECRET_KEY: /dev/zero cannot be read: File too large"):
        load_settings()


def test_an_empty_redis_url_means_something_and_other_empty_values_mean_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = load(monkeypatch, JWT_SECRET_KEY=KEY, REDIS_URL="", PORT="", INTENT_GRPC_URL="")
    assert (settings.redis_url, settings.explicit_redis) == ("", True)
    assert settings.port == 8000
    assert settings.explicit_grpc_urls == frozenset()


def test_a_redis_password_is_never_echoed(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = mistakes(monkeypatch, REDIS_URL="rediss//:hunter2@redis")
    assert line.startswith("REDIS_URL: ")
    assert "hunter2" not in line


@pytest.mark.parametrize("text", ["10.0.0.0/8, 172.16.0.0/12", '["10.0.0.0/8", "172.16.0.0/12"]'])
def test_lists_are_json_or_commas(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    settings = load(monkeypatch, JWT_SECRET_KEY=KEY, TRUSTED_PROXIES=text)
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("172.16.0.0/12"))


@pytest.mark.parametrize("text", ["admin=1000, user=100", '{"admin": 1000, "user": 100}'])
def test_numbers_by_name_are_json_or_commas(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    settings = load(monkeypatch, JWT_SECRET_KEY=KEY, RATE_LIMIT_ROLES=text)
    assert settings.rate_limit_roles == {"admin": 1000, "user": 100}


@pytest.mark.parametrize(
    "variables",
    [
        {"RATE_LIMIT_ROLES": "admin=0"},
        {"RATE_LIMIT_ROLES": "admin"},
        {"RATE_LIMIT_ROUTES": "{broken"},
        {"ALLOWED_HOSTS": "[broken"},
        {"CORS_ORIGINS": "https://app.example.org/path"},
        {"JWT_ALGORITHM": "none"},
        {"JWT_ALGORITHM": "RS256"},
        {"JWT_ALGORITHM": "RS256", "JWT_JWKS": "missing.json"},
        {"JWT_JWKS": "https://idp.example.org/jwks.json"},
        {"GRPC_TLS_CERT_FILE": "cert.pem"},
        {"DRAIN_SECONDS": "-1"},
        {"EMBEDDED_DIR": "/etc/passwd/below"},
    ],
    ids=str,
)
def test_what_cannot_be_used_is_one_line(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    assert len(mistakes(monkeypatch, **variables)) == 1


def test_unknown_names_are_refused_and_those_that_exist_told(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "RATE_LIMIT_ROLES": "admin=9,admn=3",
        "REQUIRED_SERVICES": "sst",
        "GRPC_DEADLINES_MS": "so=5",
        "SEARCH_PROVIDER": "google",
        "STT_ENGINE": "wisper",
    }
    told = dict(line.split("=", 1) for line in mistakes(monkeypatch, **wrong))
    assert told == {
        "RATE_LIMIT_ROLES": "admin=9,admn=3: no such role: admn; known: user, operator, admin",
        "REQUIRED_SERVICES": f"sst: no such service: sst; known: {', '.join(SERVICES)}",
        "GRPC_DEADLINES_MS": f"so=5: no such service: so; known: {', '.join(SERVICES)}",
        "SEARCH_PROVIDER": "google: should be '', 'local', 'searxng' or 'ddgs'",
        "STT_ENGINE": "wisper: should be '', 'whisper' or 'pocketsphinx'",
    }


def test_an_outside_provider_has_roles_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = {"JWT_ALGORITHM": "RS256", "JWT_JWKS": "https://idp.example.org/jwks.json"}
    assert load(monkeypatch, RATE_LIMIT_ROLES="premium=9", **provider).rate_limit_roles == {"premium": 9}


@pytest.mark.parametrize(
    "given", ["voice.stt=2,voice.tts=1, voice.stt=3", '{"voice.stt": 2, "voice.tts": 1, "voice.stt": 3}']
)
def test_a_name_that_stands_twice_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    assert mistakes(monkeypatch, RATE_LIMIT_ROUTES=given) == [f"RATE_LIMIT_ROUTES={given}: there twice: voice.stt"]


def test_a_limit_of_no_operation_or_of_one_that_is_not_limited_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_limits(load(monkeypatch, JWT_SECRET_KEY=KEY, RATE_LIMIT_ROUTES="voice.stt=3,executor.os.command=1"))
    for name in ("voice.sst", "ops.health", "POST /api/v1/voice/stt"):
        settings = load(monkeypatch, RATE_LIMIT_ROUTES=f"{name}=3")
        for start in (check_limits, Lifecycle):
            with pytest.raises(ConfigError) as wrong:
                start(settings)
            (line,) = wrong.value.lines
            assert line.startswith(f"RATE_LIMIT_ROUTES: no such limited operation: {name}; known: voice.stt, ")


def test_origins_are_written_as_browsers_send_them(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, JWT_SECRET_KEY=KEY, CORS_ORIGINS="https://App.example.org/, http://localhost:3000")
    assert settings.cors_origins == ("https://app.example.org", "http://localhost:3000")


def test_addresses_and_deadlines_are_asked_by_service(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"VOICE_STT_GRPC_URL": "stt:1", "OS_GRPC_URL": "os:2", "GRPC_DEADLINES_MS": "os=120000"}
    settings = load(monkeypatch, JWT_SECRET_KEY=KEY, **given)
    assert settings.explicit_grpc_urls == {"stt", "os"}
    assert [settings.grpc_url(name) for name in ("stt", "os", "memory")] == ["stt:1", "os:2", "localhost:50059"]
    assert (settings.deadline_ms("os"), settings.deadline_ms("stt")) == (120000, None)
    assert load(monkeypatch, GRPC_DEADLINE_MS="500").deadline_ms("stt") == 500


def test_settings_show_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = repr(load(monkeypatch, JWT_SECRET_KEY=KEY, REDIS_URL="redis://:hunter2@redis:6379/0"))
    assert KEY not in shown
    assert "hunter2" not in shown
