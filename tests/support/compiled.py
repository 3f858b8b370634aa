"""What `make compiled` has built."""

from __future__ import annotations

import filecmp
import sys

from server.hot_path import MODULES
from tests.support.packages import ROOT

COMPILED = ROOT / "build" / "compiled"


def compiled_build() -> str:
    """Its folder, for PYTHONPATH. Ends the program if there is none, or if a source has changed since."""
    if not COMPILED.exists():
        sys.exit("there is no compiled build: make compiled")
    sources = [name.replace(".", "/") + ".py" for name in MODULES]
    _, changed, missing = filecmp.cmpfiles(ROOT, COMPILED, sources, shallow=False)
    if changed or missing:
        sys.exit(f"the compiled build is older than {', '.join(changed + missing)}: make compiled")
    return str(COMPILED)
