"""A process that was stopped ends with the one that started it, all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from server.process import lifeline

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a matter of Linux's kernel")
# What starts the process, says its number when it is there, and waits.
PARENTS = {
    "espeak": """
from server.embedded.tts.espeak import Espeak
engine = Espeak()
print(engine._process.pid, flush=True)
""",
    "recogniser": """
import asyncio
from server.embedded.stt.engine import pocketsphinx
from server.embedded.stt.process import DecoderProcess
loop = asyncio.new_event_loop()
process = loop.run_until_complete(DecoderProcess.start(pocketsphinx().arguments, lambda: None))
print(process.pid, flush=True)
""",
    "decoder": """
import asyncio
from server.audio.upload import UploadDecoder, _forker
from tests.server.audio.test_decode import wav
import tempfile
file = tempfile.TemporaryFile()
file.write(wav(300, 44100))
decoder = UploadDecoder(file)
loop = asyncio.new_event_loop()
loop.run_until_complete(decoder.next_piece())
forker = _forker._process.pid
forks = open(f"/proc/{forker}/task/{forker}/children").read()
print(forker, forks, flush=True)
""",
    "services": """
import asyncio, os, sys
from pathlib import Path
from server.process.children import EmbeddedProcess
services = EmbeddedProcess({"safety": "127.0.0.1:0"}, Path(sys.argv[1]), os.environ, {})
loop = asyncio.new_event_loop()
loop.run_until_complete(services.start())
print(services._process.pid, flush=True)
""",
    "redis": """
import asyncio
from server.process.children import BundledRedis
redis = BundledRedis()
loop = asyncio.new_event_loop()
assert loop.run_until_complete(redis.start())
print(redis._process.pid, flush=True)
""",
    "browser driver": """
import asyncio
import tempfile
from pathlib import Path
from server.embedded.browser.driver import Driver
async def start():
    driver = Driver(Path(tempfile.mkdtemp(dir=sys.argv[1])))
    await driver.start()
    print(driver._process.pid, flush=True)
    return driver
import sys
loop = asyncio.new_event_loop()
driver = loop.run_until_complete(start())
""",
}


def gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("kind", PARENTS)
def test_a_stopped_process_ends_with_its_parent(kind: str, tmp_path: Path) -> None:
    program = PARENTS[kind] + "import time\ntime.sleep(600)\n"
    root = Path(lifeline.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, env=environment, cwd=root
    ) as parent:
        assert parent.stdout is not None
        started = [int(number) for number in parent.stdout.readline().split()]
        try:
            assert started
            for process in started:
                os.kill(process, signal.SIGSTOP)
            parent.kill()
            until_s = time.monotonic() + 30
            while not all(map(gone, started)) and time.monotonic() < until_s:
                time.sleep(0.01)
            assert [process for process in started if not gone(process)] == []
        finally:
            parent.kill()
            for process in started:
                if not gone(process):
                    os.kill(process, signal.SIGKILL)


def test_a_program_whose_parent_has_died_before_does_not_begin(tmp_path: Path) -> None:
    written = tmp_path / "written"
    command = [sys.executable, "-I", "-S", lifeline.__file__, "1", "touch", str(written)]
    if os.getpid() == 1:
        command[4] = "2"
    subprocess.run(command, check=True)
    assert not written.exists()
    subprocess.run(lifeline.held("touch", str(written)), check=True)
    assert written.exists()
