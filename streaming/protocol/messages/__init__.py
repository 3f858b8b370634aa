"""Every text message of `jarvis.v1`, as the models that validate it. AsyncAPI is generated from them.

base: strictness and field types · params: of each kind of channel · client: commands · server: about the session itself ·
work: recognition, speech, tasks, turns. `ClientMessage` and `ServerMessage` are the unions, discriminated by `type`.
"""

from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter

from streaming.protocol.messages.base import (
    ChannelCommand,
    ChannelEvent,
    Command,
    Message,
    NumberedCommand,
    NumberedEvent,
)
from streaming.protocol.messages.client import (
    DEFAULT_CREDIT_BYTES,
    Ack,
    Auth,
    AuthRefresh,
    Call,
    ChannelCancel,
    ChannelEnd,
    ChannelOpen,
    ClientMessage,
    Commit,
    CreditGrant,
    OpenCommand,
    OpenExecute,
    OpenObserve,
    OpenStt,
    OpenTts,
    OpenTurn,
    Ping,
    Playback,
    Pong,
    SessionResume,
    TaskConfirm,
    TtsText,
)
from streaming.protocol.messages.params import (
    ChannelParams,
    ExecuteParams,
    MicrophoneParams,
    ObserveParams,
    SttParams,
    TtsParams,
    TurnParams,
)
from streaming.protocol.messages.server import (
    AudioFormats,
    AuthExpiring,
    AuthOk,
    ChannelClosed,
    ChannelOpened,
    Credit,
    Error,
    ObserveAudio,
    ObserveDropped,
    ObserveEvent,
    Result,
    SeenEvent,
    ServerAck,
    ServerPing,
    ServerPong,
    SessionDraining,
    SessionReady,
    SessionResumable,
    SessionResumed,
    User,
)
from streaming.protocol.messages.work import (
    ActionVerdict,
    IntentGuess,
    PlanStep,
    SttFinal,
    SttPartial,
    SttSpeechStarted,
    SttSpeechStopped,
    TaskConfirmationRequired,
    TaskProgress,
    TaskResult,
    TaskStarted,
    TtsDone,
    TtsStarted,
    TtsWords,
    TurnContinued,
    TurnDone,
    TurnEagerEnd,
    TurnEnd,
    TurnIntent,
    TurnInterrupted,
    TurnLatency,
    TurnPaused,
    TurnPlan,
    TurnReply,
    TurnResumed,
    TurnSafety,
    Word,
)

ServerMessage = Annotated[
    SessionReady
    | SessionResumed
    | ServerAck
    | ServerPing
    | ServerPong
    | AuthOk
    | AuthExpiring
    | SessionDraining
    | SessionResumable
    | Error
    | Result
    | ChannelOpened
    | Credit
    | ChannelClosed
    | SttSpeechStarted
    | SttPartial
    | SttFinal
    | SttSpeechStopped
    | TtsStarted
    | TtsWords
    | TtsDone
    | TaskStarted
    | TaskProgress
    | TaskConfirmationRequired
    | TaskResult
    | TurnIntent
    | TurnPlan
    | TurnSafety
    | TurnReply
    | TurnEagerEnd
    | TurnResumed
    | TurnEnd
    | TurnInterrupted
    | TurnPaused
    | TurnContinued
    | TurnLatency
    | TurnDone
    | ObserveEvent
    | ObserveAudio
    | ObserveDropped,
    Field(discriminator="type"),
]

CLIENT_MESSAGES: TypeAdapter[ClientMessage] = TypeAdapter(ClientMessage)
SERVER_MESSAGES: TypeAdapter[ServerMessage] = TypeAdapter(ServerMessage, config=ConfigDict(defer_build=True))
OPEN_COMMANDS: dict[str, type[OpenCommand]] = {
    "stt": OpenStt,
    "tts": OpenTts,
    "execute": OpenExecute,
    "turn": OpenTurn,
    "observe": OpenObserve,
}

__all__ = [
    "CLIENT_MESSAGES",
    "DEFAULT_CREDIT_BYTES",
    "OPEN_COMMANDS",
    "SERVER_MESSAGES",
    "Ack",
    "ActionVerdict",
    "AudioFormats",
    "Auth",
    "AuthExpiring",
    "AuthOk",
    "AuthRefresh",
    "Call",
    "ChannelCancel",
    "ChannelClosed",
    "ChannelCommand",
    "ChannelEnd",
    "ChannelEvent",
    "ChannelOpen",
    "ChannelOpened",
    "ChannelParams",
    "ClientMessage",
    "Command",
    "Commit",
    "Credit",
    "CreditGrant",
    "Error",
    "ExecuteParams",
    "IntentGuess",
    "Message",
    "MicrophoneParams",
    "NumberedCommand",
    "NumberedEvent",
    "ObserveAudio",
    "ObserveDropped",
    "ObserveEvent",
    "ObserveParams",
    "OpenCommand",
    "OpenExecute",
    "OpenObserve",
    "OpenStt",
    "OpenTts",
    "OpenTurn",
    "Ping",
    "PlanStep",
    "Playback",
    "Pong",
    "Result",
    "SeenEvent",
    "ServerAck",
    "ServerMessage",
    "ServerPing",
    "ServerPong",
    "SessionDraining",
    "SessionReady",
    "SessionResumable",
    "SessionResume",
    "SessionResumed",
    "SttFinal",
    "SttParams",
    "SttPartial",
    "SttSpeechStarted",
    "SttSpeechStopped",
    "TaskConfirm",
    "TaskConfirmationRequired",
    "TaskProgress",
    "TaskResult",
    "TaskStarted",
    "TtsDone",
    "TtsParams",
    "TtsStarted",
    "TtsText",
    "TtsWords",
    "TurnContinued",
    "TurnDone",
    "TurnEagerEnd",
    "TurnEnd",
    "TurnIntent",
    "TurnInterrupted",
    "TurnLatency",
    "TurnParams",
    "TurnPaused",
    "TurnPlan",
    "TurnReply",
    "TurnResumed",
    "TurnSafety",
    "User",
    "Word",
]
