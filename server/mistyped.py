"""Names in `.env` that are no settings but look like one: a mistyped setting would be ignored without a word.

A `.env` may have variables of other programs too, such as compose's. They are none of our business.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from server.config import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

OURS = ("JARVIS_TOKEN", "JARVIS_PASSWORD")  # of the commands
LIKE = 0.6  # more than this of difflib's ratio, for what follows the same first word: WS_QUEUE_SIZE is meant for WS_QUEUE_BYTES
VERY_LIKE = 0.75  # of the first words, and of the names, if the first words differ: PROT is meant for PORT
ADDED = frozenset({"MODE", "ENABLED", "NUMBER"})  # to a name of one word: DEBUG_MODE is meant for DEBUG

_NAME = re.compile(r"[A-Za-z]\w{0,63}", re.ASCII)  # what else stands in a broken file may be a secret


def meant(name: str) -> str | None:
    """The setting that an unknown name was probably meant for; None if it is known, or a stranger's."""
    upper = name.upper()
    known = [*(field.upper() for field in Settings.model_fields), *OURS]
    if upper in known or not _NAME.fullmatch(name):
        return None
    likeness, best = max((_likeness(upper, setting), setting) for setting in known)
    return best if likeness else None


def _likeness(name: str, setting: str) -> float:
    """0 to 1; 0 if nobody would confuse them."""
    ratio = SequenceMatcher(None, name, setting).ratio()
    (head, _, rest), (our_head, _, our_rest) = name.partition("_"), setting.partition("_")
    if head == our_head:
        return ratio if _is_like(rest, our_rest) else 0.0
    return ratio if min(ratio, SequenceMatcher(None, head, our_head).ratio()) >= VERY_LIKE else 0.0


def _is_like(rest: str, our_rest: str) -> bool:
    """True if one may be meant for the other after the same first word, which may be a product's: REDIS_PASSWORD is Redis' own."""
    if not our_rest:
        return rest in ADDED
    only_shorter = bool(rest) and set(rest.split("_")) <= set(our_rest.split("_"))  # MEMORY_URL: MEMORY_GRPC_URL
    return only_shorter or SequenceMatcher(None, rest, our_rest).ratio() > LIKE


def warning(names: Iterable[str]) -> str | None:
    """One line about all of these names; None if there is nothing to say."""
    found = [f"{name} ({setting}?)" for name in names if (setting := meant(name)) is not None]
    return f".env: no setting has this name: {', '.join(found)}" if found else None
