"""The Python client: what `jarvis_client` offers.

JarvisClient (blocking) and AsyncJarvisClient: say, say_audio, call, turn · Dialogue: a conversation · Reply: its answer ·
Microphone, Loudspeaker, WavFile: sound · GatewayError: any failure · GatewayClient, GatewayChannel: a session with all
kinds of channels · messages, AudioReceived: what channels yield.

blocking, talking: the two clients · gateway: the session below both, with reconnection and resume · channel, dialogue: one channel, and a
conversation on it · sound: devices and files · address, arguments, refusal, errors, version: where the gateway is, and why it cannot be used · pause:
when to change to another gateway.
"""

from streaming.client.blocking import BlockingDialogue, JarvisClient
from streaming.client.channel import GatewayChannel
from streaming.client.dialogue import Dialogue, Reply
from streaming.client.errors import GatewayError
from streaming.client.gateway import GatewayClient
from streaming.client.sound import Loudspeaker, Microphone, Sink, Source, WavFile
from streaming.client.talking import AsyncJarvisClient
from streaming.client.version import __version__
from streaming.protocol import messages
from streaming.protocol.events import AudioReceived
from streaming.protocol.messages import (
    ExecuteParams,
    ObserveParams,
    SttFinal,
    SttParams,
    SttPartial,
    TaskConfirmationRequired,
    TaskResult,
    TtsParams,
    TurnDone,
    TurnInterrupted,
    TurnParams,
    TurnReply,
)

__all__ = [
    "AsyncJarvisClient",
    "AudioReceived",
    "BlockingDialogue",
    "Dialogue",
    "ExecuteParams",
    "GatewayChannel",
    "GatewayClient",
    "GatewayError",
    "JarvisClient",
    "Loudspeaker",
    "Microphone",
    "ObserveParams",
    "Reply",
    "Sink",
    "Source",
    "SttFinal",
    "SttParams",
    "SttPartial",
    "TaskConfirmationRequired",
    "TaskResult",
    "TtsParams",
    "TurnDone",
    "TurnInterrupted",
    "TurnParams",
    "TurnReply",
    "WavFile",
    "__version__",
    "messages",
]
