"""Builds jarvis-client out of the gateway's sources (PEP 517).

The modules of `streaming/client`, and those of `streaming` that they need, are copied to a folder `jarvis_client` with their
imports renamed, and built there by setuptools. The repository has no second copy of them, and client and gateway can be
installed side by side without common files. A source distribution contains the result.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from setuptools import build_meta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RENAMED = (  # module names, in this order
    (re.compile(r"\bstreaming\.client\b"), "jarvis_client"),
    (re.compile(r"\bstreaming\.(?=[a-z])"), "jarvis_client.core."),
    (re.compile(r"^streaming$|(?<=\bfrom )streaming(?= import\b)"), "jarvis_client.core"),
)
BACKEND = 'build-backend = "build_backend"\nbackend-path = ["."]'


def _renamed(text: str) -> str:
    for old, new in RENAMED:
        text = old.sub(new, text)
    return text


def _file(module: str) -> Path | None:
    """A module's source file; None if the name is not a module, but something inside one."""
    place = ROOT.joinpath(*module.split("."))
    found = [place / "__init__.py", place.with_suffix(".py")]
    return next((file for file in found if file.is_file()), None)


def _imports(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def modules() -> dict[str, Path]:
    """All modules of the client, and those of `streaming` that it needs, by name."""
    waiting = [f"streaming.client.{file.stem}" for file in (ROOT / "streaming" / "client").glob("*.py")]
    waiting = [name.removesuffix(".__init__") for name in waiting]
    needed: dict[str, Path] = {}
    while waiting:
        name = waiting.pop()
        file = _file(name)
        if name in needed or file is None or name.partition(".")[0] != "streaming":
            continue
        needed[name] = file
        waiting += [name.rpartition(".")[0], *_imports(file.read_text(encoding="utf-8"))]
    return needed


def assemble(target: Path) -> None:
    """Write the project for setuptools."""
    for name, file in modules().items():
        text = file.read_text(encoding="utf-8")
        place = target.joinpath(*_renamed(name).split("."))
        place = place / "__init__.py" if file.name == "__init__.py" else place.with_suffix(".py")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(_renamed(text), encoding="utf-8")
    shutil.copy(ROOT / "streaming" / "client" / "py.typed", target / "jarvis_client")
    shutil.copy(HERE / "README.md", target)
    shutil.copy(ROOT / "LICENSE", target)
    project = (HERE / "pyproject.toml").read_text(encoding="utf-8")
    (target / "pyproject.toml").write_text(
        project.replace(BACKEND, 'build-backend = "setuptools.build_meta"'), encoding="utf-8"
    )


@contextmanager
def _assembled() -> Iterator[None]:
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="jarvis-client-") as directory:
        assemble(Path(directory))
        os.chdir(directory)
        try:
            yield
        finally:
            os.chdir(before)


def build_wheel(
    wheel_directory: str, config_settings: dict[str, object] | None = None, metadata_directory: str | None = None
) -> str:
    """PEP 517."""
    return _build(build_meta.build_wheel, wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory: str, config_settings: dict[str, object] | None = None) -> str:
    """PEP 517."""
    return _build(build_meta.build_sdist, sdist_directory, config_settings)


def _build(build: Callable[..., str], directory: str, *rest: object) -> str:
    target = str(Path(directory).resolve())
    with _assembled():
        return build(target, *rest)
