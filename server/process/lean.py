"""Imports libraries without what costs only time and memory: others that they load wherever these are installed, and the collector."""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def without(*unused: str) -> Iterator[None]:
    """For imports of what can do without `unused`: their imports fail. They can be imported later."""
    hidden = [each for each in unused if each not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type] # None, so that an import raises ImportError
    try:
        yield
    finally:
        for each in hidden:
            del sys.modules[each]


def import_without(name: str, *unused: str) -> None:
    """Import `name` without `unused`."""
    with without(*unused):
        importlib.import_module(name)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """For imports: without the garbage collector, and what they make is exempt from it. Nearly all stays, and looking at it takes time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
