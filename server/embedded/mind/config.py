"""The endpoint and model, and their time limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.embedded.service import MissingPartError

if TYPE_CHECKING:
    from server.embedded.service import EmbeddedConfig

DEFAULT_STALL_S, DEFAULT_REPLY_S = 10.0, 60.0
NO_KEY = "none"  # the client requires one, although a local endpoint ignores it


@dataclass(frozen=True, slots=True)
class MindConfig:
    """`first`: ask the model before the templates. `stall_s`: its longest silence. `reply_s`: its longest answer."""

    base_url: str
    model: str
    api_key: str = NO_KEY
    first: bool = False
    stall_s: float = DEFAULT_STALL_S
    reply_s: float = DEFAULT_REPLY_S


def mind_config(config: EmbeddedConfig) -> MindConfig | None:
    """The LLM_* settings; None without LLM_BASE_URL. Raises MissingPartError for invalid values."""
    base_url, model = config.option("LLM_BASE_URL").strip(), config.option("LLM_MODEL").strip()
    if not base_url:
        return None
    if not model:
        raise MissingPartError("LLM_BASE_URL is set: LLM_MODEL has to say which model")
    try:
        stall_s = float(config.option("LLM_STALL_SECONDS") or DEFAULT_STALL_S)
        reply_s = float(config.option("LLM_REPLY_SECONDS") or DEFAULT_REPLY_S)
    except ValueError:
        raise MissingPartError("LLM_STALL_SECONDS and LLM_REPLY_SECONDS are numbers") from None
    first = config.option("LLM_FIRST").strip().lower() in {"true", "1", "yes", "on"}
    return MindConfig(base_url, model, config.option("LLM_API_KEY") or NO_KEY, first, stall_s, reply_s)
