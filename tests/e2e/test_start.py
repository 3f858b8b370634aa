"""Start and stop, as seen by users and operators."""

from __future__ import annotations

import errno
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.gateway import LIGHT, ROOT, environment, is_running, running_gateway
from tests.support.replicas import only

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.gateway import GatewayProcess


def test_the_start_tells_all_that_one_needs(gateway: GatewayProcess) -> None:
    assert "redis" in gateway.banner
    assert "stt, tts, intent, planner, safety, browser, os, search, memory up (embedded)" in gateway.banner
    assert f"{gateway.base}/console#code=" in gateway.banner
    assert gateway.banner.count(gateway.token) == 1


def test_a_redis_that_does_not_answer_is_told_and_costs_what_is_shared_only(tmp_path: Path) -> None:
    with running_gateway(tmp_path, EMBEDDED="false", REDIS_URL="redis://127.0.0.1:9/0") as gateway:
        assert "redis     as configured, does not answer: state stays in the process until it does" in gateway.banner


def test_the_curl_of_the_banner_works_as_printed(gateway: GatewayProcess) -> None:
    command = next(line for line in gateway.lines if "curl" in line)
    pasted = f"TOKEN={gateway.token}\n{re.sub(r'^ *try +', '', command)}"
    done = subprocess.run(["sh", "-c", pasted], capture_output=True, text=True, check=True)
    assert '"get_time"' in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_leaves_nothing_behind(tmp_path: Path, number: int) -> None:
    with running_gateway(tmp_path, **LIGHT) as gateway:
        children = gateway.children()
        assert len(children) >= 3
        assert gateway.stop(number) == 0
        assert [pid for pid in children if is_running(pid)] == []


def test_a_gateway_that_is_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway:  # with the heavy engines: they must end too
        children = gateway.children()
        gateway.stop(signal.SIGKILL)
        deadline = time.monotonic() + 60
        while any(is_running(pid) for pid in children) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert [pid for pid in children if is_running(pid)] == []


def test_memory_and_a_developers_token_survive_a_restart(tmp_path: Path) -> None:
    key = {"JWT_SECRET_KEY": "", **only("memory")}  # so that the gateway keeps a key of its own
    with running_gateway(tmp_path, **key) as gateway:
        token = gateway.token
        _post(gateway, "/api/v1/memory/store", '{"key": "colour", "value": "blue"}')
    with running_gateway(tmp_path, **key) as gateway:
        gateway.lines = [f"TOKEN={token}"]
        assert '"blue"' in _curl(gateway, "/api/v1/memory/retrieve/colour")


def test_a_missing_chromium_costs_the_browser_only(tmp_path: Path) -> None:
    with running_gateway(tmp_path, **LIGHT, CHROMIUM_PATH="/no/such/chromium", REDIS_URL="") as gateway:
        assert "browser down: CHROMIUM_PATH: /no/such/chromium is not a program" in gateway.banner
        assert "stt, tts, intent, planner, safety, os, search, memory up" in gateway.banner
        assert "in-process state" in gateway.banner
        assert '"get_time"' in _post(gateway, "/api/v1/agent/intent", '{"text": "what time is it"}')


def test_models_that_are_not_there_cost_those_models_only(tmp_path: Path) -> None:
    """What stands in for them is told at the start, in the log, and by REST."""
    paths = {name: f"/no/such/{name.lower()}" for name in ("STT_MODEL_PATH", "TURN_MODEL_PATH", "TTS_VOICE_PATH")}
    with running_gateway(tmp_path, **only("stt", "tts"), **paths, REDIS_URL="") as gateway:
        engines = (
            "whisper tiny.en without STT_MODEL_PATH and TURN_MODEL_PATH",
            "hibari (heart) without TTS_VOICE_PATH",
        )
        assert "stt, tts up (embedded)" in gateway.banner
        assert f"stt by {engines[0]}, tts by {engines[1]}" in gateway.banner
        health = _curl(gateway, "/health")
        assert all(f'"engine":"{engine}"' in health.replace(": ", ":") for engine in engines)
        assert '"engine":"hibari"' in _curl(gateway, "/api/v1/voice/voices").replace(": ", ":")
        told = [line for line in gateway.log.read_text().splitlines() if " instead: " in line]
        assert [sum(name in line for line in told) for name in paths] == [1, 1, 1]


def test_it_runs_without_uvloop(tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError")
    with running_gateway(tmp_path, **only("intent"), REDIS_URL="", PYTHONPATH=f"{tmp_path}:{ROOT}") as gateway:
        assert '"get_time"' in _post(gateway, "/api/v1/agent/intent", '{"text": "what time is it"}')
        assert gateway.stop() == 0


def test_wrong_settings_stop_the_start_with_one_line_each(tmp_path: Path) -> None:
    settings = environment(tmp_path, PORT="many", DEBUG="false", JWT_SECRET_KEY="short")
    done = subprocess.run(
        [sys.executable, "-m", "server"], cwd=tmp_path, env=settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert any(line.startswith("PORT") for line in done.stderr.splitlines())
    assert "short" not in done.stderr


def test_a_port_in_use_is_named(gateway: GatewayProcess, tmp_path: Path) -> None:
    settings = environment(tmp_path, PORT=str(gateway.port), EMBEDDED_DIR=str(tmp_path / "services"))
    done = subprocess.run(
        [sys.executable, "-m", "server"], cwd=tmp_path, env=settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert not (tmp_path / "services").exists(), "the services were started for nothing"
    assert f"cannot start: [Errno {errno.EADDRINUSE}] 127.0.0.1:{gateway.port}: Address already in use\n" in done.stderr


def _curl(gateway: GatewayProcess, path: str, *more: str) -> str:
    command = ["curl", "-sS", "-H", f"Authorization: Bearer {gateway.token}", *more, gateway.base + path]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _post(gateway: GatewayProcess, path: str, body: str) -> str:
    return _curl(gateway, path, "-H", "Content-Type: application/json", "-d", body)
