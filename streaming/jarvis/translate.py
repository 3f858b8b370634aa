"""Translates domain events to `jarvis.v1` messages, and channel parameters to lanes. Only this module knows both vocabularies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, assert_never, cast

from streaming import domain, ports
from streaming.agent.format import ReplyFormat
from streaming.lanes.execute import ExecuteLane
from streaming.lanes.observe import ObserveLane
from streaming.lanes.stt import SttLane
from streaming.lanes.tts import TtsLane
from streaming.lanes.turn import TurnLane
from streaming.protocol import messages as wire
from streaming.sound.microphone_format import MicrophoneFormat

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.domain import LaneEvent
    from streaming.lanes.base import Lane
    from streaming.outlet import LaneSetup
    from streaming.protocol.messages import params as given
    from streaming.protocol.messages.base import Encoding
    from streaming.protocol.messages.work import TaskStatus

    # Services supply these as strings. The casts say which are expected; the messages refuse others when they are built.
    Stream = Literal["stdout", "stderr"]
    TurnStatus = Literal["ok", "interrupted", "cancelled", "failed"]
    VerdictName = Literal["allow", "confirm", "deny"]

    SpeechStage = domain.SpeechBegins | domain.SpokenWords | domain.SpeechEnds
    TaskStage = domain.TaskStarted | domain.TaskProgressed | domain.TaskNeedsConfirmation | domain.TaskEnded
    Interruption = domain.TurnPaused | domain.TurnInterrupted | domain.TurnContinued
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


def as_message(event: LaneEvent, channel: int, generation: int) -> wire.NumberedEvent:
    """The message of an event. `generation`: the current one of the channel's audio."""
    match event:
        case ports.SpeechStarted():
            return wire.SttSpeechStarted(channel=channel, at_ms=event.at_ms)
        case ports.SpeechStopped():
            return wire.SttSpeechStopped(channel=channel, at_ms=event.at_ms)
        case ports.InterimTranscript():
            return wire.SttPartial(channel=channel, text=event.text, stable_chars=event.stable_chars)
        case ports.FinalTranscript():
            return _final(event, channel)
        case ports.EagerEnd():
            return wire.TurnEagerEnd(channel=channel, at_ms=event.at_ms, text=event.text)
        case ports.SpeechResumed():
            return wire.TurnResumed(channel=channel, at_ms=event.at_ms)
        case ports.SeenMessage():
            return wire.SeenEvent(channel=channel, direction=event.direction, text=event.text)
        case ports.SeenAudio():
            return _seen_audio(event, channel)
        case ports.Missed():
            return wire.ObserveDropped(channel=channel, messages=event.messages, audio_bytes=event.audio_bytes)
        case domain.SpeechBegins() | domain.SpokenWords() | domain.SpeechEnds():
            return _speech_message(event, channel, generation)
        case domain.TaskStarted() | domain.TaskProgressed() | domain.TaskNeedsConfirmation() | domain.TaskEnded():
            return _task_message(event, channel)
        case domain.Trouble():
            return _error(event, channel)
        case domain.TurnPaused() | domain.TurnInterrupted() | domain.TurnContinued():
            return _interruption_message(event, channel, generation)
        case _:
            return _turn_message(event, channel)


def _words(words: tuple[ports.Word, ...]) -> tuple[wire.Word, ...]:
    return tuple(
        wire.Word(text=word.text, start_ms=word.start_ms, end_ms=word.end_ms, confidence=word.confidence)
        for word in words
    )


def _final(event: ports.FinalTranscript, channel: int) -> wire.SttFinal:
    return wire.SttFinal(
        channel=channel,
        text=event.text,
        confidence=event.confidence,
        start_ms=event.start_ms,
        end_ms=event.end_ms,
        words=_words(event.words),
    )


def _seen_audio(event: ports.SeenAudio, channel: int) -> wire.ObserveAudio:
    return wire.ObserveAudio(
        channel=channel,
        direction=event.direction,
        source_channel=event.channel,
        encoding=cast("Encoding", event.encoding),
        sample_rate=event.sample_rate_hz,
    )


def _error(event: domain.Trouble, channel: int) -> wire.Error:
    return wire.Error(
        channel=channel,
        code=event.code,
        message=event.message,
        retryable=event.retryable,
        retry_after_ms=event.retry_after_ms,
        turn_id=event.turn_id,
    )


def _speech_message(event: SpeechStage, channel: int, generation: int) -> wire.NumberedEvent:
    match event:
        case domain.SpeechBegins():
            return wire.TtsStarted(
                channel=channel,
                generation=generation,
                encoding=cast("Encoding", event.encoding),
                sample_rate=event.sample_rate_hz,
                turn_id=event.turn_id,
            )
        case domain.SpokenWords():
            return wire.TtsWords(channel=channel, turn_id=event.turn_id, words=_words(event.words))
        case domain.SpeechEnds():
            return wire.TtsDone(channel=channel, duration_ms=event.duration_ms, turn_id=event.turn_id)
        case _:
            assert_never(event)


def _task_message(event: TaskStage, channel: int) -> wire.NumberedEvent:
    match event:
        case domain.TaskStarted():
            return wire.TaskStarted(
                channel=channel, task_id=event.task_id, step_id=event.step_id, turn_id=event.turn_id
            )
        case domain.TaskProgressed():
            return wire.TaskProgress(
                channel=channel,
                message=event.message,
                percent=event.percent,
                stream=cast("Stream | None", event.stream),
                data=event.data,
                step_id=event.step_id,
                turn_id=event.turn_id,
            )
        case domain.TaskNeedsConfirmation():
            return wire.TaskConfirmationRequired(
                channel=channel,
                confirmation_id=event.confirmation_id,
                reason=event.reason,
                risk=event.risk,
                expires_at=event.expires_at,
                executor=event.executor,
                action=event.action,
                parameters=event.parameters,
                action_hash=event.action_hash,
                sentence=event.sentence,
                step_id=event.step_id,
                turn_id=event.turn_id,
            )
        case domain.TaskEnded():
            return wire.TaskResult(
                channel=channel,
                status=cast("TaskStatus", event.status),
                result=event.result,
                message=event.message,
                step_id=event.step_id,
                turn_id=event.turn_id,
            )
        case _:
            assert_never(event)


def _interruption_message(event: Interruption, channel: int, generation: int) -> wire.NumberedEvent:
    match event:
        case domain.TurnPaused():
            return wire.TurnPaused(
                channel=channel, generation=generation, turn_id=event.turn_id, heard_ms=event.heard_ms
            )
        case domain.TurnInterrupted():
            return wire.TurnInterrupted(
                channel=channel,
                generation=generation,
                turn_id=event.turn_id,
                heard_ms=event.heard_ms,
                heard_text=event.heard_text,
            )
        case domain.TurnContinued():
            return wire.TurnContinued(
                channel=channel, generation=generation, turn_id=event.turn_id, from_ms=event.from_ms
            )
        case _:
            assert_never(event)


def _turn_message(event: TurnStage, channel: int) -> wire.NumberedEvent:
    match event:
        case domain.TurnIntent():
            return _intent(event, channel)
        case domain.TurnPlanned():
            return _plan(event, channel)
        case domain.TurnChecked():
            return _safety(event, channel)
        case domain.TurnReply():
            return wire.TurnReply(channel=channel, turn_id=event.turn_id, text=event.text, more=event.more or None)
        case domain.TurnCalls():
            raise AssertionError("no client of this dialect brings functions of its own")
        case domain.TurnEnd():
            return wire.TurnEnd(channel=channel, at_ms=event.at_ms)
        case domain.TurnLatency():
            return wire.TurnLatency(channel=channel, turn_id=event.turn_id, stages=dict(event.stages))
        case domain.TurnDone():
            return wire.TurnDone(channel=channel, turn_id=event.turn_id, status=cast("TurnStatus", event.status))
        case _:
            assert_never(event)


def _intent(event: domain.TurnIntent, channel: int) -> wire.TurnIntent:
    intent = event.intent
    return wire.TurnIntent(
        channel=channel,
        turn_id=event.turn_id,
        intent=intent.intent,
        confidence=intent.confidence,
        entities=intent.entities,
        alternatives=tuple(
            wire.IntentGuess(intent=guess.intent, confidence=guess.confidence, entities=guess.entities)
            for guess in intent.alternatives
        ),
    )


def _plan(event: domain.TurnPlanned, channel: int) -> wire.TurnPlan:
    plan = event.plan
    steps = tuple(
        wire.PlanStep(
            id=step.id,
            executor=step.executor,
            action=step.action,
            parameters=step.parameters,
            depends_on=step.depends_on,
            description=step.description,
        )
        for step in plan.steps
    )
    return wire.TurnPlan(channel=channel, turn_id=event.turn_id, plan_id=plan.plan_id, goal=plan.goal, steps=steps)


def _safety(event: domain.TurnChecked, channel: int) -> wire.TurnSafety:
    report = event.report
    return wire.TurnSafety(
        channel=channel,
        turn_id=event.turn_id,
        verdict=cast("VerdictName", report.verdict),
        risk=report.risk,
        reasons=report.reasons,
        actions=tuple(
            wire.ActionVerdict(
                action_id=action.action_id,
                verdict=cast("VerdictName", action.verdict),
                risk=action.risk,
                reasons=action.reasons,
            )
            for action in report.actions
        ),
    )


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
