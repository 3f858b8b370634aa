"""Settings: environment variables or `.env`. A wrong value stops the start, with one line per mistake."""

from __future__ import annotations

import os
import secrets
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MIN_SECRET_BYTES = 32  # RFC 7518 section 3.2: an HS256 key has at least the size of the hash
PLACEHOLDERS = ("changeme", "change-me", "secret", "your-secret", "placeholder", "example", "password", "jwt_secret")
SECRETS = ("JWT_SECRET_KEY", "REDIS_URL")
SERVICES = ("stt", "tts", "intent", "planner", "safety", "browser", "os", "search", "memory")
ALGORITHMS = Literal["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]

Words = Annotated[tuple[str, ...], NoDecode]  # JSON list or commas
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode]


class ConfigError(Exception):
    """The settings are wrong; `lines` says what, one line per mistake."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class Settings(BaseSettings):
    """Every variable; the field's name in capitals is the variable's. Descriptions are those of `.env.example`."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    debug: bool = Field(False, description="development: token printed at start, ?user_id= sockets, readable logs")
    host: str = Field("0.0.0.0", description="address to listen on")  # noqa: S104 - the contract's default
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0: any free one")
    reuse_port: bool = Field(False, description="several gateway processes share the port (SO_REUSEPORT)")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least severe level written")
    log_format: Literal["json", "console"] | None = Field(None, description="json, or console (default under DEBUG)")
    drain_seconds: float = Field(30, ge=0, le=3600, description="most time between SIGTERM and exit")

    jwt_secret_key: SecretStr = Field(SecretStr(""), description="HS* key, 32 bytes or more; required outside DEBUG")
    jwt_algorithm: ALGORITHMS = Field("HS256", description="of all tokens; RS*/ES* need JWT_JWKS")
    jwt_expiration_minutes: int = Field(60, ge=1, le=1440, description="life of an access token")
    jwt_refresh_expiration_days: int = Field(7, ge=1, le=365, description="life of a refresh token")
    jwt_audience: str = Field("", description="required `aud`, when set")
    jwt_issuer: str = Field("", description="required `iss`, when set")
    jwt_jwks: str = Field("", description="JWKS file or https URL of an outside identity provider")
    users_file: Path = Field(Path("users.json"), description="who may sign in: `python -m server user add`")

    redis_url: str = Field("redis://localhost:6379/0", description="shared state; empty: in-process, one replica only")
    rate_limit_requests: int = Field(100, ge=1, description="requests a window and caller")
    rate_limit_window: int = Field(60, ge=1, le=86400, description="length of the window in seconds")
    rate_limit_roles: dict[str, int] = Field(default_factory=dict, description="requests a window by role, JSON")
    rate_limit_routes: dict[str, int] = Field(default_factory=dict, description="requests a window by operation, JSON")
    trusted_proxies: Networks = Field((), description="networks whose X-Forwarded-For is believed")
    cors_origins: Words = Field((), description="origins whose pages may call")
    allowed_hosts: Words = Field((), description="Host names answered to; empty: any")
    max_body_bytes: int = Field(32 * 1024 * 1024, ge=1024, description="largest upload")
    required_services: Words = Field((), description="services without which /ready says 503")

    voice_stt_grpc_url: str = Field("localhost:50051", description="M2 speech-to-text")
    voice_tts_grpc_url: str = Field("localhost:50052", description="M3 text-to-speech")
    intent_grpc_url: str = Field("localhost:50053", description="M4 intent recognition")
    planner_grpc_url: str = Field("localhost:50054", description="M5 planner")
    safety_grpc_url: str = Field("localhost:50055", description="M6 safety")
    browser_grpc_url: str = Field("localhost:50056", description="M7 browser executor")
    os_grpc_url: str = Field("localhost:50057", description="M8 OS executor")
    search_grpc_url: str = Field("localhost:50058", description="M9 search executor")
    memory_grpc_url: str = Field("localhost:50059", description="M10 memory")
    grpc_deadline_ms: int | None = Field(None, ge=1, description="of every call; default: by service")
    grpc_pool_size: int = Field(1, ge=1, le=64, description="HTTP/2 connections per service")
    grpc_tls_ca_file: Path | None = Field(None, description="PEM; set: TLS to all services")
    grpc_tls_cert_file: Path | None = Field(None, description="PEM of our certificate, for mTLS")
    grpc_tls_key_file: Path | None = Field(None, description="PEM of our key, for mTLS")
    breaker_min_faults: int = Field(5, ge=1, description="faults in 30 s that may open a circuit")
    breaker_open_seconds: float = Field(2, gt=0, description="first rest of an open circuit")

    ws_max_sockets_per_user: int = Field(20, ge=1, description="sockets of one user in this process")
    ws_handshakes_per_minute: int = Field(120, ge=1, description="handshakes of one address")
    ws_max_channels: int = Field(16, ge=1, le=1024, description="open channels of one session")
    ws_commands_per_second: float = Field(100, gt=0, description="text messages of one session")
    ws_audio_bytes_per_second: float = Field(262144, gt=0, description="microphone bytes of one session")
    ws_queue_bytes: int = Field(4 * 1024 * 1024, ge=65536, description="send queue of one socket")
    ws_replay_bytes: int = Field(4 * 1024 * 1024, ge=65536, description="kept of one session for resume")
    ws_resume_seconds: float = Field(60, ge=0, description="how long a session waits without a socket")
    ws_heartbeat_seconds: float = Field(20, ge=1, description="silence after which a client is asked")

    embedded: bool = Field(True, description="start the services here whose *_GRPC_URL is not set")
    embedded_dir: Path = Field(Path(".jarvis"), description="what embedded services keep")
    chromium_path: str = Field("", description="Chromium for the embedded browser service; empty: looked for")
    os_root: str = Field("", description="folder that embedded OS commands see; empty: the current one")
    search_documents_dir: str = Field("", description="folder that the embedded search indexes")
    search_provider: str = Field("", description="embedded search: local, searxng or ddgs")
    searxng_url: str = Field("", description="SearXNG instance for the embedded search")
    safety_policy_dir: str = Field("", description="Cedar policies for the embedded safety service")
    stt_model_path: str = Field("", description="faster-whisper model for the embedded speech-to-text")
    tts_voice_path: str = Field("", description="Piper voice for the embedded text-to-speech")

    @field_validator("cors_origins", "allowed_hosts", "required_services", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """A JSON list, or words with commas between."""
        if not isinstance(value, str):
            return value
        words = value.strip().strip("[]").split(",")
        return tuple(word.strip().strip("\"'") for word in words if word.strip().strip("\"'"))

    @field_validator("required_services")
    @classmethod
    def _known_services(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(value) - set(SERVICES))
        if unknown:
            raise ValueError(f"no such service: {', '.join(unknown)}; known: {', '.join(SERVICES)}")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _no_wildcard(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "*" in value:
            raise ValueError("name each origin: credentials are allowed, so * would open the gateway to every page")
        return value

    @model_validator(mode="after")
    def _can_verify_tokens(self) -> Settings:
        if not self.jwt_algorithm.startswith("HS"):
            if not self.jwt_jwks:
                raise ValueError(f"JWT_JWKS: {self.jwt_algorithm} needs a JWKS file or URL")
            return self
        key = self.jwt_secret_key.get_secret_value()
        if not key and self.debug:
            object.__setattr__(self, "jwt_secret_key", SecretStr(secrets.token_urlsafe(48)))
        elif not self.debug:
            _check_secret(key)
        return self

    @property
    def explicit_grpc_urls(self) -> frozenset[str]:
        """Services whose address the user gave."""
        return frozenset(name for name in SERVICES if grpc_field(name) in self.model_fields_set)

    @property
    def explicit_redis(self) -> bool:
        """Did the user name a Redis (or none)?"""
        return "redis_url" in self.model_fields_set

    def grpc_url(self, service: str) -> str:
        """Where a service is."""
        return str(getattr(self, grpc_field(service)))


def grpc_field(service: str) -> str:
    """The setting that holds a service's address."""
    return f"voice_{service}_grpc_url" if service in {"stt", "tts"} else f"{service}_grpc_url"


def _check_secret(key: str) -> None:
    if not key:
        raise ValueError("JWT_SECRET_KEY: missing; set it, or DEBUG=true for development")
    if any(word in key.lower() for word in PLACEHOLDERS) and len(set(key)) < MIN_SECRET_BYTES // 2:
        raise ValueError("JWT_SECRET_KEY: a placeholder is no secret; make one: openssl rand -hex 32")
    if len(key.encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"JWT_SECRET_KEY: needs {MIN_SECRET_BYTES} bytes or more; make one: openssl rand -hex 32")


def _secrets_from_files() -> dict[str, Any]:
    """`NAME_FILE` of every secret. Raises ConfigError."""
    found: dict[str, Any] = {}
    for name in SECRETS:
        path = os.environ.get(f"{name}_FILE")
        if path:
            try:
                found[name.lower()] = Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigError([f"{name}_FILE: {error.strerror}: {path}"]) from None
    return found


def _line(error: Any) -> str:
    """One mistake, without the value: it may be a secret."""
    name = "_".join(str(part) for part in error["loc"][:1]).upper()
    words = error["msg"].removeprefix("Value error, ")
    return f"{name}: {words}" if name else words


def load_settings(**overrides: Any) -> Settings:
    """Read environment and `.env`. Raises ConfigError."""
    try:
        return Settings(**{**_secrets_from_files(), **overrides})
    except ValidationError as error:
        raise ConfigError([_line(item) for item in error.errors(include_input=False, include_url=False)]) from None
