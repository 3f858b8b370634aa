"""A load test with the traffic of real users: REST callers, and voice clients with a socket each.

    python -m venv /tmp/locust && /tmp/locust/bin/pip install -e '.[load]'
    export JARVIS_TOKEN=$(.venv/bin/python -m server token --user load --role admin)     # with the gateway's JWT_SECRET_KEY
    /tmp/locust/bin/locust -f tests/load/locustfile.py --host http://127.0.0.1:8000 --headless -u 200 -r 20 -t 1m

Raise RATE_LIMIT_REQUESTS, WS_MAX_SOCKETS_PER_USER and WS_HANDSHAKES_PER_MINUTE of the gateway first: one user asks from one
address. `JARVIS_WAV` names another recording to speak (16 kHz, mono, 16 bit).
"""

from __future__ import annotations

import json
import os
import secrets
import struct
import time
import wave
from pathlib import Path
from typing import Any

from locust import FastHttpUser, User, between, constant_pacing, task
from websocket import ABNF, WebSocket, create_connection

TOKEN = os.environ.get("JARVIS_TOKEN", "")
RECORDING = os.environ.get(
    "JARVIS_WAV", str(Path(__file__).resolve().parent.parent / "audio" / "flite-slt-what-time-is-it.wav")
)
FRAME_BYTES = 640  # 20 ms at 16 kHz
SILENCE_BYTES = 32_000  # a second of it ends the utterance
HEADER = struct.Struct(">BBHIII")  # PROTOCOL.md, section 4
TURN_TIMEOUT_S = 20.0


class RestCaller(FastHttpUser):
    """Asks, stores, finds, and has something spoken."""

    wait_time = between(0.5, 1.5)
    weight = 3

    def _post(self, path: str, body: dict[str, Any]) -> None:
        self.client.post(path, json=body, headers={"Authorization": f"Bearer {TOKEN}", "Accept": "*/*"})

    @task(6)
    def intent(self) -> None:
        """What does somebody mean?"""
        self._post("/api/v1/agent/intent", {"text": "what time is it"})

    @task(2)
    def memory(self) -> None:
        """Store and find."""
        self._post("/api/v1/memory/store", {"key": f"load-{secrets.token_hex(2)}", "value": "x", "ttl_seconds": 60})
        self._post("/api/v1/memory/search", {"query": "load"})

    @task(1)
    def speak(self) -> None:
        """A sentence, as sound."""
        self._post("/api/v1/voice/tts", {"text": "It is noon."})


class VoiceClient(User):
    """A socket that lives as long as the test; a spoken turn every ten seconds."""

    wait_time = constant_pacing(10)
    weight = 1

    def on_start(self) -> None:
        """Connect."""
        url = f"{self.host.replace('http', 'ws', 1)}/ws/load-{secrets.token_hex(6)}"
        began = time.perf_counter()
        self.socket: WebSocket = create_connection(url, header=[f"Authorization: Bearer {TOKEN}"], timeout=TURN_TIMEOUT_S)
        self._until("session.ready")
        self._report("connect", began)
        self.channel = -1

    def on_stop(self) -> None:
        """Say goodbye."""
        self.socket.close()

    @task
    def turn(self) -> None:
        """Speak as fast as credit allows, and wait for the first sound of the answer."""
        self.channel += 2
        self._say({"type": "channel.open", "channel": self.channel, "kind": "turn", "params": {}})
        credit = self._until("channel.opened")["credit"]
        began = time.perf_counter()
        pcm = recording()
        for number, start in enumerate(range(0, len(pcm), FRAME_BYTES)):
            while credit < FRAME_BYTES:
                credit += self._until("credit")["bytes"]
            payload = pcm[start : start + FRAME_BYTES]
            credit -= len(payload)
            head = HEADER.pack(1, 0, self.channel, 0, number, number * 20)
            self.socket.send_binary(head + payload)
        self._until("tts.started")
        self._report("turn: first sound", began)
        self._say({"type": "channel.cancel", "channel": self.channel})
        self._until("channel.closed")

    def _say(self, command: dict[str, Any]) -> None:
        self.socket.send(json.dumps(command))

    def _until(self, kind: str) -> dict[str, Any]:
        """The next message of that type; frames and others go by."""
        while True:
            opcode, data = self.socket.recv_data()
            if opcode == ABNF.OPCODE_TEXT:
                message: dict[str, Any] = json.loads(data)
                if message["type"] == "ping":
                    self._say({"type": "pong", "t": message["t"]})
                if message["type"] == kind:
                    return message
                if message["type"] == "error":
                    raise RuntimeError(f"{message['code']}: {message['message']}")

    def _report(self, name: str, began: float) -> None:
        self.environment.events.request.fire(
            request_type="WS",
            name=name,
            response_time=(time.perf_counter() - began) * 1000,
            response_length=0,
            exception=None,
            context={},
        )


def recording() -> bytes:
    """Speech, and silence behind it."""
    with wave.open(RECORDING) as file:
        return file.readframes(file.getnframes()) + bytes(SILENCE_BYTES)
