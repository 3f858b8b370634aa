"""Settings: environment variables or `.env`. Invalid values stop the start, with one line per mistake."""

from __future__ import annotations

import json
import re
import secrets
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PositiveInt, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from server.files import read_text
from server.roles import ROLES
from server.services import SERVICES

if TYPE_CHECKING:
    from collections.abc import Iterable

# RFC 7518 section 3.2: a key must be at least as long as the hash.
MIN_SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
PLACEHOLDERS = ("change", "secret", "placeholder", "example", "password", "your", "default", "insert", "replace", "jwt")
MIN_SECRET_CHARACTERS = 10  # distinct ones; one in a million keys of 32 random hex digits has fewer
SECRETS = (
    "JWT_SECRET_KEY",
    "REDIS_URL",
    "LLM_API_KEY",
    "TWILIO_AUTH_TOKEN",
)  # each may come from NAME_FILE; never echoed
MOST_SECRET_BYTES = 65_536  # of such a file
DEFAULT_REDIS_URL = "redis://localhost:6379/0"
ALGORITHMS = Literal["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]

Names = Annotated[tuple[str, ...], NoDecode]  # a JSON list, or separated by commas
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode]
Numbers = Annotated[dict[str, PositiveInt], NoDecode]  # a JSON object, or name=number separated by commas

_ORIGIN = re.compile(r"https?://[^/\s*]+")


class ConfigError(Exception):
    """The settings are invalid; `lines` has one line per mistake."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class Settings(BaseSettings):
    """All settings. A field's name in capitals is its variable; descriptions appear in `.env.example`."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, validate_default=True
    )

    debug: bool = Field(
        False, description="development: a JWT key of its own, kept in EMBEDDED_DIR; ?user_id= sockets, readable logs"
    )
    host: str = Field("0.0.0.0", description="address to listen on")  # noqa: S104 - the contract's default
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0: any free one")
    reuse_port: bool = Field(False, description="several gateway processes share the port (SO_REUSEPORT)")
    http_reader: Literal["fast", "tornado"] = Field(
        "fast", description="who reads HTTP/1.1: fast (llhttp), or tornado (Tornado's own HTTPServer)"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least severe level written")
    log_format: Literal["json", "console"] | None = Field(
        None, description="json or console; default: json, console under DEBUG"
    )
    audit_log: Path | None = Field(
        None, description="file of JSON lines: who approved or declined what; empty: the log only (logger audit)"
    )
    record_dir: Path | None = Field(
        None, description="folder for recordings of the sessions whose clients ask for it; empty: none is recorded"
    )
    confirm_destructive_by_voice: bool = Field(
        False, description="a spoken yes may approve what destroys; false: that wants a click or a typed yes"
    )
    record_max_bytes: int = Field(256 * 1024 * 1024, ge=65536, description="largest recording of one session")
    drain_seconds: float = Field(30, ge=0, le=3600, description="most time between SIGTERM and exit")
    max_body_bytes: int = Field(32 * 1024 * 1024, ge=1024, description="largest body of any route, uploads too")
    allowed_hosts: Names = Field(
        (), description="Host names answered to, with commas; empty: any, under DEBUG those of this machine"
    )
    cors_origins: Names = Field((), description="origins whose pages may call, with commas")
    trusted_proxies: Networks = Field((), description="networks whose X-Forwarded-For is believed, with commas")
    required_services: Names = Field(
        (), description="services without which /ready says 503; none: each costs itself only"
    )

    jwt_algorithm: ALGORITHMS = Field("HS256", description="of all tokens; RS*/ES* (outside provider) need JWT_JWKS")
    jwt_secret_key_file: Path | None = Field(None, description="file that holds JWT_SECRET_KEY")
    jwt_secret_key: SecretStr = Field(
        SecretStr(""), description="HS* key, 32 bytes or more (openssl rand -hex 32); required outside DEBUG"
    )
    jwt_jwks: str = Field("", description="JWKS file or URL of an outside identity provider")
    jwt_audience: str = Field("", description="required `aud`; empty: not looked at")
    jwt_issuer: str = Field("", description="required `iss`; empty: not looked at")
    jwt_expiration_minutes: int = Field(60, ge=1, le=1440, description="life of an access token")
    jwt_refresh_expiration_days: int = Field(7, ge=1, le=365, description="life of a refresh token")
    users_file: Path = Field(Path("users.json"), description="who may sign in: `python -m server user add`")

    redis_url_file: Path | None = Field(None, description="file that holds REDIS_URL")
    redis_url: str = Field(
        DEFAULT_REDIS_URL,
        repr=False,  # may contain a password
        description="redis, rediss, unix, redis+sentinel, redis+cluster; set but empty: in-process state, one replica only",
    )
    rate_limit_requests: int = Field(
        100, ge=1, description="operations a window and caller: REST, `call`, `execute`, `tts`, turns of text, steps"
    )
    rate_limit_window: int = Field(60, ge=1, le=86400, description="length of the window in seconds")
    rate_limit_roles: Numbers = Field({}, description="requests a window by role: admin=1000,operator=300")
    rate_limit_routes: Numbers = Field({}, description="requests a window by operation, counted apart: voice.stt=20")

    voice_stt_grpc_url: str = Field("localhost:50051", description="M2 speech-to-text")
    voice_tts_grpc_url: str = Field("localhost:50052", description="M3 text-to-speech")
    intent_grpc_url: str = Field("localhost:50053", description="M4 intent recognition")
    planner_grpc_url: str = Field("localhost:50054", description="M5 planner")
    safety_grpc_url: str = Field("localhost:50055", description="M6 safety")
    browser_grpc_url: str = Field("localhost:50056", description="M7 browser executor")
    os_grpc_url: str = Field("localhost:50057", description="M8 OS executor")
    search_grpc_url: str = Field("localhost:50058", description="M9 search executor")
    memory_grpc_url: str = Field("localhost:50059", description="M10 memory")
    grpc_deadline_ms: int | None = Field(None, ge=1, description="longest call to any service; default: by service")
    grpc_deadlines_ms: Numbers = Field({}, description="the same by service: stt=20000,os=120000")
    grpc_pool_size: int = Field(1, ge=1, le=64, description="HTTP/2 connections per service")
    grpc_tls_ca_file: Path | None = Field(None, description="PEM of the services' authority; set: TLS to all services")
    grpc_tls_cert_file: Path | None = Field(None, description="PEM of our certificate, for mTLS")
    grpc_tls_key_file: Path | None = Field(None, description="PEM of our key, for mTLS")
    breaker_min_faults: int = Field(5, ge=1, description="faults in 30 s that may open a circuit, for one user or all")
    breaker_open_seconds: float = Field(2, gt=0, description="first rest of an open circuit")

    ws_reader: Literal["fast", "tornado"] = Field(
        "fast", description="who reads WebSocket frames: fast is ours, tornado is Tornado's own protocol"
    )
    ws_max_sockets_per_user: int = Field(
        20, ge=1, description="sockets and waiting sessions of one user in this process"
    )
    ws_max_sessions: int = Field(
        20000, ge=0, description="live sessions of this process; then new sockets get 503; 0: any number"
    )
    overload_lag_ms: float = Field(
        500, ge=0, description="event-loop lag, smoothed, from which new sockets get 503; 0: never"
    )
    overload_memory_mb: int = Field(
        0, ge=0, description="memory of this process from which new sockets get 503; 0: never"
    )
    ws_handshakes_per_minute: int = Field(120, ge=1, description="handshakes of one address (IPv6: of one /64 network)")
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
    chromium_sandbox: bool = Field(
        True, description="Chromium's own sandbox; false in containers without user namespaces, always off for root"
    )
    browser_private_network: Literal["", "allow", "deny"] = Field(
        "", description="pages of this machine and its network: allow, or deny (so when empty)"
    )
    os_root: str = Field("", description="folder that embedded OS commands see; empty: files below EMBEDDED_DIR")
    search_documents_dir: str = Field("", description="folder to search, without secret names and files over 1 MiB")
    search_provider: Literal["", "local", "searxng", "ddgs"] = Field(
        "", description="embedded search: local, searxng or ddgs"
    )
    searxng_url: str = Field("", description="SearXNG instance for the embedded search")
    safety_policy_dir: str = Field("", description="Cedar policies for the embedded safety service")
    stt_engine: Literal["", "whisper", "pocketsphinx"] = Field(
        "", description="embedded speech-to-text: whisper, pocketsphinx; empty: whisper where it is installed"
    )
    stt_model_path: str = Field("", description="another Whisper model (CTranslate2) for the embedded speech-to-text")
    turn_model_path: str = Field(
        "", description="smart-turn v3 (ONNX), which judges from the sound whether a turn is over"
    )
    tts_engine: Literal["", "hibari", "espeak", "piper"] = Field(
        "", description="hibari, espeak or piper for the embedded text-to-speech; empty: the best one installed"
    )
    tts_voice_path: str = Field("", description="Piper voice for the embedded text-to-speech")
    llm_base_url: str = Field(
        "",
        description="chat endpoint in OpenAI's wire format for the embedded planner: http://localhost:11434/v1 is Ollama's",
    )
    llm_model: str = Field("", description="the model to ask there; required with LLM_BASE_URL")
    llm_api_key_file: Path | None = Field(None, description="file that holds LLM_API_KEY")
    llm_api_key: SecretStr = Field(SecretStr(""), description="its key; empty: the endpoint wants none")
    llm_first: bool = Field(
        False,
        description="ask it before the templates, which answer what they know if it does not; false: only what they do not know",
    )
    llm_stall_seconds: float = Field(10, gt=0, le=25, description="its longest silence; then it counts as failed")
    llm_reply_seconds: float = Field(60, gt=0, le=600, description="its longest single answer")

    twilio_auth_token_file: Path | None = Field(None, description="file that holds TWILIO_AUTH_TOKEN")
    twilio_auth_token: SecretStr = Field(
        SecretStr(""), description="of the Twilio account whose calls /v1/twilio takes; empty: none are taken"
    )
    twilio_url: str = Field(
        "", description="address of /v1/twilio as the TwiML names it; empty: wss://, the Host header and the path"
    )

    # --- how values are read ---

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, values: dict[str, Any]) -> dict[str, Any]:
        """`NAME=` in a compose file means the default, except for REDIS_URL, where empty means no Redis."""
        return {name: value for name, value in values.items() if value != "" or name == "redis_url"}

    @field_validator("cors_origins", "allowed_hosts", "required_services", "trusted_proxies", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            return _json(value)
        return [word.strip() for word in value.split(",") if word.strip()]

    @field_validator("rate_limit_roles", "rate_limit_routes", "grpc_deadlines_ms", mode="before")
    @classmethod
    def _numbers(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("{"):
            return _json(value)
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        return _each_once([(name.strip(), number.strip()) for name, _, number in pairs])

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("search_provider", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("jwt_secret_key", "redis_url", "llm_api_key", "twilio_auth_token", mode="before")
    @classmethod
    def _from_file(cls, value: object, info: ValidationInfo) -> object:
        path = info.data.get(f"{info.field_name}_file")
        if path is None:
            return value
        try:
            return read_text(path, MOST_SECRET_BYTES).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} cannot be read: {getattr(error, 'strerror', 'it is not UTF-8')}") from None

    # --- what values have to be ---

    @field_validator("embedded_dir")
    @classmethod
    def _can_be_a_folder(cls, value: Path | None) -> Path | None:
        if value is not None:
            nearest = next(path for path in (value.absolute(), *value.absolute().parents) if path.exists())
            if not nearest.is_dir():
                raise ValueError(f"{nearest} is not a folder")
        return value

    @field_validator("required_services")
    @classmethod
    def _known_services(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        refuse_unknown("service", value, SERVICES)
        return value

    @field_validator("grpc_deadlines_ms")
    @classmethod
    def _known_deadlines(cls, value: dict[str, int]) -> dict[str, int]:
        refuse_unknown("service", value, SERVICES)
        return value

    @field_validator("rate_limit_roles")
    @classmethod
    def _known_roles(cls, value: dict[str, int], info: ValidationInfo) -> dict[str, int]:
        if not info.data.get("jwt_jwks"):  # an outside provider has roles of its own
            refuse_unknown("role", value, ROLES)
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not _ORIGIN.fullmatch(origin.rstrip("/")):
                raise ValueError(f"{origin!r} is not an origin such as https://app.example.org (no *, no path)")
        return tuple(origin.rstrip("/").lower() for origin in value)

    @field_validator("redis_url")
    @classmethod
    def _redis_address(cls, value: str) -> str:
        if value and value != DEFAULT_REDIS_URL:
            from server.shared.redis_urls import (  # noqa: PLC0415 - it loads redis-py
                RedisUrlError,
                check_url,
            )

            try:
                check_url(value)
            except RedisUrlError as wrong:
                raise ValueError(str(wrong)) from None
        return value

    @field_validator("llm_base_url")
    @classmethod
    def _llm_address(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[^\s/]+\S*", value):
            raise ValueError(f"{value!r} is not an http address")
        return value

    @field_validator("llm_model")
    @classmethod
    def _llm_named(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("llm_base_url") and not value:
            raise ValueError("missing: LLM_BASE_URL is set")
        return value

    @field_validator("jwt_secret_key")
    @classmethod
    def _good_secret(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        algorithm = info.data.get("jwt_algorithm")
        if algorithm not in MIN_SECRET_BYTES:
            return value  # keys of an outside provider, or an invalid algorithm
        key = value.get_secret_value()
        if info.data.get("debug"):
            return value if key else SecretStr(secrets.token_urlsafe(64))
        _check_secret(key, MIN_SECRET_BYTES[algorithm])
        return value

    @field_validator("jwt_jwks")
    @classmethod
    def _keys_for_algorithm(cls, value: str, info: ValidationInfo) -> str:
        algorithm = info.data.get("jwt_algorithm", "")
        if algorithm in MIN_SECRET_BYTES and value:
            raise ValueError(f"JWT_ALGORITHM is {algorithm}: a JWKS goes with RS256 or ES256 (one family only)")
        if algorithm and algorithm not in MIN_SECRET_BYTES and not value:
            raise ValueError(f"missing: {algorithm} needs a JWKS file or URL")
        if value and not value.startswith(("http://", "https://")) and not Path(value).is_file():
            raise ValueError("there is no such file")
        return value

    @field_validator("grpc_tls_key_file")
    @classmethod
    def _certificate_and_key(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if (value is None) != (info.data.get("grpc_tls_cert_file") is None):
            raise ValueError("GRPC_TLS_CERT_FILE and GRPC_TLS_KEY_FILE go together")
        return value

    # --- questions ---

    @property
    def explicit_grpc_urls(self) -> frozenset[str]:
        """Services whose address is configured."""
        return frozenset(name for name in SERVICES if grpc_field(name) in self.model_fields_set)

    @property
    def explicit_redis(self) -> bool:
        """True if a Redis, or none, is configured."""
        return "redis_url" in self.model_fields_set or self.redis_url_file is not None

    def grpc_url(self, service: str) -> str:
        """The address of a service."""
        return str(getattr(self, grpc_field(service)))

    def deadline_ms(self, service: str) -> int | None:
        """The configured deadline of calls to a service; None: the service's own default."""
        return self.grpc_deadlines_ms.get(service, self.grpc_deadline_ms)


def grpc_field(service: str) -> str:
    """The name of the setting with a service's address."""
    return f"voice_{service}_grpc_url" if service in {"stt", "tts"} else f"{service}_grpc_url"


def refuse_unknown(kind: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raises ValueError, with all names that exist, if a setting names others."""
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"no such {kind}: {', '.join(unknown)}; known: {', '.join(known)}")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises ValueError if a name stands twice, because only one of its values could count."""
    names = [name for name, _ in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"there twice: {', '.join(twice)}")
    return dict(pairs)


def _json(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_each_once)
    except json.JSONDecodeError:
        raise ValueError("it begins like JSON, but is not valid JSON") from None


def _check_secret(key: str, min_bytes: int) -> None:
    if not key:
        raise ValueError("missing: make one with `openssl rand -hex 32`, or set DEBUG=true for development")
    words = [word for word in PLACEHOLDERS if word in key.lower()]
    if len(set(key)) < MIN_SECRET_CHARACTERS or (words and re.fullmatch(r"[A-Za-z _.<>{}$!-]*\d{0,4}", key)):
        raise ValueError("a placeholder is not a secret: make one with `openssl rand -hex 32`")
    if len(key.encode()) < min_bytes:
        raise ValueError(f"has {len(key.encode())} bytes and needs {min_bytes}: make one with `openssl rand -hex 32`")


def _line(error: Any) -> str:
    """One mistake: the variable, its value unless secret, and what it should be."""
    name = str(error["loc"][0]).upper() if error["loc"] else "settings"
    words = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if "_network" in error["type"]:
        words = "should be networks such as 10.0.0.0/8"
    value = error["input"]
    shown = f"={value}" if name not in SECRETS and isinstance(value, str) and value else ""
    item = f" ({error['loc'][1]})" if len(error["loc"]) > 1 and isinstance(error["loc"][1], str) else ""
    return f"{name}{shown}{item}: {words}"


def load_settings(**overrides: Any) -> Settings:
    """Read the environment and `.env`; `overrides` take precedence (`_env_file=None`: no `.env`). Raises ConfigError."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [_line(item) for item in error.errors(include_url=False)]
        raise ConfigError(list(dict.fromkeys(lines))) from None  # one invalid network fails as IPv4 and as IPv6
    except UnicodeDecodeError:
        raise ConfigError([".env: it is not UTF-8"]) from None


class _Port(BaseSettings):
    """Only that setting, read and checked like all others."""

    model_config = Settings.model_config
    port: int = Field(Settings.model_fields["port"].default, ge=0, le=65535)


def configured_port() -> int:
    """The port of this folder's gateway, even if other settings are invalid. Raises ConfigError."""
    try:
        return _Port().port
    except ValidationError as error:
        raise ConfigError([_line(item) for item in error.errors(include_url=False)]) from None
    except UnicodeDecodeError:
        raise ConfigError([".env: it is not UTF-8"]) from None
