"""The audit log of a whole gateway for a risky command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from streaming.client.errors import GatewayError
from streaming.protocol import messages
from streaming.protocol.messages import ExecuteParams
from tests.support.gateway import client, listen, running_gateway

if TYPE_CHECKING:
    from pathlib import Path


RISKY = ExecuteParams(executor="os", action="mkdir", parameters={"args": ["hunter2"]})


async def test_decisions_and_verdicts_of_a_gateway_are_in_its_audit_log(
    tmp_path: Path, services: dict[str, str]
) -> None:
    path = tmp_path / "audit.jsonl"
    with running_gateway(tmp_path, **services, AUDIT_LOG=str(path)) as gateway:
        async with client(gateway, "audited") as session:
            for approve in (True, False):
                command = session.open(RISKY)
                heard = await listen(command, until=messages.TaskConfirmationRequired)
                await session.confirm(heard.messages[-1].confirmation_id, approve=approve)
                await listen(command, heard)
            with pytest.raises(GatewayError, match="CONFIRMATION_REQUIRED"):
                await session.call("executor.os.command", command="mkdir", args=["hunter2"])
            command = session.open(RISKY)
            await listen(command, until=messages.TaskConfirmationRequired)
            command.cancel()
            await listen(command)
        gateway.stop()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    told = [line.get("decision", line.get("verdict")) for line in lines]
    assert told == [
        *["confirm", "asked", "approved"],
        *["confirm", "asked", "declined"],
        *["confirm", "asked"] * 2,
        "withdrawn",
    ]
    assert [line["via"] for line in lines if line.get("decision") in {"approved", "declined"}] == ["message", "message"]
    assert {(line["user"], line["session"], line["action"], *line["parameters"]) for line in lines} == {
        ("developer", "audited", "mkdir", "args")
    }
    assert "hunter2" not in path.read_text()
