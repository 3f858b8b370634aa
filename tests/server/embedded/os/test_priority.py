"""Commands leave the processor to the services, so that nobody's speech suffers from them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from server.embedded.os import process as os_process

if TYPE_CHECKING:
    from pathlib import Path

# Waits until it has another priority than the services.
RANK = f"""
import os
while (own := os.getpriority(os.PRIO_PROCESS, 0)) == {os.getpriority(os.PRIO_PROCESS, 0)}: pass
print(own, os.getsid(0), os.getpgid(0) == os.getpid())
"""


async def tell(message: str = "", *, stream: str = "", data: str = "") -> None:
    assert message or stream or not data


async def test_commands_have_a_lower_priority_than_the_services_and_no_session_of_their_own(tmp_path: Path) -> None:
    """A session has as much of the processor as all services together, whatever its priority (Linux: autogroup)."""
    ended = await os_process.run(sys.executable, "python", ["-S", "-c", RANK], tmp_path, tell)
    lower = min(os.getpriority(os.PRIO_PROCESS, 0) + os_process.NICE, 19)
    assert (ended.stdout, ended.stderr) == (f"{lower} {os.getsid(0)} True\n", "")
