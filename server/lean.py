"""Imports libraries without those that they import wherever these are installed, but that this process never uses through them."""

from __future__ import annotations

import importlib
import sys


def import_without(name: str, *unused: str) -> None:
    """Import `name` while imports of `unused` fail, which it must be able to do without. They can be imported later."""
    hidden = [each for each in unused if each not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type] # None, so that an import raises ImportError
    try:
        importlib.import_module(name)
    finally:
        for each in hidden:
            del sys.modules[each]
