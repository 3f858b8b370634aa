"""Regenerate the Python code and typed stubs of every .proto in this folder.

Run `python -m protos.generate` from the project root with the `test` extra installed. `--out DIR` writes elsewhere, for the
test that compares the output with the committed files.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def generate(out: Path) -> None:
    """Write `protos/*_pb2*.py[i]` below `out`; raises CalledProcessError if a .proto is invalid."""
    sources = sorted(f"protos/{path.name}" for path in (ROOT / "protos").glob("*.proto"))
    targets = [f"--{kind}_out={out}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", *targets, *sources]
    # protoc looks for its mypy plugins on PATH, which lacks the environment's folder unless it was activated
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "PATH": path})


def main() -> None:
    """Parse the command line and generate."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT)
    generate(parser.parse_args().out)


if __name__ == "__main__":
    main()
