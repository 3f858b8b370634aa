"""One response as its events: each item keeps its place, even if another begins before it ends."""

from __future__ import annotations

from typing import Any

from streaming.openai.conversation import Conversation
from streaming.openai.event_queue import EventQueue
from streaming.openai.response import Response
from streaming.openai.settings import Voices, new_session, response_settings
from tests.clients.published import checked


def begun() -> tuple[Response, EventQueue]:
    settings = response_settings(new_session("sess_1", "", None, transcription=False), {}, Voices())
    queue = EventQueue("a_")
    response = Response(queue, Conversation(), "conv_1", settings)
    response.begin()
    return response, queue


def test_an_approval_is_requested_within_a_message() -> None:
    response, queue = begun()
    message = response.open_item().item["id"]
    response.words("Shall I")
    response.whole_item(
        {"id": "mcpr_1", "type": "mcp_approval_request", "server_label": "jarvis", "name": "os.rm", "arguments": "{}"}
    )
    response.sound(bytes(960), 20)
    response.words(" remove it?")
    response.finish("completed")
    events: list[dict[str, Any]] = [checked(raw) for raw in queue.take()]
    places = {(one.get("item_id") or one["item"]["id"], one["output_index"]) for one in events if "output_index" in one}
    assert places == {(message, 0), ("mcpr_1", 1)}
    before = {(one["item"]["id"], one["previous_item_id"]) for one in events if "previous_item_id" in one}
    assert before == {(message, None), ("mcpr_1", message)}
    output = events[-1]["response"]["output"]
    assert [item["id"] for item in output] == [message, "mcpr_1"]
    assert output[0]["content"] == [{"type": "output_audio", "transcript": "Shall I remove it?"}]


def test_a_message_that_is_cut_after_an_approval_comes_first() -> None:
    response, queue = begun()
    message = response.open_item().item["id"]
    response.whole_item(
        {"id": "mcpr_1", "type": "mcp_approval_request", "server_label": "jarvis", "name": "os.rm", "arguments": "{}"}
    )
    response.finish("cancelled", reason="turn_detected")
    done = checked(queue.take()[-1])["response"]["output"]
    assert [(item["id"], item.get("status")) for item in done] == [(message, "incomplete"), ("mcpr_1", None)]
