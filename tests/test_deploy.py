"""The files in deploy/ match the gateway: their settings, paths, metrics and files exist."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from tornado.httpclient import AsyncHTTPClient

from server.app import ROUTES
from server.config import Settings
from server.telemetry.metrics import Metrics
from tests.deploy.test_nginx_streams import certificate, tls_conf
from tests.e2e.test_behind_nginx import CONF, plain_conf
from tests.support.gateway import free_port, running_gateway

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
KUBERNETES = "1.31"  # the oldest one that is still looked after
OTHERS = {"PATH", "PYTHONPATH", "PYTHONUNBUFFERED"}  # of the image, not of the gateway


def known(name: str) -> bool:
    """Is it a setting, the file of one, or of OpenTelemetry?"""
    setting = name.removesuffix("_FILE").lower()
    return name.lower() in Settings.model_fields or setting in Settings.model_fields or name.startswith("OTEL_")


def documents(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / name).read_text()))
    return found


def strings(value: Any) -> list[str]:
    """Every text in a document."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


# --- the speech engines ---


@pytest.mark.parametrize(
    ("fails", "told"),
    [
        ("engines/voice", ["eSpeak NG (GPL-3.0-or-later) speaks in its place"]),
        ("engines/voice|espeak", ["eSpeak NG could not be either, so nothing speaks"]),
        ("engines/ears", ["the light one listens in its place"]),
        ("engines/ears|pocketsphinx", ["there is no light one here either, so nothing listens"]),
        ("engines|espeak", ["so nothing speaks", "the light one listens in its place"]),
        ("gateway.echo", ["told by its words alone"]),
        ("nothing", []),
    ],
)
def test_an_engine_that_cannot_be_installed_costs_the_engine_and_what_replaces_it_is_told(
    fails: str, told: list[str], tmp_path: Path
) -> None:
    python = tmp_path / "python"  # of an environment where pip, or an import, fails for what `fails` names
    asked = tmp_path / "asked"
    python.write_text(f'#!/bin/sh\necho "$*" >> {asked}\n! echo "$*" | grep -qE "{fails}"\n')
    python.chmod(0o755)
    done = subprocess.run(
        ["sh", str(DEPLOY / "engines" / "install.sh"), str(python)], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()[1:]
    assert len(lines) == len(told)
    assert all(words in line and "make speech" in line for words, line in zip(told, lines, strict=True))
    asked.unlink()
    strict = subprocess.run(["sh", str(DEPLOY / "engines" / "install.sh"), str(python), "--strict"], check=False)
    assert (strict.returncode == 0) is (not told)
    assert "engines/voice.txt" in asked.read_text()
    assert "engines/ears.txt" in asked.read_text()


# --- Kubernetes ---


@pytest.mark.parametrize("document", documents("kubernetes/gateway.yaml"), ids=lambda document: document["kind"])
def test_kubernetes_accepts_each_document(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, KUBERNETES, strict=True)
    assert document["metadata"]["name"]


def test_kubernetes_sets_what_exists_and_probes_what_answers() -> None:
    by_kind = {document["kind"]: document for document in documents("kubernetes/gateway.yaml")}
    assert [name for name in by_kind["ConfigMap"]["data"] if not known(name)] == []
    (container,) = by_kind["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert [entry["name"] for entry in container.get("env", []) if not known(entry["name"])] == []
    probes = {name: container[name]["httpGet"]["path"] for name in container if name.endswith("Probe")}
    assert probes["livenessProbe"] == "/live"
    assert probes["readinessProbe"] == "/ready"
    assert set(probes.values()) <= {route.path for route in ROUTES}
    drain_s = int(by_kind["ConfigMap"]["data"].get("DRAIN_SECONDS", Settings.model_fields["drain_seconds"].default))
    assert by_kind["Deployment"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > drain_s


# --- compose, image, systemd ---


def test_compose_sets_what_exists() -> None:
    (compose,) = documents("compose.yaml")
    for name, service in compose["services"].items():
        if name.startswith("gateway"):
            assert [key for key in service["environment"] if not known(key)] == [], name
    assert {"gateway-1", "gateway-2", "nginx", "redis"} <= set(compose["services"])
    for volume in compose["services"]["nginx"]["volumes"]:
        source = volume.split(":")[0]
        assert source == "./tls" or (DEPLOY / source).exists(), source


def test_what_may_not_write_to_its_image_has_a_place_for_long_uploads() -> None:
    (compose,) = documents("compose.yaml")
    for service in compose["services"].values():
        if service.get("read_only"):
            assert service["tmpfs"] == ["/tmp"]
    (deployment,) = (each for each in documents("kubernetes/gateway.yaml") if each["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_the_services_own_the_folder_of_their_volume() -> None:
    """Docker gives a new volume the owner of the image's folder at its place, and root if there is none."""
    (compose,) = documents("compose.yaml")
    (volume,) = compose["services"]["services"]["volumes"]
    lines = dockerfile()
    begin = next(index for index, line in enumerate(lines) if line.endswith("AS services"))
    end = next(index for index in range(begin + 1, len(lines)) if lines[index].startswith("FROM "))
    stage = lines[begin:end]
    made = stage.index("RUN mkdir .jarvis")
    (user,) = (line for line in stage if line.startswith("USER "))
    (place,) = (line.removeprefix("WORKDIR ") for line in stage if line.startswith("WORKDIR "))
    assert user != "USER root"
    assert stage.index(user) < made
    assert volume.split(":")[1] == f"{place}/.jarvis"


def dockerfile() -> list[str]:
    text = (ROOT / "Dockerfile").read_text()
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    return [re.sub(r" +", " ", line) for line in lines]


def test_the_image_is_made_of_what_is_there_and_does_not_run_as_root() -> None:
    last = dockerfile()[max(index for index, line in enumerate(dockerfile()) if line.startswith("FROM")) :]
    assert any(line.startswith("USER ") and line != "USER root" for line in last)
    assert any(line.startswith("HEALTHCHECK") and "/live" in line for line in last)
    for line in dockerfile():
        if line.startswith("COPY ") and "--from" not in line:
            *sources, _ = shlex.split(line)[1:]
            assert [source for source in sources if not (ROOT / source).exists()] == []
    for line in dockerfile():
        if line.startswith("ENV "):
            names = [pair.split("=")[0] for pair in shlex.split(line)[1:]]
            assert [name for name in names if name not in OTHERS and not known(name)] == []


def test_hadolint_finds_nothing() -> None:
    binary = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([str(binary), "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_unit_starts_the_gateway_and_gives_it_time_to_drain() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # as configparser's documentation says
    unit.read(DEPLOY / "systemd" / "jarvis-gateway@.service")
    service = unit["Service"]
    assert service["ExecStart"].endswith("-m server")
    assert service["KillSignal"] == "SIGTERM"
    assert int(service["TimeoutStopSec"]) > Settings.model_fields["drain_seconds"].default
    names = [pair.split("=")[0] for pair in service["Environment"].split()]
    assert [name for name in names if not known(name)] == []


# --- Prometheus, Grafana ---


def exported() -> set[str]:
    """Names of all metrics, with those that a histogram is made of."""
    metrics = Metrics("test")
    described = {family.name for family in metrics.registry.collect()}
    suffixes = ("", "_total", "_bucket", "_count", "_sum", "_info")
    return {f"{name}{suffix}" for name in described for suffix in suffixes}


@pytest.mark.parametrize("name", ["prometheus/alerts.yml", "grafana/jarvis-gateway.json", "kubernetes/gateway.yaml"])
def test_every_metric_that_is_asked_for_is_exported(name: str) -> None:
    text = (DEPLOY / name).read_text()
    texts = strings(json.loads(text)) if name.endswith("json") else strings(documents(name))
    asked = set(re.findall(r"\bapi_gateway_\w+", "\n".join(texts)))
    assert asked
    assert asked - exported() == set()


# --- several processes on one port ---


async def test_processes_share_a_port(tmp_path: Path) -> None:
    port = str(free_port())
    shared = {"REUSE_PORT": "true", "EMBEDDED": "false", "REDIS_URL": ""}
    for name in "ab":
        (tmp_path / name).mkdir()
    with (
        running_gateway(tmp_path / "a", **shared, PORT=port),
        running_gateway(tmp_path / "b", **shared, PORT=port),
    ):
        started: set[bytes] = set()
        while len(started) < 2:
            answer = await AsyncHTTPClient(force_instance=True).fetch(f"http://127.0.0.1:{port}/metrics")
            started.update(re.findall(rb"^process_start_time_seconds (\S+)", answer.body, flags=re.MULTILINE))
    assert len(started) == 2, "both processes answered"


def _nginx_says(conf: Path) -> tuple[int, str]:
    done = subprocess.run(
        ["nginx", "-t", "-c", str(conf), "-e", str(conf.with_name("error.log"))],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    return done.returncode, done.stderr


def test_nginx_accepts_its_configuration(tmp_path: Path) -> None:
    conf = tmp_path / "nginx.conf"
    conf.write_text(plain_conf(tmp_path, free_port(), [8001, 8002]))
    assert _nginx_says(conf)[0] == 0


def test_an_nginx_before_http2_on_accepts_what_the_configuration_advises_for_it(tmp_path: Path) -> None:
    text = CONF.read_text()
    (advised,) = re.findall(r"^# Before 1\.25\.1.*: write `(listen .*;)` instead\.$", text, flags=re.MULTILINE)
    assert text.count("    listen 443 ssl;\n") == text.count("    http2 on;\n") == 1
    certificate(tmp_path)
    conf = tmp_path / "nginx.conf"
    conf.write_text(tls_conf(tmp_path, 443, [8001, 8002]).replace("listen 127.0.0.1:443 ssl;", advised))
    code, said = _nginx_says(conf)
    assert code == 0, said
