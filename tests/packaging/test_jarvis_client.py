"""The client as users install it: a wheel in a separate environment, used from another folder."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import HANG_S
from tests.server.embedded.speech import folded
from tests.support.gateway import AUDIO
from tests.support.packages import ROOT, Environment, build_wheel

if TYPE_CHECKING:
    from tests.support.gateway import GatewayProcess

PROJECT = "packaging/jarvis-client"
README = (ROOT / PROJECT / "README.md").read_text(encoding="utf-8")
FIRST, VOICE_APP, ASYNC = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
(OF_THE_GATEWAYS_README,) = re.findall(
    r"```python\n(from jarvis_client.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("client-wheel"), PROJECT)


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("client") / "environment", wheel)


def _at(example: str, gateway: GatewayProcess) -> str:
    assert "http://127.0.0.1:8000" in example
    return example.replace("http://127.0.0.1:8000", gateway.base)


def test_the_first_example_runs(environment: Environment, gateway: GatewayProcess, tmp_path: Path) -> None:
    done = environment.run(_at(FIRST, gateway), tmp_path)
    assert done.returncode == 0, done.stderr
    answer, intent = done.stdout.splitlines()
    assert "It is" in answer, done.stderr
    assert intent == "get_time"
    assert done.stderr == ""


def test_the_example_of_the_gateways_readme_runs(
    environment: Environment, gateway: GatewayProcess, tmp_path: Path
) -> None:
    done = environment.run(_at(OF_THE_GATEWAYS_README, gateway), tmp_path)
    assert done.stdout.splitlines() == ["get_time", "I will remember that your name is Ada."], done.stderr


def test_the_asyncio_example_runs(environment: Environment, gateway: GatewayProcess, tmp_path: Path) -> None:
    done = environment.run(_at(ASYNC, gateway), tmp_path)
    answer, *events = done.stdout.splitlines()
    ways = ("I will remember that", "I know already that")  # the second if another example has told it before
    assert answer in {f"{way} your name is Ada." for way in ways}, done.stderr
    assert [event.partition("(")[0] for event in events][-2:] == ["TaskResult", "ChannelClosed"]
    assert max(map(len, events)) < 400, "an event is one line"


def test_the_voice_app_talks(environment: Environment, gateway: GatewayProcess, tmp_path: Path) -> None:
    assert len(VOICE_APP.splitlines()) <= 20
    shutil.copy(Path(__file__).with_name("sounddevice.py"), tmp_path)
    script, played = tmp_path / "voice_app.py", tmp_path / "played.pcm"
    script.write_text(_at(VOICE_APP, gateway), encoding="utf-8")
    speech = str(AUDIO / "flite-slt-what-time-is-it.wav")
    app = subprocess.Popen(
        [environment.python, script],
        cwd=tmp_path,
        env=environment.settings(SPEECH=speech, PLAYED=str(played)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert app.stdout is not None
    said = [app.stdout.readline() for _ in range(3)]
    assert said[0] == "Speak; Ctrl-C ends.\n"
    assert folded(said[1]) == "you what time is it"
    assert said[2].startswith("agent: It is")
    while not played.exists() or played.stat().st_size < 10_000:
        assert app.poll() is None
        time.sleep(0.05)
    app.send_signal(signal.SIGINT)
    rest, errors = app.communicate(timeout=HANG_S)
    assert (rest, errors, app.returncode) == ("Bye.\n", "", 0)


def test_a_program_that_uses_it_passes_mypy_strict(environment: Environment, tmp_path: Path) -> None:
    for number, example in enumerate((FIRST, VOICE_APP, ASYNC)):
        (tmp_path / f"example{number}.py").write_text(example, encoding="utf-8")
    wrong = 'from jarvis_client import JarvisClient\nJarvisClient(url=1).say("hello").text + 1\n'
    (tmp_path / "wrong.py").write_text(wrong, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(environment.python), "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert {line.partition(":")[0] for line in done.stdout.splitlines()[:-1]} == {"wrong.py"}, done.stdout
    assert done.stdout.count("error:") == 2, done.stdout


def test_nothing_of_the_gateway_is_needed(environment: Environment, tmp_path: Path) -> None:
    done = environment.run("import jarvis_client, sys; print(*sys.modules)", tmp_path)
    core = {name.split(".")[2] for name in done.stdout.split() if name.startswith("jarvis_client.core.")}
    assert core == {"protocol", "errors", "rfc6455", "strict_json"}
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "jarvis_client" in loaded, done.stderr
    assert loaded.isdisjoint({"server", "handlers", "streaming", "grpc", "redis", "av", "sounddevice"})
    assert environment.run("import streaming", tmp_path).returncode == 1


def test_it_has_two_dependencies() -> None:
    project = tomllib.loads((ROOT / PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.split(r"[<>=]", needed)[0] for needed in project["dependencies"]]
    assert names == ["pydantic", "tornado"]


def test_gateway_and_client_go_into_one_environment(wheel: Path, tmp_path: Path) -> None:
    gateway_wheel = build_wheel(tmp_path)
    assert gateway_wheel.name.endswith("-py3-none-any.whl"), "compiled only if asked (JARVIS_COMPILED)"
    files = [set(zipfile.ZipFile(file).namelist()) for file in (wheel, gateway_wheel)]
    assert files[0].isdisjoint(files[1])
    both = Environment(tmp_path / "both", gateway_wheel, wheel)
    code = "import jarvis_client, server.version as s; print(jarvis_client.__version__ == s.__version__)"
    assert both.run(code, tmp_path).stdout == "True\n"


def test_the_source_distribution_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    code = f"import sys; sys.path.insert(0, '.'); import build_backend; print(build_backend.build_sdist('{tmp_path}'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / PROJECT,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/bin"},
    )
    archive = tmp_path / done.stdout.splitlines()[-1]
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(archive),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (again,) = tmp_path.glob("*.whl")
    assert zipfile.ZipFile(again).namelist() == zipfile.ZipFile(wheel).namelist()
