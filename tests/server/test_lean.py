"""What a starting gateway leaves out, and what can be imported all the same."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from server.lean import import_without, uncollected
from tests.support.gateway import environment

if TYPE_CHECKING:
    from pathlib import Path


def test_a_gateway_starts_without_what_it_does_not_use() -> None:
    """It may be installed, and can be imported later."""
    code = (
        "import sys, server.__main__, server.lifecycle\n"
        "assert not {'rich', 'opentelemetry', 'greenlet', 'av', 'numpy'} & set(sys.modules), 'loaded for nothing'\n"
        "import rich.console"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


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
        timeout=60,
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
