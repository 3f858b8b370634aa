"""`python -m server doctor`: checks this machine and the settings like a start would, and says what to do."""

from __future__ import annotations

import http.client
import importlib
import importlib.util
import json
import os
import shutil
import socket
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis
from rich.console import Console
from rich.text import Text

from server import hot_path
from server.cli.environment import laptop_defaults, mistyped_names
from server.config import ConfigError, Settings, load_settings
from server.embedded.browser.launching import INSTALL as INSTALL_CHROMIUM
from server.embedded.browser.launching import find_chromium
from server.embedded.service import MissingPartError
from server.identity.development_key import has_own_key, key_file
from server.identity.users import UsersError, read
from server.operations.quota import check_limits
from server.process.children import redis_binary
from server.roles import OPERATOR
from server.services import SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOOK_S = 0.5
OLDEST_PYTHON = (3, 11)
EMBEDDED_PARTS = ("hassil", "yaml", "playwright", "cedarpy")  # import names of the extra `embedded`
SIGNS = {"ok": ("✓", "green"), "note": ("·", "yellow"), "bad": ("✗", "bold red")}


@dataclass(frozen=True, slots=True)
class Finding:
    """`state`: ok, note (something works less well), bad (the start fails). `advice`: what to do; empty if ok."""

    state: str
    what: str
    told: str
    advice: str = ""


def findings(settings: Settings) -> Iterator[Finding]:
    """All checks, in the order in which a start would fail."""
    yield _python()
    for check in CHECKS:
        yield from _told(check, settings)


def _told(check: Callable[[Settings], Iterator[Finding]], settings: Settings) -> Iterator[Finding]:
    """What a check finds. One that fails, foreseen or not, says so and hides no other."""
    try:
        yield from check(settings)
    except Exception as error:  # noqa: BLE001 - of whatever answers at a port, or of a library
        what = check.__name__.strip("_").replace("_", " ")
        yield Finding(
            "note", what, f"cannot be checked: {type(error).__name__}: {error}", f"see the settings of {what}"
        )


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Finding("bad", "Python", version, "install Python 3.11 or later, then `make clean run`")
    return Finding("ok", "Python", f"{version} ({sys.executable})")


def _hot_path(_settings: Settings) -> Iterator[Finding]:
    told = hot_path.described()
    if len(hot_path.compiled()) in {0, len(hot_path.MODULES)}:
        yield Finding("ok", "hot path", told)
    else:
        yield Finding("note", "hot path", told, "install it again: see docs/DEPLOYMENT.md")


def _keys(settings: Settings) -> Iterator[Finding]:
    if has_own_key(settings):
        source = settings.jwt_jwks or "JWT_SECRET_KEY"
        yield Finding("ok", "keys", f"{settings.jwt_algorithm}, by {source}")
        return
    file = key_file(settings.embedded_dir)
    place = next((path for path in (file, *file.parents) if path.exists()), file)
    if not os.access(place, os.R_OK if place == file else os.W_OK):
        yield Finding(
            "note", "keys", f"{file} cannot be kept", f"let this user write {file.parent}, or set EMBEDDED_DIR"
        )
    else:
        yield Finding(
            "ok", "keys", f"development key in {file}" + ("" if file.exists() else " (made at the first start)")
        )


def _users(settings: Settings) -> Iterator[Finding]:
    try:
        users = read(settings.users_file)
    except UsersError as broken:
        yield Finding("bad", "users", str(broken), f"mend {settings.users_file}, or remove it")
        return
    if users or settings.debug:
        yield Finding("ok", "users", f"{len(users)} in {settings.users_file}")
    else:
        advice = f"python -m server user add NAME --role {OPERATOR}"
        yield Finding("note", "users", f"nobody may sign in ({settings.users_file})", advice)


def _gateway_port(settings: Settings) -> Iterator[Finding]:
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::", ""} else settings.host  # noqa: S104 - compared with
    if settings.port == 0 or not _taken(host, settings.port):
        yield Finding("ok", "port", f"{settings.port or 'any'} is free")
        return
    version = _gateway_version(f"http://{host}:{settings.port}/")
    if version:
        yield Finding("ok", "port", f"{settings.port}: a Jarvis gateway {version} runs there")
    else:
        yield Finding("bad", "port", f"{settings.port} is taken by another program", "PORT=9000 make run")


def _taken(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(LOOK_S)
        try:
            return probe.connect_ex((host, port)) == 0
        except (OSError, UnicodeError):  # UnicodeError: no name of a host
            return False


def _gateway_version(url: str) -> str:
    """The version of the gateway there; empty if something else answers."""
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - an http URL of ours
    try:
        with urllib.request.urlopen(request, timeout=LOOK_S) as answer:  # noqa: S310 - as above
            told = json.load(answer)
    except (
        OSError,
        ValueError,
        urllib.error.URLError,
        http.client.HTTPException,
    ):  # the last: it speaks something else
        return ""
    return str(told.get("version", "")) if isinstance(told, dict) and "links" in told else ""


def _services(settings: Settings) -> Iterator[Finding]:
    given = settings.explicit_grpc_urls
    for service in sorted(given):
        host, _, port = settings.grpc_url(service).rpartition(":")
        if port.isdigit() and not _taken(host.strip("[]"), int(port)):
            yield Finding(
                "note", service, f"nothing answers at {host}:{port}", "start that service, or leave its *_GRPC_URL out"
            )
    if not settings.embedded or len(given) == len(SERVICES):
        return
    missing = [name for name in EMBEDDED_PARTS if importlib.util.find_spec(name) is None]
    if missing:
        yield Finding(
            "bad", "services", f"not installed: {', '.join(missing)}", "pip install 'jarvis-gateway[embedded]'"
        )
        return
    yield Finding("ok", "services", "embedded, on their default ports or, where these are taken, on free ones")


def _speech(settings: Settings) -> Iterator[Finding]:
    if not settings.embedded:
        return
    for what, module, light in (("ears", "faster_whisper", "PocketSphinx"), ("voice", "hibari", "eSpeak NG")):
        if importlib.util.find_spec(module) is not None:
            yield Finding("ok", what, f"{module} is installed")
        else:
            yield Finding("note", what, f"{module} is not installed: {light} does it", "make speech")


def _redis(settings: Settings) -> Iterator[Finding]:
    if settings.explicit_redis and not settings.redis_url:
        yield Finding("ok", "Redis", "none wanted: state stays in the process, one replica only")
        return
    try:
        with redis.Redis.from_url(settings.redis_url, socket_timeout=LOOK_S, socket_connect_timeout=LOOK_S) as client:
            client.ping()
        yield Finding("ok", "Redis", "it answers" if settings.explicit_redis else f"{settings.redis_url} answers")
    except (redis.RedisError, OSError, ValueError) as error:
        if settings.explicit_redis:
            told = f"REDIS_URL does not answer ({type(error).__name__}): state stays in the process until it does"
            yield Finding("note", "Redis", told, "start it, or mend REDIS_URL")
        elif redis_binary():
            yield Finding("ok", "Redis", f"none runs: the gateway starts {redis_binary()} for itself")
        else:
            yield Finding("note", "Redis", "none: state stays in the process", "apt-get install redis-server")


def _chromium(settings: Settings) -> Iterator[Finding]:
    if not settings.embedded or "browser" in settings.explicit_grpc_urls:
        return
    try:
        yield Finding("ok", "Chromium", find_chromium(settings.chromium_path))
    except MissingPartError as missing:
        advice = (
            "name the program of a browser, or leave CHROMIUM_PATH out" if settings.chromium_path else INSTALL_CHROMIUM
        )
        yield Finding("note", "Chromium", f"{missing}: the browser service stays down", advice)


def _sound(_settings: Settings) -> Iterator[Finding]:
    try:
        sounddevice = importlib.import_module("sounddevice")
        devices = sounddevice.query_devices()
    except ImportError:
        yield Finding(
            "note",
            "sound",
            "sounddevice is not installed: `talk` has files and text",
            "pip install 'jarvis-gateway[microphone]'",
        )
    except Exception as error:  # noqa: BLE001 - OSError without the library, PortAudio's own error without a device
        yield Finding("note", "sound", f"PortAudio: {error}", "apt-get install libportaudio2")
    else:
        heard = sum(device["max_input_channels"] > 0 for device in devices)
        spoken = sum(device["max_output_channels"] > 0 for device in devices)
        state, advice = ("ok", "") if heard and spoken else ("note", "plug a headset in; the console has the browser's")
        yield Finding(state, "sound", f"PortAudio has {heard} input(s) and {spoken} output(s)", advice)


def _disk(settings: Settings) -> Iterator[Finding]:
    place = next(
        path for path in (settings.embedded_dir.resolve(), *settings.embedded_dir.resolve().parents) if path.exists()
    )
    free_mb = shutil.disk_usage(place).free // 2**20
    if not os.access(place, os.W_OK):
        yield Finding("bad", "disk", f"{place} cannot be written", "start in a folder of yours, or set EMBEDDED_DIR")
    else:
        yield Finding("ok", "disk", f"{free_mb:,} MB free for {settings.embedded_dir}")


def _settings(_settings: Settings) -> Iterator[Finding]:
    if mistyped := mistyped_names():
        yield Finding("note", "settings", mistyped, "python -m server reads the names of docs/SETTINGS.md")


CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    _hot_path, _settings, _keys, _users, _disk, _gateway_port, _services, _speech, _redis, _chromium, _sound,
)  # fmt: skip


def doctor() -> int:
    """Print the findings; returns 1 if the start would fail."""
    laptop_defaults()
    console = Console(highlight=False, soft_wrap=True)
    try:
        settings = load_settings()
        check_limits(settings)
        found = list(findings(settings))
    except ConfigError as wrong:
        found = [_python(), *(Finding("bad", "settings", line, "mend .env or the environment") for line in wrong.lines)]
    for finding in found:
        sign, style = SIGNS[finding.state]
        console.print(Text(f"{sign} ", style).append(f"{finding.what:<9} ", "bold").append(finding.told, ""))
        if finding.advice:
            console.print(Text(f"            → {finding.advice}", "cyan"))
    bad = sum(finding.state == "bad" for finding in found)
    console.print("it starts: make run" if not bad else f"{bad} to mend before it starts")
    return 1 if bad else 0
