"""Domain events to `jarvis.v1` messages, and channel parameters to lanes: the only place that knows both vocabularies."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from streaming import domain, ports
from streaming.agent.turns import ReplyFormat
from streaming.lanes.execute import ExecuteLane
from streaming.lanes.observe import ObserveLane
from streaming.lanes.stt import SttLane
from streaming.lanes.tts import TtsLane
from streaming.lanes.turn import TurnLane
from streaming.protocol import messages as wire
from streaming.sound.microphone import MicrophoneFormat

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.lanes.base import Lane
    from streaming.outlet import LaneSetup
    from streaming.protocol.messages import params as given


def _words(words: tuple[ports.Word, ...]) -> tuple[wire.Word, ...]:
    return tuple(wire.Word(**asdict(word)) for word in words)


def _final(event: ports.FinalTranscript, channel: int) -> wire.SttFinal:
    return wire.SttFinal(
        channel=channel,
        text=event.text,
        confidence=event.confidence,
        start_ms=event.start_ms,
        end_ms=event.end_ms,
        words=_words(event.words),
    )


def _spoken(event: domain.SpokenWords, channel: int) -> wire.TtsWords:
    return wire.TtsWords(channel=channel, turn_id=event.turn_id, words=_words(event.words))


def _begins(event: domain.SpeechBegins, channel: int) -> wire.TtsStarted:
    fields = asdict(event)
    return wire.TtsStarted(channel=channel, sample_rate=fields.pop("sample_rate_hz"), **fields)


def _intent(event: domain.TurnIntent, channel: int) -> wire.TurnIntent:
    intent = event.intent
    return wire.TurnIntent(
        channel=channel,
        turn_id=event.turn_id,
        intent=intent.intent,
        confidence=intent.confidence,
        entities=intent.entities,
        alternatives=tuple(wire.IntentGuess(**asdict(guess)) for guess in intent.alternatives),
    )


def _planned(event: domain.TurnPlanned, channel: int) -> wire.TurnPlan:
    plan = event.plan
    steps = tuple(wire.PlanStep(**asdict(step)) for step in plan.steps)
    return wire.TurnPlan(channel=channel, turn_id=event.turn_id, plan_id=plan.plan_id, goal=plan.goal, steps=steps)


def _checked(event: domain.TurnChecked, channel: int) -> wire.TurnSafety:
    fields = asdict(event.report)
    del fields["action_id"]
    fields["actions"] = tuple(wire.ActionVerdict(**asdict(verdict)) for verdict in event.report.actions)
    return wire.TurnSafety(channel=channel, turn_id=event.turn_id, **fields)


def _seen_audio(event: ports.SeenAudio, channel: int) -> wire.ObserveAudio:
    fields = asdict(event)
    return wire.ObserveAudio(
        channel=channel, source_channel=fields.pop("channel"), sample_rate=fields.pop("sample_rate_hz"), **fields
    )


def _alike(message: Callable[..., wire.Event], event: Any, channel: int) -> wire.Event:
    """For events whose message has the same fields."""
    return message(channel=channel, **asdict(event))


_MESSAGES: dict[type, Callable[[Any, int], wire.Event]] = {
    ports.SpeechStarted: partial(_alike, wire.SttSpeechStarted),
    ports.SpeechStopped: partial(_alike, wire.SttSpeechStopped),
    ports.InterimTranscript: partial(_alike, wire.SttPartial),
    ports.FinalTranscript: _final,
    ports.EagerEnd: partial(_alike, wire.TurnEagerEnd),
    ports.SpeechResumed: partial(_alike, wire.TurnResumed),
    domain.SpeechBegins: _begins,
    domain.SpokenWords: _spoken,
    domain.SpeechEnds: partial(_alike, wire.TtsDone),
    domain.TaskStarted: partial(_alike, wire.TaskStarted),
    domain.TaskProgressed: partial(_alike, wire.TaskProgress),
    domain.TaskNeedsConfirmation: partial(_alike, wire.TaskConfirmationRequired),
    domain.TaskEnded: partial(_alike, wire.TaskResult),
    domain.TurnIntent: _intent,
    domain.TurnPlanned: _planned,
    domain.TurnChecked: _checked,
    domain.TurnReply: partial(_alike, wire.TurnReply),
    domain.TurnEnd: partial(_alike, wire.TurnEnd),
    domain.TurnPaused: partial(_alike, wire.TurnPaused),
    domain.TurnInterrupted: partial(_alike, wire.TurnInterrupted),
    domain.TurnContinued: partial(_alike, wire.TurnContinued),
    domain.TurnLatency: partial(_alike, wire.TurnLatency),
    domain.TurnDone: partial(_alike, wire.TurnDone),
    domain.Trouble: partial(_alike, wire.Error),
    ports.SeenMessage: partial(_alike, wire.ObserveEvent),
    ports.SeenAudio: _seen_audio,
    ports.Missed: partial(_alike, wire.ObserveDropped),
}


def as_message(event: object, channel: int) -> wire.Event:
    """The wire's message of a domain event."""
    return _MESSAGES[type(event)](event, channel)


def _microphone(params: given.Microphone) -> MicrophoneFormat:
    return MicrophoneFormat(
        language=params.language,
        encoding=params.encoding,
        sample_rate_hz=params.sample_rate,
        interim=params.interim,
        endpointing=params.endpointing,
        vocabulary=params.vocabulary,
    )


def _tts(params: given.TtsParams, frame: LaneSetup) -> Lane:
    speech = ReplyFormat(
        language=params.language,
        voice=params.voice,
        speed=params.speed,
        encoding=params.encoding,
        sample_rate_hz=params.sample_rate,
    )
    return TtsLane(frame, speech, params.text)


def _turn(params: given.TurnParams, frame: LaneSetup) -> Lane:
    reply = ReplyFormat(
        audio=params.reply == "audio",
        language=params.language,
        voice=params.voice,
        speed=params.speed,
        encoding=params.reply_encoding,
        sample_rate_hz=params.reply_sample_rate,
        time_zone=params.time_zone,
    )
    return TurnLane(frame, _microphone(params) if params.text is None else None, reply, params.text)


def _execute(params: given.ExecuteParams, frame: LaneSetup, command_id: str) -> Lane:
    action = ports.Action(params.executor, params.action, params.parameters)
    return ExecuteLane(frame, action, params.timeout_ms, command_id)


def lane_of(params: given.ChannelParams, frame: LaneSetup, command_id: str = "") -> Lane:
    """The lane that a channel was opened for, by the command of that id. Raises LaneError, AudioFormatError, WrongInputError."""
    build: dict[str, Callable[[Any, LaneSetup], Lane]] = {
        "stt": lambda params, frame: SttLane(frame, _microphone(params)),
        "tts": _tts,
        "turn": _turn,
        "execute": lambda params, frame: _execute(params, frame, command_id),
        "observe": lambda params, frame: ObserveLane(frame, params.session_id, audio=params.audio),
    }
    return build[params.kind](params, frame)
