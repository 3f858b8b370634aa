"""Wheels built from the sources, and environments that have a wheel instead of the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LEFT_OUT = shutil.ignore_patterns(".*", "tests", "build", "dist", "node_modules", "__pycache__", "*.egg-info")


def build_wheel(directory: Path, project: str = ".") -> Path:
    """Build the wheel of the project in that folder, from a copy of the sources, so that the checkout stays clean."""
    sources = directory / "sources"
    if not sources.exists():
        shutil.copytree(ROOT, sources, ignore=_LEFT_OUT)
    wheels = directory / "wheels" / project
    _run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, sources / project)
    (wheel,) = wheels.glob("*.whl")
    return wheel


class Environment:
    """A virtual environment with wheels, and with the libraries of the environment that runs the tests."""

    def __init__(self, directory: Path, *wheels: Path) -> None:
        self.directory = directory
        venv.create(directory, with_pip=False, symlinks=True)
        self.python = directory / "bin" / "python"
        _run(sys.executable, "-m", "pip", "--python", self.python, "install", "--no-deps", "--no-index", *wheels)
        # .pth files on a plain path are not run, which excludes the checkout's editable install
        site = Path(sysconfig.get_path("purelib", vars={"base": str(directory)}))
        (site / "libraries.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")

    def settings(self, **more: str) -> dict[str, str]:
        """Environment variables for its processes, without the caller's settings."""
        kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        return {**kept, "PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}", **more}

    def run(self, code: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run Python code in the environment."""
        command = [str(self.python), "-c", code]
        return subprocess.run(
            command, cwd=folder, env=self.settings(**settings), capture_output=True, text=True, check=False
        )


def _run(*command: str | Path) -> None:
    # With PYTHONPATH on a checkout in which a wheel was built, pip takes the egg-info there for an installed gateway, and installs none.
    plain = {name: value for name, value in os.environ.items() if name not in {"JARVIS_COMPILED", "PYTHONPATH"}}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=plain)
    assert done.returncode == 0, done.stdout + done.stderr
