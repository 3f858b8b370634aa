"""`.env.example`, generated from the settings: `python -m server.documents.env_example > .env.example`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from server.config import Settings

HEAD = """\
# Every setting, with its default. Copy to .env and take the # away from what you change; environment variables go first.
"""
SECTIONS = {
    "debug": "process",
    "jwt_algorithm": "tokens",
    "redis_url_file": "shared state and rate limits",
    "voice_stt_grpc_url": "services",
    "ws_reader": "live sockets",
    "embedded": "services that start here",
}


def _text(value: Any) -> str:
    """A default as written in the file."""
    if isinstance(value, SecretStr) or value is None or value in ((), {}):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value.as_posix() if isinstance(value, Path) else str(value)


def render() -> str:
    """The file's text."""
    lines = [HEAD]
    for name, field in Settings.model_fields.items():
        if name in SECTIONS:
            lines.append(f"\n# --- {SECTIONS[name]} ---\n")
        lines.append(f"# {field.description}\n#{name.upper()}={_text(field.default)}\n")
    return "".join(lines)


if __name__ == "__main__":
    sys.stdout.write(render())
