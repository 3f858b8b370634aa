"""The fields of a session and of a response, as documented for the API.

A field that is unknown, out of range or of another type is refused with its path. Checks across fields (voices, merging) are in
`settings`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from streaming.flaws import MOST_FLAWS, MOST_NAMES, flaws_of, has_too_many_names, path_of
from streaming.openai.mistakes import MistakeError, beyond, missing, one_of, too_long, wrong
from streaming.openai.recognition import (
    LANGUAGE_TAG,
    MAX_KEYWORDS,
    MAX_LANGUAGE_CHARS,
    MAX_LANGUAGES,
    MAX_PROMPT_CHARS,
)

MAX_TOOLS = 128
MAX_METADATA_CHARS = 512  # of a value
MAX_METADATA_NAME_CHARS = 64
MAX_OUTPUT_TOKENS = 4_096
_EXPECTED = {
    "string": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "dict": "an object",
    "list": "an array",
    "model": "an object",
    "model_attributes": "an object",
}


class Fields(BaseModel):
    """Fields that are all known, of their own types."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)


class ServerVad(Fields):
    """`audio.input.turn_detection`, complete."""

    type: Literal["server_vad"]
    threshold: float | None = Field(None, ge=0, le=1)
    prefix_padding_ms: int | None = Field(None, ge=0, le=10_000)
    silence_duration_ms: int | None = Field(None, ge=0, le=60_000)
    idle_timeout_ms: int | None = Field(None, ge=5_000, le=30_000)
    create_response: bool
    interrupt_response: bool


class SemanticVad(Fields):
    """`audio.input.turn_detection`, complete."""

    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool
    interrupt_response: bool


LanguageTag = Annotated[str, StringConstraints(max_length=MAX_LANGUAGE_CHARS, pattern=LANGUAGE_TAG)]


class _Transcription(Fields):
    model: str | None = Field(None, max_length=128)
    language: LanguageTag | None = None
    languages: list[LanguageTag] | None = Field(None, max_length=MAX_LANGUAGES)
    prompt: str | None = Field(None, max_length=MAX_PROMPT_CHARS)
    keywords: list[str] | None = Field(None, max_length=MAX_KEYWORDS)
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class _NoiseReduction(Fields):
    type: Literal["near_field", "far_field"] | None = None
    strength: float | None = None


class _Input(Fields):
    format: Any = None
    transcription: _Transcription | None = None
    noise_reduction: _NoiseReduction | None = None
    turn_detection: dict[str, Any] | None = None


class _Output(Fields):
    format: Any = None
    voice: Any = None
    speed: float | None = Field(None, ge=0.25, le=1.5)


class _Audio(Fields):
    input: _Input | None = None
    output: _Output | None = None


class _InputAlone(Fields):
    input: _Input | None = None


class _OutputOfResponse(Fields):
    format: Any = None
    voice: Any = None


class _AudioOfResponse(Fields):
    output: _OutputOfResponse | None = None


class _Reasoning(Fields):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None


class _Tracing(Fields):
    workflow_name: str | None = None
    group_id: str | None = None
    metadata: dict[str, Any] | None = None


class _PromptWords(Fields):
    type: Literal["input_text"]
    text: str


class _Prompt(Fields):
    id: str
    version: str | None = None
    variables: dict[str, Any] | None = None  # see `_check_spoken`


class _TokenLimits(Fields):
    post_instructions: int | None = Field(None, ge=0)


class _Retention(Fields):
    type: Literal["retention_ratio"]
    retention_ratio: float = Field(ge=0, le=1)
    token_limits: _TokenLimits | None = None


class _Function(Fields):
    type: Literal["function"]
    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _McpFilter(Fields):
    read_only: bool | None = None
    tool_names: list[str] | None = None


class _McpApproval(Fields):
    always: _McpFilter | None = None
    never: _McpFilter | None = None


class _McpServer(Fields):
    type: Literal["mcp"]
    server_label: str = Field(min_length=1, max_length=256)
    server_url: str | None = None
    server_description: str | None = None
    connector_id: str | None = None
    tunnel_id: str | None = None
    authorization: str | None = None
    headers: dict[str, str] | None = None
    allowed_callers: list[Literal["direct", "programmatic"]] | None = None
    allowed_tools: list[str] | _McpFilter | None = None
    require_approval: Literal["always", "never"] | _McpApproval | None = None
    defer_loading: bool | None = None


class _FunctionChoice(Fields):
    type: Literal["function"]
    name: str


class _McpChoice(Fields):
    type: Literal["mcp"]
    server_label: str
    name: str | None = None


class _Spoken(Fields):
    """The fields that a session and a response share."""

    instructions: str | None = None
    output_modalities: list[Any] | None = None
    max_output_tokens: Any = None
    tools: list[Any] | None = Field(None, max_length=MAX_TOOLS)
    tool_choice: Any = None
    prompt: _Prompt | None = None
    reasoning: _Reasoning | None = None
    parallel_tool_calls: bool | None = None


class _Session(_Spoken):
    type: Literal["realtime"]
    id: Any = None
    object: Any = None
    expires_at: Any = None
    model: str | None = None
    audio: _Audio | None = None
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None = None
    tracing: Any = None
    truncation: Any = None


class _TranscriptionSession(Fields):
    type: Literal["transcription"]
    id: Any = None
    object: Any = None
    expires_at: Any = None
    audio: _InputAlone | None = None
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None = None


class _Response(_Spoken):
    conversation: str | None = None
    metadata: dict[str, str] | None = Field(None, max_length=16)
    input: list[dict[str, Any]] | None = None
    audio: _AudioOfResponse | None = None


def check_update(update: dict[str, Any]) -> None:
    """Check the fields of a `session.update`. Raises MistakeError."""
    if update["type"] == "transcription":
        check(_TranscriptionSession, update, "session")
        return
    check(_Session, update, "session")
    _check_spoken(update, "session")
    tracing, truncation = update.get("tracing"), update.get("truncation")
    if tracing not in (None, "auto"):
        check(_Tracing, tracing, "session.tracing")
    if truncation not in (None, "auto", "disabled"):
        check(_Retention, truncation, "session.truncation")


def check_response(asked: dict[str, Any]) -> None:
    """Check the fields of a `response.create`. Raises MistakeError."""
    check(_Response, asked, "response")
    _check_spoken(asked, "response")
    for name, value in (asked.get("metadata") or {}).items():
        if len(name) > MAX_METADATA_NAME_CHARS:
            raise wrong(
                "response.metadata",
                f"Invalid 'response.metadata': a key has at most {MAX_METADATA_NAME_CHARS} characters.",
            )
        if len(value) > MAX_METADATA_CHARS:
            raise too_long(f"response.metadata.{name}", "string", MAX_METADATA_CHARS)


def check_detection(detection: Any, param: str) -> None:
    """Check `turn_detection` after merging. Raises MistakeError."""
    if detection is not None:
        check(ServerVad if detection["type"] == "server_vad" else SemanticVad, detection, param)


def _check_spoken(given: dict[str, Any], where: str) -> None:
    for name, value in ((given.get("prompt") or {}).get("variables") or {}).items():
        if not isinstance(value, str):
            check(_PromptWords, value, f"{where}.prompt.variables.{name[:64]}")
    modalities, tokens = given.get("output_modalities"), given.get("max_output_tokens")
    if modalities is not None and modalities not in (["text"], ["audio"]):
        raise wrong(
            f"{where}.output_modalities", 'Invalid modalities. Supported combinations are: ["text"] and ["audio"].'
        )
    _check_tokens(tokens, f"{where}.max_output_tokens")
    for index, tool in enumerate(given.get("tools") or ()):
        _check_tool(tool, f"{where}.tools[{index}]")
    _check_choice(given.get("tool_choice"), f"{where}.tool_choice")


def _check_tokens(tokens: Any, param: str) -> None:
    if tokens is None or tokens == "inf":
        return
    if type(tokens) is not int:
        raise wrong(param, f"Invalid value for '{param}': expected an integer, or 'inf'.")
    if not 1 <= tokens <= MAX_OUTPUT_TOKENS:
        raise beyond(param, 1 if tokens < 1 else MAX_OUTPUT_TOKENS, below=tokens < 1)


def _check_tool(tool: Any, param: str) -> None:
    if not isinstance(tool, dict):
        raise MistakeError("invalid_type", f"Invalid type for '{param}': expected an object.", param)
    kind = tool.get("type")
    if kind is None:
        raise missing(f"{param}.type")
    if not one_of(kind, ("function", "mcp")):
        raise wrong(f"{param}.type", f"Invalid value: '{str(kind)[:64]}'. Supported values are: 'function' and 'mcp'.")
    if kind == "function" and isinstance(tool.get("function"), dict):
        raise MistakeError("missing_required_parameter", f"'{param}.name' stands beside 'type' here.", f"{param}.name")
    check(_Function if kind == "function" else _McpServer, tool, param)


def _check_choice(choice: Any, param: str) -> None:
    if choice is None or one_of(choice, ("none", "auto", "required")):
        return
    kind = choice.get("type") if isinstance(choice, dict) else None
    if not one_of(kind, ("function", "mcp")):
        raise wrong(param, "Supported values are: 'none', 'auto', 'required', or an object that names a function.")
    check(_FunctionChoice if kind == "function" else _McpChoice, choice, param)


def check(model: type[BaseModel], given: Any, param: str) -> None:
    """Raises MistakeError for the first flaw; `param` is where it stands in the event."""
    if has_too_many_names(given):
        raise wrong(param, f"Invalid '{param}': more than {MOST_NAMES} fields.")
    try:
        model.model_validate(given)
    except ValidationError as flaws:
        raise _mistake(flaws, given, param) from None


def _mistake(flaws: ValidationError, given: Any, param: str) -> MistakeError:
    """The first flaw, in the API's words."""
    found = flaws_of(flaws)
    if not found:
        return wrong(param, f"Invalid '{param}': it has more than {MOST_FLAWS} flaws.")
    flaw = found[0]
    for part in path_of(flaw["loc"], given, absent=flaw["type"] == "missing"):
        param += f"[{part}]" if isinstance(part, int) else f".{part}" if param else part
    kind, context = flaw["type"], flaw.get("ctx") or {}
    if kind == "missing":
        return missing(param)
    if kind == "extra_forbidden":
        return MistakeError("unknown_parameter", f"Unknown parameter: '{param}'.", param)
    expected = _EXPECTED.get(kind.removesuffix("_type"))
    if kind.endswith("_type") and expected is not None:
        return MistakeError("invalid_type", f"Invalid type for '{param}': expected {expected}.", param)
    if kind == "literal_error":
        return wrong(param, f"Invalid value for '{param}'. Supported values are: {context['expected']}.")
    if kind in {"greater_than_equal", "less_than_equal"}:
        below = "ge" in context
        return beyond(param, context["ge" if below else "le"], below=below)
    if kind in {"string_too_long", "too_long"}:
        what = "string" if kind == "string_too_long" else "object" if context["field_type"] == "Dictionary" else "array"
        return too_long(param, what, context["max_length"])
    return wrong(param, f"Invalid value for '{param}': {flaw['msg']}.")
