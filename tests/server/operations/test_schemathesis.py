"""Property-based requests from our OpenAPI document: no 5xx, and no response that is not documented.

`python -m schemathesis.cli` does it from outside, as a stranger would, against a gateway with its real HTTP side.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

from server.operations import OPERATIONS
from tests.support.rest import running

if TYPE_CHECKING:
    from pathlib import Path

# What a schema cannot tell: which bytes are audio, which rates a format has, that integers anywhere in free JSON end at
# 2^53, and that a key stands for one request only. These may refuse what looks valid; all other checks hold for them too.
FREE_JSON = ("agent.plan", "agent.safety.check", "memory.store")
EXCUSED = (
    "voice.stt",
    "voice.tts",
    "openai.transcriptions",  # audio bytes again
    "openai.speech",  # names of voices
    "openai.client_secret",  # settings of a session
    "openai.model",  # names of models
    *FREE_JSON,
    *(operation.name for operation in OPERATIONS if operation.idempotency_key),
)
SIGN_OUT = "auth.logout"  # would end the run's own token


@pytest.mark.parametrize(
    ("reader", "phases"),
    [
        ("fast", "examples,coverage,fuzzing"),
        ("tornado", "examples,coverage"),  # fuzzing sends the same bodies again, and no reader looks into bodies
    ],
    ids=["fast", "tornado"],
)
async def test_the_document_is_true(tmp_path: Path, reader: str, phases: str) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text(
        "".join(
            f'[[operations]]\ninclude-operation-id = "{name}"\nchecks.positive_data_acceptance.enabled = false\n'
            for name in EXCUSED
        ),
        encoding="utf-8",
    )
    async with running(tmp_path, rate_limit_requests=1_000_000, http_reader=reader) as gw:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "schemathesis.cli", "--no-color", "--config-file", str(config),
            "run", f"{gw.url}/openapi.json",
            "--header", f"Authorization: Bearer {gw.token('admin')}",
            "--exclude-operation-id", SIGN_OUT,
            "--phases", phases, "--max-examples", "6", "--generation-deterministic",
            "--continue-on-failure", "--warnings", "off",
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
    told = output.decode(errors="replace")
    assert process.returncode == 0, told[:20_000]
    assert f"Tested: {len(OPERATIONS) - 2}" in told  # nor the document's own address
