"""The JavaScript codec reads the same vectors: run by Node's own test runner."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.conftest import HANG_S


def test_the_javascript_codec_passes_the_golden_vectors() -> None:
    node = shutil.which("node")
    assert node, "Node.js 20 or later is needed for this test (apt-get install nodejs)"
    script = Path(__file__).with_name("codec.test.mjs")
    run = subprocess.run([node, "--test", str(script)], capture_output=True, text=True, timeout=HANG_S, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "# fail 0" in run.stdout
