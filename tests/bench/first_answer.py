"""From an empty folder to a first answer: the Python wheel by pip, the JavaScript package by npm, against a gateway that runs already.

`python -m tests.bench.first_answer`; the wheel and the package are built first, from the checkout, and that is not counted. What pip
and npm fetch (pydantic, Tornado; ws) comes from whatever index this machine is set up with, without a cache.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.machine import head, say
from tests.support.gateway import running_gateway
from tests.support.packages import ROOT, build_wheel

ASK_PYTHON = """
from jarvis_client import JarvisClient
with JarvisClient("{base}", user_id="developer") as client:
    print(client.say("what time is it"))
"""
ASK_JAVASCRIPT = """
import {{ WebSocket }} from 'ws';
import {{ JarvisClient }} from 'jarvis-client';
const client = new JarvisClient('{base}', {{ userId: 'developer', webSocket: WebSocket }});
await client.connect();
const turn = client.open('turn', {{ text: 'what time is it', reply: 'text' }});
turn.addEventListener('turn.reply', ({{ detail }}) => console.log(detail.text));
turn.addEventListener('closed', () => client.close());
"""


def timed(folder: Path, *command: str | Path) -> str:
    """Run it, tell its seconds, and give what it printed."""
    words = [str(word) for word in command]
    began = time.monotonic()
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = " ".join(Path(word).name if "/" in word else word for word in words[:6])
    say(f"{time.monotonic() - began:6.1f} s  {shown}")
    return done.stdout.strip()


def python(folder: Path, wheel: Path, base: str) -> None:
    """Of the wheel."""
    (folder / "ask.py").write_text(ASK_PYTHON.format(base=base))
    timed(folder, sys.executable, "-m", "venv", "env")
    timed(folder, folder / "env/bin/pip", "install", "--quiet", "--no-cache-dir", wheel)
    assert timed(folder, folder / "env/bin/python", "ask.py").startswith("It is ")


def javascript(folder: Path, package: Path, base: str) -> None:
    """Of the package."""
    (folder / "ask.mjs").write_text(ASK_JAVASCRIPT.format(base=base))
    cache = f"--cache={folder / 'cache'}"
    timed(folder, "npm", "install", "--silent", "--no-audit", "--no-fund", package, "ws", cache)
    assert timed(folder, "node", "ask.mjs").startswith("It is ")


def main() -> None:
    """Both."""
    head("first answer")
    with tempfile.TemporaryDirectory() as name, running_gateway(Path(name)) as gateway:
        here = Path(name)
        for part in ("build", "python", "javascript"):
            (here / part).mkdir()
        wheel = build_wheel(here / "build", "packaging/jarvis-client")
        pack = ["npm", "pack", "--silent", "--pack-destination", str(here), str(ROOT / "static")]
        package = here / subprocess.run(pack, capture_output=True, text=True, check=True).stdout.strip()
        python(here / "python", wheel, gateway.base)
        javascript(here / "javascript", package, gateway.base)


if __name__ == "__main__":
    main()
