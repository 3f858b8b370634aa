"""pipecat's and livekit's own services for OpenAI's Realtime API, unmodified, where `make test-clients` has installed them.

They stand in an environment of their own: what they pin does not fit the gateway's.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.between import between
from tests.support.gateway import AUDIO, ROOT

if TYPE_CHECKING:
    from tests.support.gateway import GatewayProcess

VOICE = Path(__file__).parent / "voice"
PYTHON = Path(os.environ.get("CLIENTS_VENV", ROOT / ".venv-clients")) / "bin" / "python"
SPEECH = AUDIO / "flite-slt-what-time-is-it.wav"

pytestmark = [
    pytest.mark.skipif(not PYTHON.exists(), reason="make test-clients installs them"),
]


async def drive(name: str, *arguments: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        str(PYTHON),
        str(VOICE / name),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()[-2_000:]
    said: dict[str, Any] = json.loads(out.decode().splitlines()[-1])
    return said


async def test_livekit(gateway: GatewayProcess) -> None:
    async with between(gateway) as noted:
        said = await drive("drive_livekit.py", noted.base.replace("ws:", "http:"), gateway.token, str(SPEECH))
    assert noted.wrong == []
    assert said["typed"]["text"]
    assert said["typed"]["samples"] > 24_000
    assert said["spoken"]["text"].startswith("It is")
    assert said["after"]["text"].startswith("It is")
    assert all("time" in words.lower() for words in said["heard"])
    assert said["errors"] == ["item_truncate_invalid_item_id"]
    statuses = [event["response"]["status"] for event in noted.of("response.done")]
    assert statuses == ["completed", "completed", "cancelled", "completed"]
    assert noted.of("conversation.item.truncated")


async def test_pipecat(gateway: GatewayProcess) -> None:
    async with between(gateway) as noted:
        said = await drive("drive_pipecat.py", noted.base, gateway.token, str(SPEECH))
    assert noted.wrong == []
    assert said["typed"]["text"]
    assert said["typed"]["audio_bytes"] > 48_000
    assert said["spoken"]["text"].startswith("It is")
    assert said["after"]["text"].startswith("It is")
    assert all("time" in words.lower() for words in said["heard"])
    assert "does not exist" in said["error"]
    assert said["fatal"] == []
    assert len(noted.of("response.done")) == 4
    assert noted.of("conversation.item.truncated")  # words into a reply, however much of it was sent by then
