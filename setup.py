"""The optional compiled build: `JARVIS_COMPILED=1 pip install .` compiles the hot path (server/hot_path.py) to C.

Without the variable this file adds nothing, and the wheel stays pure Python. Compiled modules only ever get into a wheel. An
editable install is refused: a compiled module beside its source would hide every later change of it.
"""

from __future__ import annotations

import os
import re
import runpy
import shutil
import sys
import tomllib
from pathlib import Path

from setuptools import Extension, setup

MYPY = "mypy==2.4.1"  # exact: mypyc is part of it, and each release compiles differently
# What is compiled depends on the types that mypy finds: these libraries have to be there when it looks, with the project's versions.
TYPED = {"tornado", "pydantic", "structlog"}
STUBS = ("types-grpcio", "types-protobuf")
OPTIMISE = os.environ.get("JARVIS_COMPILED_OPTIMISE", "3")  # as gcc's -O; 0 is built sooner, for tests
BUILD = "build/hot_path"  # emptied first: whatever an earlier build left there would get into the wheel
FLAGS = (
    "--config-file=",  # not the project's, whose plugin needs pydantic
    "--python-version=3.11",
    "--ignore-missing-imports",  # other libraries are not installed where pip builds
    "--follow-imports=silent",
    "--disable-error-code=import-untyped",
)


def build_requirements() -> list[str]:
    """What pip installs before it builds."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    typed = [needed for needed in project["dependencies"] if re.split(r"[\[<>=]", needed)[0] in TYPED]
    return [MYPY, *STUBS, *typed]


def hot_path() -> list[Extension]:
    """The modules as extensions; only for a wheel."""
    from mypyc.build import mypycify  # noqa: PLC0415 - installed for a compiled build only

    shutil.rmtree(BUILD, ignore_errors=True)
    Path(BUILD).mkdir(parents=True)
    modules = runpy.run_path("server/hot_path.py")["MODULES"]
    files = [name.replace(".", "/") + ".py" for name in modules]
    found: list[Extension] = mypycify(
        [*FLAGS, *files], opt_level=OPTIMISE, strip_asserts=False, target_dir=BUILD, group_name="jarvis_hot_path"
    )
    for extension in found:
        # Nobody reads warnings about generated C, and gcc needs four times as long to look for them.
        extension.extra_compile_args.append("-Wno-all")
    return found


if os.environ.get("JARVIS_COMPILED") == "1":
    if {"editable_wheel", "develop", "build_ext"} & set(sys.argv):
        sys.exit("JARVIS_COMPILED=1 is for a wheel: an editable install stays plain Python (`make compiled`)")
    setup(
        setup_requires=build_requirements()
        if "egg_info" in sys.argv
        else [],  # pip asks so what it has to install first
        ext_modules=hot_path() if "bdist_wheel" in sys.argv else [],
        options={"build": {"build_base": BUILD}},
    )
else:
    setup()
