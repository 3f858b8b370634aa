"""What a starting gateway leaves out, and what can be imported all the same."""

from __future__ import annotations

import subprocess
import sys

import pytest

from server.lean import import_without


def test_a_gateway_starts_without_what_it_does_not_use() -> None:
    """It may be installed, and can be imported later."""
    code = (
        "import sys, server.__main__, server.lifecycle\n"
        "assert not {'rich', 'opentelemetry', 'greenlet', 'av', 'numpy'} & set(sys.modules), 'loaded for nothing'\n"
        "import rich.console"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_a_library_that_needs_what_is_hidden_fails_and_hides_nothing() -> None:
    sys.modules.pop("wave", None)
    sys.modules.pop("struct", None)
    with pytest.raises(ImportError):
        import_without("wave", "struct")
    import struct

    assert struct.calcsize("<h") == 2
