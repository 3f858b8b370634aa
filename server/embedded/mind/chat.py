"""One answer of a chat endpoint, streamed, by OpenAI's own client."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from server.embedded.mind.errors import MindError
from server.embedded.mind.messages import ToolCall

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from openai import AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletionChunk
    from openai.types.chat.chat_completion_chunk import ChoiceDeltaToolCall

    from server.embedded.mind.config import MindConfig
    from server.embedded.mind.messages import Message

log = logging.getLogger(__name__)

CONNECT_S = 3.0
MAX_RETRY_AFTER_S = 3_600.0
MAX_ANSWER_CHARS = 100_000  # words and arguments of one answer; an endpoint that sends more is faulty
_DONE = re.compile(rb"[\r\n]data: ?\[DONE\]")
DONE_BYTES = 13  # of its longest form, which may come in two parts
_REFUSALS = {
    400: ("FAILED_PRECONDITION", "does not take the request"),
    401: ("UNAUTHENTICATED", "refuses the API key"),
    403: ("PERMISSION_DENIED", "refuses the API key"),
    404: ("NOT_FOUND", "does not know the model, or the address is wrong"),
    429: ("RESOURCE_EXHAUSTED", "has too much to do"),
}


@dataclass(slots=True)
class _Call:
    """A call that is still coming, in pieces."""

    id: str
    name: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ChatAnswer:
    """The tool calls of an answer, in order, and how it ended."""

    ended: bool = False  # the endpoint said that the answer is over: a lost connection may look like an end
    cut: bool = False  # the answer reached `max_tokens`
    filtered: bool = False  # the endpoint's filter stopped it
    _calls: list[_Call] = field(default_factory=list)
    _by_index: dict[int, _Call] = field(default_factory=dict)  # by the deltas' index

    @property
    def calls(self) -> list[ToolCall]:
        """Those that have come so far."""
        return [ToolCall(call.id, "".join(call.name), "".join(call.arguments)) for call in self._calls]

    @property
    def broken(self) -> bool:
        """True if its end may be missing."""
        return self.cut or self.filtered

    def add(self, delta: ChoiceDeltaToolCall) -> int:
        """Add a piece of a call; returns its length. Some endpoints use index 0 for all calls, so a new id starts a new call."""
        name = (delta.function.name if delta.function else None) or ""
        arguments: object = (delta.function.arguments if delta.function else None) or ""
        if not isinstance(arguments, str):  # the client does not check; some endpoints send the object itself
            arguments = json.dumps(arguments)
        if not isinstance(name, str):
            raise TypeError("a function's name is not a string")
        call = self._by_index.get(delta.index)
        if call is None or (delta.id and delta.id != call.id):
            call = self._by_index[delta.index] = _Call(delta.id or f"call_{len(self._calls)}")
            self._calls.append(call)
        call.name.append(name)
        call.arguments.append(arguments)
        return len(name) + len(arguments)


class Chat:
    """The endpoint. Create it on the event loop, and `close` it there."""

    def __init__(self, config: MindConfig) -> None:
        self._config = config
        self._client: AsyncOpenAI | None = None

    async def start(self) -> None:
        """Load the client, so that the first user does not wait a second for it."""
        try:
            await asyncio.to_thread(self._connection)
        except MindError as missing:
            log.warning("no language model: %s", missing)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    def _connection(self) -> AsyncOpenAI:
        """The client. Raises MindError if it is not installed."""
        if self._client is None:
            try:
                import openai  # noqa: PLC0415 - optional, and takes half a second
            except ImportError:
                raise MindError(
                    "FAILED_PRECONDITION", "the Python package openai is missing: pip install 'jarvis-gateway[llm]'"
                ) from None
            timeout = openai.Timeout(self._config.reply_s, connect=min(CONNECT_S, self._config.stall_s))
            # No retries: the caller is told, and may ask again.
            self._client = openai.AsyncOpenAI(
                base_url=self._config.base_url, api_key=self._config.api_key, timeout=timeout, max_retries=0
            )
        return self._client

    async def stream(
        self,
        messages: list[Message],
        functions: list[Message],
        answer: ChatAnswer,
        *,
        tool_choice: str,
        max_tokens: int = 0,
    ) -> AsyncGenerator[str, None]:
        """The answer's words, piece by piece; its calls are in `answer` afterwards. Closing the generator hangs up. Raises MindError.

        A piece is empty if the model sent something else: a part of a call, or of its reasoning.

        `tool_choice`: auto, required, or none, which forbids calls although `functions` are described. `max_tokens` 0: no limit.
        """
        client = self._connection()
        import openai  # noqa: PLC0415 - already loaded

        asked: dict[str, Any] = {"model": self._config.model, "messages": messages, "stream": True}
        if functions:
            asked |= {"tools": functions, "tool_choice": tool_choice}
        if max_tokens:
            asked["max_tokens"] = max_tokens
        try:
            async with asyncio.timeout(self._config.stall_s):
                opened = await client.chat.completions.create(**asked)
            chunks = cast("AsyncStream[ChatCompletionChunk]", opened)
            _watch(chunks.response, answer)
            async with chunks, aclosing(self._pieces(chunks, answer)) as pieces:
                async for piece in pieces:
                    yield piece
        except (TimeoutError, openai.APITimeoutError):
            raise MindError("DEADLINE_EXCEEDED", "the language model does not answer in time") from None
        except openai.APIStatusError as refused:
            raise _refusal(refused) from None
        except openai.APIConnectionError:
            raise MindError("UNAVAILABLE", "the language model cannot be reached") from None
        except (openai.APIError, ValueError, LookupError, AttributeError, TypeError):
            raise MindError("INTERNAL", "the language model sent an answer that cannot be read") from None
        except MindError:
            raise
        except Exception:  # noqa: BLE001 - the HTTP client has errors of its own for a connection lost midway
            log.warning("the language model's answer broke off", exc_info=True)
            raise MindError("UNAVAILABLE", "the language model broke off") from None

    async def _pieces(self, chunks: AsyncStream[ChatCompletionChunk], answer: ChatAnswer) -> AsyncGenerator[str, None]:
        """The answer's words, as `stream` has them. Raises TimeoutError after a silence, or if the whole answer takes too long."""
        loop = asyncio.get_running_loop()
        over_at, chars, begun = loop.time() + self._config.reply_s, 0, False
        arriving = aiter(chunks)
        while True:
            try:
                async with asyncio.timeout_at(min(loop.time() + self._config.stall_s, over_at)):
                    chunk = await anext(arriving)
            except StopAsyncIteration:
                if not begun:
                    raise ValueError("there is no answer in it") from None
                if not answer.ended:
                    raise MindError("UNAVAILABLE", "the language model broke off") from None
                return
            begun = True
            await asyncio.sleep(0)  # thousands of chunks may be there already, and reading these suspends nothing
            if not chunk.choices:  # the last chunk may have the usage only
                continue
            finish = chunk.choices[0].finish_reason
            answer.ended |= finish is not None
            answer.cut |= finish == "length"
            answer.filtered |= finish == "content_filter"
            delta = chunk.choices[0].delta
            words = _text(delta.content) + _text(delta.refusal)
            chars += len(words) + sum(answer.add(call) for call in delta.tool_calls or ())
            if chars > MAX_ANSWER_CHARS:
                raise MindError("INTERNAL", "the language model's answer does not end")
            yield words


def _watch(response: Any, answer: ChatAnswer) -> None:
    """Note in the answer that the stream says that it is over. The client stops there, but does so too where the stream is cut."""
    read = response.aiter_bytes

    async def aiter_bytes() -> AsyncGenerator[bytes, None]:
        tail = b"\n"
        async for data in read():
            tail += data
            answer.ended = answer.ended or _DONE.search(tail) is not None
            tail = tail[-DONE_BYTES:]
            yield data

    response.aiter_bytes = aiter_bytes


def _text(content: object) -> str:
    """The words of a delta; some endpoints send them as a list of parts. Raises an error for anything else."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise TypeError("the content is neither text nor a list of parts")
    return "".join(_text(part["text"]) for part in content if part.get("type") == "text")


def _refusal(refused: Any) -> MindError:
    code, words = _REFUSALS.get(refused.status_code, ("UNAVAILABLE", "fails"))
    return MindError(code, f"the language model's endpoint {words}", _retry_after_ms(refused.response.headers))


def _retry_after_ms(headers: Any) -> int:
    try:
        return round(min(max(0.0, float(headers.get("retry-after", 0))), MAX_RETRY_AFTER_S) * 1000)
    except ValueError:  # a date
        return 0
