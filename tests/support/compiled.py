"""What `make compiled` has built."""

from __future__ import annotations

import filecmp
import sys

from tests.support.packages import ROOT

BUILD = ROOT / "build" / "compiled"
ROOMS = ("server", "handlers", "streaming", "protos")


def compiled_build() -> str:
    """Its folder, for PYTHONPATH. Ends the program if there is none, or if a source has changed since."""
    if not BUILD.exists():
        sys.exit("there is no compiled build: make compiled")
    sources = [str(path.relative_to(ROOT)) for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    _, changed, missing = filecmp.cmpfiles(ROOT, BUILD, sources, shallow=False)
    if changed or missing:
        sys.exit(f"the compiled build is older than {', '.join(changed + missing)}: make compiled")
    return str(BUILD)
