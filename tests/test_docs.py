"""The claims of the README, as far as they can be checked."""

from __future__ import annotations

import importlib
import re
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from server.config import SECRETS, Settings
from server.embedded.__main__ import default_address
from server.operations import OPERATIONS
from server.services import SERVICES
from streaming.protocol.limits import Limits

if TYPE_CHECKING:
    from tests.support.gateway import GatewayProcess

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "docs" / "SETTINGS.md").read_text(encoding="utf-8")


def test_the_settings_table_names_every_setting_with_its_meaning() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \|[^|]*\| (.*) \|$", SETTINGS, re.MULTILINE))
    assert rows == {name.upper(): field.description for name, field in Settings.model_fields.items()}


def test_the_settings_page_names_every_secret_that_may_come_from_a_file() -> None:
    (named,) = re.findall(r"^(`.*) are also read from the file that `NAME_FILE` names\.$", SETTINGS, re.MULTILINE)
    assert re.findall(r"`(\w+)`", named) == list(SECRETS)


def test_settings_in_the_readme_exist() -> None:
    assert "](docs/SETTINGS.md)" in README
    section = README.partition("## Configuration")[2].partition("\n## ")[0]
    named = re.findall(r"`([A-Z]{3,}[A-Z_]+)[=`]", section)
    assert len(named) > 5
    assert [name for name in named if name.lower() not in Settings.model_fields] == []


def test_the_services_table_has_each_service_at_its_address() -> None:
    addresses = re.findall(r"^\| M\d+ \| [\w-]+ \| `localhost:(\d+)` \|", README, re.MULTILINE)
    assert addresses == [default_address(name).rpartition(":")[2] for name in SERVICES]


def test_paths_in_the_readme_are_operations_or_pages() -> None:
    known = {operation.path for operation in OPERATIONS} | {"/docs", "/redoc", "/console", "/v1"}
    named = {path for path in re.findall(r"127\.0\.0\.1:8000(/[\w/.]*)", README) if path != "/"}
    assert named <= known


def test_files_in_the_readme_exist() -> None:
    for path in re.findall(r"\]\(([\w/.-]+)\)|`((?:deploy|server|static|streaming|protos)/[\w/.@-]+)`", README):
        assert (ROOT / (path[0] or path[1])).exists(), path


def test_the_readme_has_no_figure_without_its_command() -> None:
    section = README.partition("## Benchmarks")[2].partition("\n## ")[0]
    assert "PLACEHOLDER" not in README
    assert not re.search(r"\d+ (ms|µs)", section) or "make bench" in section


def test_the_readme_promises_the_start_that_its_table_measured() -> None:
    (promised,) = re.findall(r"the gateway starts in some (\d+) seconds", README)
    (measured,) = re.findall(r"^\| start to listening, .* \| ([\d.]+) s \|", README, re.MULTILINE)
    assert int(promised) == round(float(measured))


def test_the_readme_shows_the_way_in_the_order_that_people_go() -> None:
    sections = re.findall(r"^## (.+)$", README, re.MULTILINE)
    assert sections == [
        "Run it", "How data flows", "Try it", "Configuration", "Services", "Tests", "Benchmarks", "Deployment", "Troubleshooting",
    ]  # fmt: skip
    tries = re.findall(r"^### (.+)$", README.partition("## Try it")[2].partition("\n## ")[0], re.MULTILINE)
    clients = ["curl", "The WebSocket", "The console", "Python", "JavaScript"]
    assert [name for name in tries if name in clients] == clients


CURLS = [line for line in re.findall(r"^curl .*$", README, re.MULTILINE) if "auth/token" not in line]


@pytest.mark.parametrize("line", CURLS)
def test_each_curl_runs_as_printed(gateway: GatewayProcess, tmp_path: Path, line: str) -> None:
    command = line.replace("http://127.0.0.1:8000", gateway.base).replace("tests/audio", str(ROOT / "tests" / "audio"))
    done = subprocess.run(
        ["sh", "-c", f"TOKEN={gateway.token}; {command} --fail-with-body -w '\\n%{{http_code}}'"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "200", done.stdout


def test_every_promise_of_the_security_page_names_a_test_that_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", (ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    assert len(named) >= 30
    missing = [
        f"{file}::{test}" for file, test in named if f"def {test}(" not in (ROOT / file).read_text(encoding="utf-8")
    ]
    assert missing == []


_UNITS = {"KiB": 1024, "MiB": 1024 * 1024}


def test_the_bounds_of_the_security_page_are_those_of_the_code() -> None:
    table = (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition("## Buffers")[2].partition("## Executors")[0]
    bounds = re.findall(r"\| (\d+) ?(KiB|MiB|) \| `([\w.:]+)` \|", table)
    assert len(bounds) == table.count("`tests/") >= 15
    for number, unit, name in bounds:
        module, _, constant = name.rpartition(":")
        if not module:
            value = Settings.model_fields[name.lower()].default
        elif constant.startswith("Limits."):
            value = getattr(Limits(), constant.partition(".")[2])
        else:
            value = getattr(importlib.import_module(module), constant)
        assert value == int(number) * _UNITS.get(unit, 1), name


def test_what_an_installed_gateway_says_is_missing_can_be_installed_without_a_checkout() -> None:
    sources = [
        file.read_text(encoding="utf-8") for folder in ("server", "streaming") for file in (ROOT / folder).rglob("*.py")
    ]
    told = {extra for text in sources for extra in re.findall(r"pip install 'jarvis-gateway\[([a-z,]+)\]'", text)}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {"voice", "espeak"} <= told <= set(extras)
    assert [text for text in sources if "pip install -e" in text] == []
