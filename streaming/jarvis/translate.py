"""Translates domain events to `jarvis.v1` messages, and channel parameters to lanes. Only this module knows both vocabularies."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, assert_never, cast

from streaming import domain, ports
from streaming.agent.format import ReplyFormat
from streaming.lanes.execute import ExecuteLane
from streaming.lanes.observe import ObserveLane
from streaming.lanes.stt import SttLane
from streaming.lanes.tts import TtsLane
from streaming.lanes.turn import TurnLane
from streaming.protocol import messages as wire
from streaming.sound.microphone import MicrophoneFormat

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import DataclassInstance

    from streaming.domain import LaneEvent
    from streaming.lanes.base import Lane
    from streaming.outlet import LaneSetup
    from streaming.protocol.messages import params as given
    from streaming.protocol.messages.base import Encoding

    TurnStage = (
        domain.TurnIntent
        | domain.TurnPlanned
        | domain.TurnChecked
        | domain.TurnReply
        | domain.TurnCalls
        | domain.TurnEnd
        | domain.TurnLatency
        | domain.TurnDone
    )


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


def _begins(event: domain.SpeechBegins, channel: int, generation: int) -> wire.TtsStarted:
    return wire.TtsStarted(
        channel=channel,
        generation=generation,
        encoding=cast("Encoding", event.encoding),
        sample_rate=event.sample_rate_hz,
        turn_id=event.turn_id,
    )


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


def _same(message: Callable[..., wire.NumberedEvent], event: DataclassInstance, channel: int) -> wire.NumberedEvent:
    """The message of an event with the same fields."""
    return message(channel=channel, **asdict(event))


def as_message(event: LaneEvent, channel: int, generation: int) -> wire.NumberedEvent:
    """The message of an event. `generation`: the current one of the channel's audio."""
    match event:
        case ports.SpeechStarted():
            return _same(wire.SttSpeechStarted, event, channel)
        case ports.SpeechStopped():
            return _same(wire.SttSpeechStopped, event, channel)
        case ports.InterimTranscript():
            return _same(wire.SttPartial, event, channel)
        case ports.FinalTranscript():
            return _final(event, channel)
        case ports.EagerEnd():
            return _same(wire.TurnEagerEnd, event, channel)
        case ports.SpeechResumed():
            return _same(wire.TurnResumed, event, channel)
        case ports.SeenMessage():
            return _same(wire.ObserveEvent, event, channel)
        case ports.SeenAudio():
            return _seen_audio(event, channel)
        case ports.Missed():
            return _same(wire.ObserveDropped, event, channel)
        case _:
            return _domain_message(event, channel, generation)


def _domain_message(event: domain.DomainEvent, channel: int, generation: int) -> wire.NumberedEvent:
    match event:
        case domain.SpeechBegins():
            return _begins(event, channel, generation)
        case domain.SpokenWords():
            return _spoken(event, channel)
        case domain.SpeechEnds():
            return _same(wire.TtsDone, event, channel)
        case domain.TaskStarted():
            return _same(wire.TaskStarted, event, channel)
        case domain.TaskProgressed():
            return _same(wire.TaskProgress, event, channel)
        case domain.TaskNeedsConfirmation():
            return _same(wire.TaskConfirmationRequired, event, channel)
        case domain.TaskEnded():
            return _same(wire.TaskResult, event, channel)
        case domain.Trouble():
            return _same(wire.Error, event, channel)
        case domain.TurnPaused():
            return wire.TurnPaused(channel=channel, generation=generation, **asdict(event))
        case domain.TurnInterrupted():
            return wire.TurnInterrupted(channel=channel, generation=generation, **asdict(event))
        case domain.TurnContinued():
            return wire.TurnContinued(channel=channel, generation=generation, **asdict(event))
        case _:
            return _turn_message(event, channel)


def _turn_message(event: TurnStage, channel: int) -> wire.NumberedEvent:
    match event:
        case domain.TurnIntent():
            return _intent(event, channel)
        case domain.TurnPlanned():
            return _planned(event, channel)
        case domain.TurnChecked():
            return _checked(event, channel)
        case domain.TurnReply():
            return wire.TurnReply(channel=channel, turn_id=event.turn_id, text=event.text, more=event.more or None)
        case domain.TurnCalls():
            raise AssertionError("no client of this dialect brings functions of its own")
        case domain.TurnEnd():
            return _same(wire.TurnEnd, event, channel)
        case domain.TurnLatency():
            return _same(wire.TurnLatency, event, channel)
        case domain.TurnDone():
            return _same(wire.TurnDone, event, channel)
        case _:
            assert_never(event)


def _microphone(params: given.MicrophoneParams) -> MicrophoneFormat:
    return MicrophoneFormat(
        language=params.language,
        encoding=params.encoding,
        sample_rate_hz=params.sample_rate,
        interim=params.interim,
        endpointing=params.endpointing,
        vocabulary=params.vocabulary,
    )


def _tts(params: given.TtsParams, setup: LaneSetup) -> Lane:
    speech = ReplyFormat(
        language=params.language,
        voice=params.voice,
        speed=params.speed,
        encoding=params.encoding,
        sample_rate_hz=params.sample_rate,
    )
    return TtsLane(setup, speech, params.text)


def _turn(params: given.TurnParams, setup: LaneSetup) -> Lane:
    reply = ReplyFormat(
        audio=params.reply == "audio",
        language=params.language,
        voice=params.voice,
        speed=params.speed,
        encoding=params.reply_encoding,
        sample_rate_hz=params.reply_sample_rate,
        time_zone=params.time_zone,
    )
    source = None
    if params.text is None:
        source = replace(
            _microphone(params), echo_cancellation=params.echo_cancellation, wake_word=bool(params.wake_word)
        )
    return TurnLane(setup, source, reply, params.text)


def _execute(params: given.ExecuteParams, setup: LaneSetup, command_id: str) -> Lane:
    action = ports.Action(params.executor, params.action, params.parameters)
    return ExecuteLane(setup, action, params.timeout_ms, command_id)


def lane_of(params: given.ChannelParams, setup: LaneSetup, command_id: str = "") -> Lane:
    """The lane for a channel; `command_id`: the command that opened it. Raises ServiceError, AudioFormatError, WrongInputError."""
    build: dict[str, Callable[[Any, LaneSetup], Lane]] = {
        "stt": lambda params, setup: SttLane(setup, _microphone(params)),
        "tts": _tts,
        "turn": _turn,
        "execute": lambda params, setup: _execute(params, setup, command_id),
        "observe": lambda params, setup: ObserveLane(setup, params.session_id, audio=params.audio),
    }
    return build[params.kind](params, setup)
