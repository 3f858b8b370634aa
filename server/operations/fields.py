"""The kinds of text in requests, with their limits."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

MAX_TEXT_CHARS = 4_000  # some five minutes of speech
MAX_SPEECH_CHARS = 5_000  # the longest text of one utterance


def _whole(number: object) -> object:
    """JSON has a single number type, so 31.0 is the integer 31 (JSON Schema 2020-12, section 4.2.3)."""
    return int(number) if type(number) is float and number.is_integer() else number


AS_WHOLE = BeforeValidator(_whole)  # after the bounds; before them, the schema would lose them

# The part of RFC 5646 that names a language, script, region and variants.
Language = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,4}$"),
    Field(description="BCP 47 language tag", examples=["en-US"]),
]
SessionId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,128}$"),
    Field(description="The conversation this belongs to", examples=["kitchen"]),
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT_CHARS)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]
MAX_KEY_CHARS = 256
MAX_TYPED_KEY_CHARS = 4 * MAX_KEY_CHARS  # before accents are composed: no character is made of more than four
_KEY = rf"^[^\x00-\x1f\x7f/]{{1,{MAX_KEY_CHARS}}}$"


def _key(key: str) -> str:
    """The key in its composed form (NFC). Raises ValueError.

    CPython sorts combining marks in quadratic time: 60,000 in a row stopped the gateway for six seconds.
    """
    if len(key) <= MAX_TYPED_KEY_CHARS:  # a longer one is refused for its length, as it is
        key = unicodedata.normalize("NFC", key)
    if not re.fullmatch(_KEY, key) or key.endswith("\n"):
        raise ValueError(f"a key has 1 to {MAX_KEY_CHARS} characters, no slash and no control character")
    return key


Key = Annotated[
    str,
    AfterValidator(_key),
    Field(
        description="Up to 256 characters, no slash",
        examples=["favourite-colour"],
        json_schema_extra={"pattern": _KEY},
    ),
]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Parameters = Annotated[dict[str, Any], Field(description="As the executor's list of actions describes them")]
TimeoutMs = Annotated[int, Field(ge=1, le=300_000, description="Give up after this long"), AS_WHOLE]
