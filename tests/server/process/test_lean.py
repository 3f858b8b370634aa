"""What a starting gateway leaves out, and what can be imported all the same."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from server.process.lean import import_without, uncollected
from tests.conftest import HANG_S
from tests.support.gateway import GatewayProcess, environment

if TYPE_CHECKING:
    from pathlib import Path


# Loaded when they are used: by a Redis, a sign-in, an audio file, a request for a document, a child process.
NOT_AT_THE_START = {
    "redis",
    "hiredis",
    "argon2",
    "av",
    "server.documents.openapi",
    "server.documents.asyncapi",
}
NEVER = {
    "rich.console",
    "opentelemetry.context",
    "greenlet._greenlet",
    "_curses",
    "numpy",
}  # the names of failed imports are listed, too


def test_a_gateway_without_redis_is_ready_without_what_it_does_not_use(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "server"]
    settings = {"DEBUG": "false", "EMBEDDED": "false", "REDIS_URL": ""}
    gateway = GatewayProcess(tmp_path, command, environment(tmp_path), **settings)
    gateway.stop()
    imported = {
        line.rpartition("|")[2].strip() for line in gateway.log.read_text().splitlines() if "import time:" in line
    }
    assert {"server.lifecycle", "grpc", "tornado.web"} <= imported
    assert imported & (NOT_AT_THE_START | NEVER) == set()


def test_what_a_start_leaves_out_can_be_imported_later() -> None:
    code = "import server.__main__, server.lifecycle, rich.console, curses, server.shared.redis_link"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=HANG_S).returncode == 0


@pytest.mark.parametrize(
    ("settings", "loaded"),
    [
        ({"JWT_SECRET_KEY": "0f3c9a7d5e1b48266b9d70c4e8a1f25337d0"}, "False"),
        ({"JWT_ALGORITHM": "RS256", "JWT_JWKS": "https://id.example/keys"}, "True"),
    ],
)
def test_key_pairs_are_loaded_for_tokens_that_need_them(settings: dict[str, str], loaded: str, tmp_path: Path) -> None:
    code = (
        "import argparse, sys, server.__main__ as command\n"
        "command.run = lambda work: work.close()\n"
        "command.serve(argparse.Namespace(reload=False, watched=False, laptop=False))\n"
        "print('cryptography.hazmat' in sys.modules)\n"
        "import jwt, cryptography.x509"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        timeout=HANG_S,
        env=environment(tmp_path, **settings),
        stdout=subprocess.PIPE,
    )
    assert done.stdout.decode().strip() == loaded


def test_a_library_that_needs_what_is_hidden_fails_and_hides_nothing() -> None:
    sys.modules.pop("wave", None)
    sys.modules.pop("struct", None)
    with pytest.raises(ImportError):
        import_without("wave", "struct")
    import struct

    assert struct.calcsize("<h") == 2


def test_what_imports_make_is_not_looked_at_by_the_collector() -> None:
    frozen = gc.get_freeze_count()
    try:
        with uncollected():
            assert not gc.isenabled()
            made = [[] for _ in range(1_000)]  # type: ignore[var-annotated] # stands for what an import makes
        assert gc.isenabled()
        assert gc.get_freeze_count() >= frozen + len(made)
    finally:
        gc.unfreeze()
