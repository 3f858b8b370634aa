"""npm `openai`, unmodified, if `make test-clients` has installed it. It only supports wss, so a TLS proxy is in front."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import ssl
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients.between import between
from tests.clients.test_openai_sdk import at_24khz
from tests.support.gateway import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.gateway import GatewayProcess

NODE = Path(__file__).parent / "node"

pytestmark = pytest.mark.skipif(
    not (shutil.which("node") and (NODE / "node_modules" / "openai").exists()), reason="make test-clients installs it"
)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, ssl.SSLError):
        pass
    finally:
        writer.close()


@asynccontextmanager
async def tls_in_front(port: int, directory: Path) -> AsyncIterator[str]:
    """As nginx would stand there."""
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-keyout",
            str(key),
            "-out",
            str(certificate),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with asyncio.TaskGroup() as group:

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
            group.create_task(_pump(reader, up_writer), name="up")
            group.create_task(_pump(up_reader, writer), name="down")

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        try:
            yield f"https://localhost:{server.sockets[0].getsockname()[1]}/v1"
        finally:
            server.close()


async def run_node(script: Path, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "node",
        str(script),
        *arguments,
        cwd=NODE,
        env={**os.environ, "NODE_TLS_REJECT_UNAUTHORIZED": "0"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()[-2_000:]
    return out.decode()


async def test_npm_openai(gateway: GatewayProcess, tmp_path: Path) -> None:
    pcm = tmp_path / "speech.pcm"
    pcm.write_bytes(at_24khz("flite-slt-what-time-is-it"))
    async with tls_in_front(gateway.port, tmp_path) as base:
        said = json.loads(await run_node(NODE / "drive.mjs", base, gateway.token, str(pcm)))
    assert said["typed"]
    assert said["spoken"].startswith("It is")
    assert said["cut"] == "cancelled"
    assert said["errors"] == ["item_retrieve_invalid_item_id"]


async def test_the_readme_s_javascript_runs(gateway: GatewayProcess, tmp_path: Path) -> None:
    (example,) = re.findall(r"```js\n(import OpenAI.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    script = NODE / "node_modules" / ".readme.mjs"  # beside the packages that it imports
    async with tls_in_front(gateway.port, tmp_path) as base:
        script.write_text(example.replace("https://gateway.example/v1", base).replace("TOKEN", gateway.token))
        assert (await run_node(script)).startswith("It is")


async def test_openai_agents(gateway: GatewayProcess, tmp_path: Path) -> None:
    pcm = tmp_path / "speech.pcm"
    pcm.write_bytes(at_24khz("flite-slt-what-time-is-it"))
    async with between(gateway) as noted:
        said = json.loads(await run_node(NODE / "drive_agents.mjs", noted.base, gateway.token, str(pcm)))
    assert noted.wrong == []
    assert said["typed"] == said["after"]
    assert said["heard"] > 48_000
    assert said["spoken"].startswith("It is")
    assert said["cut"] == "cancelled"
    assert said["errors"] == ["item_truncate_invalid_item_id"]
