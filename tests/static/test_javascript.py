"""The JavaScript client and the console's pure parts, run by Node's own test runner."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import HANG_S


@pytest.mark.parametrize("script", ["account.test.mjs", "client.test.mjs", "console.test.mjs"])
def test_javascript(script: str) -> None:
    node = shutil.which("node")
    assert node, "Node.js 20 or later is needed for this test (apt-get install nodejs)"
    file = Path(__file__).with_name(script)
    run = subprocess.run(
        [node, "--test", "--test-reporter=tap", str(file)], capture_output=True, text=True, timeout=HANG_S, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "# fail 0" in run.stdout
