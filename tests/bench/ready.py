"""The memory of a gateway that is ready, with nothing connected, beside what its libraries take alone.

Without Redis and services. "Libraries" is `tests.bench.libraries`. What is not a process's own is code mapped from files, and shared
with other processes that have mapped it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.bench.machine import head, say
from tests.support.gateway import ROOT, environment, running_gateway

SETTLE_S = 4.0  # the channels have tried to connect
MAPPINGS_TOLD = 8
_MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+ *(.*)")


def tell(label: str, pid: int) -> None:
    """Print what the process holds, and the files of which it has mapped most."""
    resident, private = Counter[str](), Counter[str]()
    name = ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if (mapping := _MAPPING.fullmatch(line)) is not None:
            name = Path(mapping[1]).name
        elif line.startswith("Rss:"):
            resident[name] += int(line.split()[1])
        elif line.startswith(("Private_Dirty:", "Private_Clean:")):
            private[name] += int(line.split()[1])
    say(f"{label:10}{resident.total():>9,} KiB resident, {private.total():,} of them its own")
    files = Counter({name: size for name, size in resident.items() if ".so" in name})
    say(f"{'':10}" + ", ".join(f"{name.split('.')[0]} {size:,}" for name, size in files.most_common(MAPPINGS_TOLD)))


def main() -> None:
    """Measure both."""
    head("a process that is ready")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        alone = subprocess.Popen([sys.executable, "-m", "tests.bench.libraries"], env=environment(directory), cwd=ROOT)
        with running_gateway(directory, EMBEDDED="false", REDIS_URL="", DEBUG="false", LOG_FORMAT="json") as running:
            time.sleep(SETTLE_S)
            tell("gateway", running.process.pid)
            tell("libraries", alone.pid)
        alone.terminate()
        alone.wait()


if __name__ == "__main__":
    main()
