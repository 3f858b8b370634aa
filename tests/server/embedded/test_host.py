"""The process of the embedded services: their ports."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from server.embedded.host import EmbeddedServices, service_class
from server.embedded.service import EmbeddedConfig
from server.services import SERVICES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import grpc
    import grpc.aio
    import pytest


class Registered:
    """In place of a gRPC server: the names of the services that are added to it."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.ServiceRpcHandler]) -> None:
        self.names.update(handler.service_name() for handler in handlers)

    def add_registered_method_handlers(self, name: str, _methods: object) -> None:
        self.names.add(name)


def test_the_folder_of_each_service_has_its_class_and_that_serves_the_contract_of_the_table() -> None:
    for name, service in SERVICES.items():
        made = service_class(name)(EmbeddedConfig())
        server = Registered()
        made.add_to(cast("grpc.aio.Server", server))
        assert (made.name, server.names) == (name, {service.full_name})


async def test_a_taken_port_is_left_to_its_owner_without_a_word(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        host = EmbeddedServices({"safety": taken}, EmbeddedConfig(tmp_path))
        bound = await host.bind()
        await host.stop()
    assert bound["safety"] != taken
    assert capfd.readouterr().err == ""


def test_a_gateway_that_is_stopped_during_its_start_leaves_no_traceback(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "server.embedded", "--directory", str(tmp_path), "safety=127.0.0.1:0"]
    try:
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def open_in_children(pid: int) -> Iterator[set[Path]]:
    """What each child of a process has open."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if int((process / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                yield {descriptor.readlink() for descriptor in (process / "fd").iterdir()}


def test_no_child_of_the_services_keeps_their_output_open(tmp_path: Path) -> None:
    """The gateway takes its end for theirs, and eSpeak's process may hang."""
    command = [
        sys.executable,
        "-m",
        "server.embedded",
        "--directory",
        str(tmp_path),
        "--with-parent",
        "tts=127.0.0.1:0",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as services:
        assert services.stdout is not None
        while "ready" not in services.stdout.readline():
            pass
        output = Path(f"/proc/self/fd/{services.stdout.fileno()}").readlink()
        theirs = [*open_in_children(services.pid)]
        services.kill()
    assert theirs
    assert output not in set().union(*theirs)
