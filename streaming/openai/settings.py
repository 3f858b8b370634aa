"""A session's configuration: defaults, merging of updates, and what lanes need of it. Pure, but for `check_language`."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streaming.agent.format import ReplyFormat
from streaming.openai.mistakes import MistakeError, missing, one_of, wrong
from streaming.openai.recognition import Expected, expected, language_refusal
from streaming.openai.schema import check_detection, check_response, check_update
from streaming.ports import Endpointing
from streaming.sound.microphone_format import MicrophoneFormat

if TYPE_CHECKING:
    from streaming.ports import CallContext, SpeechToText

PCM_RATE_HZ = 24_000  # the API's only rate for PCM
LAW_RATE_HZ = 8_000
DEFAULT_MODEL = "gpt-realtime"
DEFAULT_VOICE = "alloy"
ALIASES = (
    "alloy",
    "ash",
    "ballad",
    "cedar",
    "coral",
    "echo",
    "fable",
    "marin",
    "nova",
    "onyx",
    "sage",
    "shimmer",
    "verse",
    *("beacon", "bossa", "cinder", "delta", "gleam", "meridian", "quartz", "ripple"),
    *("shida", "stone", "tempo", "vesper", "willow"),
)
"""OpenAI's voices, all of which are spoken by the default voice."""

FORMATS = {
    "audio/pcm": ("pcm_s16le", PCM_RATE_HZ),
    "audio/pcmu": ("mulaw", LAW_RATE_HZ),
    "audio/pcma": ("alaw", LAW_RATE_HZ),
}
_DETECTION: dict[str, dict[str, Any]] = {
    "server_vad": {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    },
    "semantic_vad": {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    },
}
_PATIENCE = {"low": 2.5, "medium": 0.0, "high": 0.5, "auto": 0.0}  # by eagerness; 0: the recogniser's own
LEAST_THRESHOLD = LEAST_PATIENCE = 0.01  # 0 stands for the recogniser's own value
_BETA = {
    "modalities": "output_modalities",
    "input_audio_format": "audio.input.format",
    "output_audio_format": "audio.output.format",
    "input_audio_transcription": "audio.input.transcription",
    "input_audio_noise_reduction": "audio.input.noise_reduction",
    "turn_detection": "audio.input.turn_detection",
    "voice": "audio.output.voice",
    "speed": "audio.output.speed",
    "max_response_output_tokens": "max_output_tokens",
}
"""Names in the beta protocol, with their present names."""

_KEPT = ("id", "object", "expires_at")  # set by us; clients may send them back, with no effect
_NULLABLE = {"turn_detection", "transcription", "noise_reduction", "tracing", "prompt", "include", "idle_timeout_ms"}
"""Fields that null switches off. In other fields null means no change."""


@dataclass(frozen=True, slots=True)
class Voices:
    """The available voices. OpenAI's own names stand for the default voice."""

    ids: tuple[str, ...] = ()

    def ours(self, name: Any, param: str) -> str:
        """The service's id of a voice; empty: its default. Raises MistakeError."""
        if isinstance(name, dict):
            name = name.get("id")
        if not isinstance(name, str):
            raise wrong(param, "a voice is named by a string")
        if name in self.ids:
            return name
        if name in ALIASES:
            return ""
        there_are = ", ".join((*self.ids, *ALIASES))
        raise wrong(param, f"Invalid value: '{name[:64]}'. Supported values are: {there_are}.")


def new_session(session_id: str, model: str, expires_at: float | None, *, transcription: bool) -> dict[str, Any]:
    """The complete configuration of a new session."""
    session: dict[str, Any] = {
        "id": session_id,
        "object": "realtime.transcription_session" if transcription else "realtime.session",
        "type": "transcription" if transcription else "realtime",
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": PCM_RATE_HZ},
                "transcription": {"model": "whisper-1"},
                "noise_reduction": None,
                "turn_detection": deepcopy(_DETECTION["server_vad"]),
            },
        },
        "include": None,
    }
    if expires_at is not None:
        session["expires_at"] = int(expires_at)
    if not transcription:
        session["audio"]["output"] = {
            "format": {"type": "audio/pcm", "rate": PCM_RATE_HZ},
            "voice": DEFAULT_VOICE,
            "speed": 1.0,
        }
        session |= {
            "model": model or DEFAULT_MODEL,
            "output_modalities": ["audio"],
            "instructions": "",
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "tracing": None,
            "truncation": "auto",
            "prompt": None,
        }
    return session


def merged(session: dict[str, Any], update: Any, voices: Voices) -> dict[str, Any]:
    """The session after an update; the old one is unchanged. Raises MistakeError, in which case no part of the update applies."""
    if update is None:
        raise missing("session")
    if not isinstance(update, dict):
        raise MistakeError("invalid_type", "Invalid type for 'session': expected an object.", "session")
    if "type" not in update:
        raise missing("session.type")
    if update["type"] != session["type"]:
        raise wrong("session.type", f"this session is of type {session['type']}, and stays so")
    for name in update:
        if name in _BETA:
            raise MistakeError(
                "unknown_parameter",
                f"'session.{name}' is a name of the beta protocol: it is 'session.{_BETA[name]}' now.",
                f"session.{name}",
            )
    check_update(update)
    change = {name: value for name, value in update.items() if name not in _KEPT and name != "model"}
    fresh = _copied(session)
    _merge(fresh, _copied(change))
    _check(fresh, voices)
    return fresh


def _copied(settings: dict[str, Any]) -> dict[str, Any]:
    """A copy whose objects may be changed. Lists are replaced as a whole: those of tools are long."""
    return {name: _copied(value) if isinstance(value, dict) else value for name, value in settings.items()}


def _merge(into: dict[str, Any], change: dict[str, Any]) -> None:
    """Merge objects recursively; anything else replaces the old value."""
    for name, value in change.items():
        before = into.get(name)
        if value is None and name not in _NULLABLE:
            continue
        if name == "turn_detection" and isinstance(value, dict):
            into[name] = _detection(before, value)
        elif (
            isinstance(before, dict)
            and isinstance(value, dict)
            and before.get("type") == value.get("type", before.get("type"))
        ):
            _merge(before, value)
        else:
            into[name] = value


def _detection(before: Any, change: dict[str, Any]) -> dict[str, Any]:
    kind = change.get("type", before["type"] if isinstance(before, dict) else "server_vad")
    if not one_of(kind, _DETECTION):
        raise wrong("session.audio.input.turn_detection.type", "turn detection is server_vad, semantic_vad, or null")
    base = before if isinstance(before, dict) and before["type"] == kind else deepcopy(_DETECTION[kind])
    kept = {name: value for name, value in change.items() if value is not None or name in _NULLABLE}
    return {**base, **kept, "type": kind}


def _check(session: dict[str, Any], voices: Voices) -> None:
    audio = session["audio"]
    source = audio["input"]
    source["format"] = checked_format(source["format"], "session.audio.input.format")
    check_detection(source["turn_detection"], "session.audio.input.turn_detection")
    if session["type"] == "realtime":
        check_output(audio["output"], voices, "session.audio.output")


def checked_format(given: Any, param: str) -> dict[str, Any]:
    """A complete format of the API. Raises MistakeError for any other format or rate."""
    kind = given.get("type") if isinstance(given, dict) else None
    if not one_of(kind, FORMATS):
        hint = " It is an object since the beta." if isinstance(given, str) else ""
        raise wrong(f"{param}.type", f"Supported values are: {', '.join(FORMATS)}.{hint}")
    unknown = next((name for name in given if name not in ("type", "rate")), None)
    if unknown is not None:
        raise MistakeError(
            "unknown_parameter", f"Unknown parameter: '{param}.{unknown[:64]}'.", f"{param}.{unknown[:64]}"
        )
    rate = FORMATS[kind][1]
    if given.get("rate", rate) != rate:
        raise wrong(f"{param}.rate", f"{kind} has {rate} Hz, and no other rate")
    return {"type": kind, "rate": rate} if kind == "audio/pcm" else {"type": kind}


def sound_of(form: dict[str, Any]) -> tuple[str, int]:
    """Encoding and rate of a checked format."""
    encoding, rate_hz = FORMATS[form["type"]]
    return encoding, form.get("rate", rate_hz)


def check_output(output: Any, voices: Voices, param: str) -> None:
    """Check a session's or response's `audio.output`, and complete it in place. Raises MistakeError."""
    output["format"] = checked_format(output["format"], f"{param}.format")
    voices.ours(output["voice"], f"{param}.voice")


def check_voice(session: dict[str, Any], fresh: dict[str, Any], *, spoken: bool) -> None:
    """The voice stays once the agent has spoken, as in OpenAI's API. Raises MistakeError."""
    if spoken and _voice_of(session) != _voice_of(fresh):
        message = "Cannot update a conversation's voice if assistant audio is present."
        raise MistakeError("cannot_update_voice", message)


def _voice_of(settings: dict[str, Any]) -> Any:
    voice = settings["audio"]["output"]["voice"]
    return voice["id"] if isinstance(voice, dict) else voice


def detection_of(session: dict[str, Any]) -> dict[str, Any] | None:
    """The turn detection; None: the client commits."""
    detection: dict[str, Any] | None = session["audio"]["input"].get("turn_detection")
    return detection


def tuning_of(detection: dict[str, Any] | None) -> Endpointing:
    """How turn detection steers the recogniser. With the API's defaults, the recogniser's own judgement of the words stands.

    A longer `silence_duration_ms` is a minimum, a shorter one shortens the silence that the words ask for.
    """
    if detection is None:
        return Endpointing()
    if detection["type"] == "semantic_vad":
        return Endpointing(patience=_PATIENCE[detection["eagerness"]])
    usual = _DETECTION["server_vad"]
    threshold, silence_ms = detection["threshold"], detection["silence_duration_ms"]
    usual_ms = usual["silence_duration_ms"]
    return Endpointing(
        0.0 if threshold == usual["threshold"] else max(threshold, LEAST_THRESHOLD),
        max(LEAST_PATIENCE, silence_ms / usual_ms) if silence_ms < usual_ms else 0.0,
        silence_ms if silence_ms > usual_ms else 0,
    )


_EXPECTED = ("language", "languages", "prompt", "keywords")


def expected_of(session: dict[str, Any]) -> Expected:
    """What the session's transcription asks of the recogniser."""
    transcription = session["audio"]["input"].get("transcription") or {}
    return expected(**{name: transcription.get(name) for name in _EXPECTED})


async def check_language(recogniser: SpeechToText, session: dict[str, Any], context: CallContext) -> None:
    """Raises MistakeError if the recogniser does not know the language of the session's transcription."""
    wanted = expected_of(session)
    refusal = await language_refusal(recogniser, wanted.language, context)
    if refusal:
        raise wrong(f"session.audio.input.transcription.{wanted.param}", refusal)


def microphone_of(session: dict[str, Any]) -> MicrophoneFormat:
    """The microphone's format."""
    source = session["audio"]["input"]
    encoding, rate_hz = sound_of(source["format"])
    wanted = expected_of(session)
    return MicrophoneFormat(
        language=wanted.language,
        encoding=encoding,
        sample_rate_hz=rate_hz,
        interim=False,
        endpointing=detection_of(session) is not None,
        vocabulary=wanted.vocabulary,
        tuning=tuning_of(detection_of(session)),
    )


def reply_of(asked: dict[str, Any], voices: Voices) -> ReplyFormat:
    """The reply's format, from the settings of a session or response."""
    output = asked["audio"]["output"]
    encoding, rate_hz = sound_of(output["format"])
    return ReplyFormat(
        audio=asked["output_modalities"] == ["audio"],
        voice=voices.ours(output["voice"], "voice"),
        speed=float(output.get("speed", 1.0)),
        encoding=encoding,
        sample_rate_hz=rate_hz,
    )


_OF_RESPONSES = ("output_modalities", "max_output_tokens", "instructions", "tools", "tool_choice")


def response_settings(session: dict[str, Any], asked: dict[str, Any], voices: Voices) -> dict[str, Any]:
    """The session's settings, overridden by those of a `response.create`. Raises MistakeError."""
    check_response(asked)
    fresh = {name: session[name] if asked.get(name) is None else asked[name] for name in _OF_RESPONSES}
    given = (asked.get("audio") or {}).get("output") or {}
    output = {**session["audio"]["output"], **{name: value for name, value in given.items() if value is not None}}
    if given.get("format") is not None:  # the session's own was checked; the Live API has more rates
        output["format"] = checked_format(output["format"], "response.audio.output.format")
    voices.ours(output["voice"], "response.audio.output.voice")
    fresh["audio"] = {"output": output}
    return fresh
