"""The planner with a scripted chat endpoint, over gRPC and HTTP, with OpenAI's own client."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest
from google.protobuf.json_format import MessageToDict

from protos import planner_pb2, planner_pb2_grpc
from server.embedded.host import EmbeddedServices
from server.embedded.mind.rounds import CUT, FILTERED, MAX_ROUNDS, MAX_WRONG_ANSWERS
from server.embedded.service import EmbeddedConfig
from tests.support.chat_endpoint import ChatEndpoint, Scene, call, chat_endpoint, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from protos.planner_pb2_grpc import PlannerAsyncStub


@asynccontextmanager
async def planner(directory: Path, url: str, **options: str) -> AsyncIterator[PlannerAsyncStub]:
    named = {"LLM_BASE_URL": url, "LLM_MODEL": "m1", "LLM_API_KEY": "sk-test", **options}
    host = EmbeddedServices({"planner": "127.0.0.1:0"}, EmbeddedConfig(directory, tuple(named.items())))
    addresses = await host.bind()
    assert await host.start() == {}
    async with grpc.aio.insecure_channel(addresses["planner"]) as channel:
        yield planner_pb2_grpc.PlannerStub(channel)
    await host.stop()


def tool(executor: str = "os", action: str = "mkdir") -> planner_pb2.Tool:
    made = planner_pb2.Tool(executor=executor, action=action, description="Make a folder")
    made.parameters.update({"type": "object", "properties": {"args": {"type": "array"}}})
    return made


def asking(text: str = "tell me a joke about cats", rounds: int = 0) -> planner_pb2.ConverseRequest:
    request = planner_pb2.ConverseRequest(text=text, tools=[tool()])
    for number in range(1, rounds + 1):
        done = request.rounds.add(words=f"Round {number}. ")
        step = done.steps.add(id=f"r{number}s1", executor="os", action="mkdir")
        step.parameters.update({"args": ["demo"]})
        outcome = done.outcomes.add(step_id=step.id, status="ok")
        outcome.result.update({"stdout": "x" * 10_000})
    return request


async def events(
    stub: PlannerAsyncStub, request: planner_pb2.ConverseRequest | None = None
) -> list[planner_pb2.ConverseEvent]:
    return [event async for event in stub.Converse(request or asking())]


async def failure_of(directory: Path, endpoint: ChatEndpoint | str, **options: str) -> planner_pb2.Failure:
    url = endpoint if isinstance(endpoint, str) else endpoint.url
    async with planner(directory, url, **options) as stub:
        *_, last = await events(stub)
        assert last.WhichOneof("event") == "failed"
        return last.failed


async def test_what_templates_do_not_understand_is_open_ended(tmp_path: Path) -> None:
    async with planner(tmp_path, "http://127.0.0.1:9/v1") as stub:
        unknown = await stub.Plan(planner_pb2.PlanRequest(text="tell me a joke about cats"))
        known = await stub.Plan(planner_pb2.PlanRequest(text="what time is it"))
        assert (unknown.open_ended, known.open_ended) == (True, False)
    async with planner(tmp_path, "http://127.0.0.1:9/v1", LLM_FIRST="True") as stub:
        first = await stub.Plan(planner_pb2.PlanRequest(text="search for cats"))
        stop = await stub.Plan(planner_pb2.PlanRequest(text="stop"))
        assert (first.open_ended, list(first.steps), stop.open_ended) == (True, [], False)


async def test_what_templates_only_guess_is_for_the_model(tmp_path: Path) -> None:
    """What they know, the conversation or another recogniser tells, is not."""
    note = [planner_pb2.Turn(role="user", text="open example.com"), planner_pb2.Turn(role="assistant", text="Opened.")]
    guessed = ("who was ada lovelace", "what is the capital of mongolia", "open sesame", "how long is a marathon")
    known = (
        "search for ada lovelace",
        "what is 2 plus 2",
        "serach for cats",
        "how long until christmas",
        "open wikipedia",
    )
    async with planner(tmp_path, "http://127.0.0.1:9/v1") as stub:
        for text in guessed:
            assert (await stub.Plan(planner_pb2.PlanRequest(text=text))).open_ended, text
            assert (await stub.Plan(planner_pb2.PlanRequest(text=text, context=note))).open_ended, text
        for text in known:
            assert not (await stub.Plan(planner_pb2.PlanRequest(text=text))).open_ended, text
        other = planner_pb2.PlanRequest(text="who was ada lovelace", intent="web_search")
        other.entities.update({"query": "Ada Lovelace, mathematician"})
        assert not (await stub.Plan(other)).open_ended


async def test_words_about_what_the_planner_does_not_know_are_for_the_model(tmp_path: Path) -> None:
    """It has answered what came before. What the planner itself has done, it knows better."""
    made = [("user", "create a folder called demo"), ("assistant", "I have made the folder demo.")]
    riddle = [*made, ("user", "ask me a hard riddle, my friend"), ("assistant", "What has keys and opens nothing?")]
    searched = [("user", "search for cats"), ("assistant", "I found 5 results. The first is Cats.")]

    def said(turns: list[tuple[str, str]], text: str) -> planner_pb2.PlanRequest:
        context = [planner_pb2.Turn(role=role, text=words) for role, words in [*turns, ("user", text)]]
        return planner_pb2.PlanRequest(text=text, context=context)

    async with planner(tmp_path, "http://127.0.0.1:9/v1") as stub:
        for text in ("undo that", "the second one", "why?", "and in Paris?", "make it six", "forget that", "how many"):
            assert (await stub.Plan(said(riddle, text))).open_ended, text
        for turns, text in (
            (made, "undo that"),
            (searched, "the second one"),
            (searched, "and dogs"),
            (searched, "how many"),
        ):
            assert not (await stub.Plan(said(turns, text))).open_ended, text


@pytest.mark.parametrize("first", ["true", "false"])
async def test_the_models_own_question_is_answered_by_yes_or_no(tmp_path: Path, first: str) -> None:
    def said(answer: str, before: str) -> planner_pb2.PlanRequest:
        turns = [("user", "is there a file?"), ("assistant", before), ("user", answer)]
        return planner_pb2.PlanRequest(
            text=answer, context=[planner_pb2.Turn(role=role, text=text) for role, text in turns]
        )

    async with planner(tmp_path, "http://127.0.0.1:9/v1", LLM_FIRST=first) as stub:
        for answer in ("Yes, please.", "okay", "No."):
            assert (await stub.Plan(said(answer, 'There is one. "Shall I read it?"'))).open_ended
            assert not (await stub.Plan(said(answer, "There is one file."))).open_ended
        assert not (await stub.Plan(said("stop", "Shall I read it?"))).open_ended


async def test_words_come_sentence_by_sentence_while_they_are_made(tmp_path: Path) -> None:
    more = asyncio.Event()
    scene = Scene([{"content": "It scat"}, {"content": "ters. And"}, more, {"content": " so on."}])
    async with chat_endpoint(lambda _n: scene) as endpoint, planner(tmp_path, endpoint.url) as stub:
        heard = aiter(stub.Converse(asking()))
        first = await anext(heard)
        assert (first.words.text, first.words.last) == ("It scatters. ", False)
        more.set()
        last = await anext(heard)
        assert (last.words.text, last.words.last) == ("And so on.", True)
        assert endpoint.keys == ["bearer sk-test"]
        assert endpoint.asked[0]["model"] == "m1"
        assert endpoint.asked[0]["tools"][0]["function"]["name"] == "os__mkdir"


async def test_a_model_that_thinks_for_long_shows_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.embedded.mind.rounds.LIFE_S", 0.0)
    thoughts = [{"reasoning_content": "hm"}, {"content": "<think>Is it"}, {"content": " so?</think>"}]
    scene = Scene([*thoughts, {"content": "It is."}])
    async with chat_endpoint(lambda _n: scene) as endpoint, planner(tmp_path, endpoint.url) as stub:
        *signs, last = await events(stub)
        assert len(signs) >= len(thoughts)
        assert {sign.WhichOneof("event") for sign in signs} == {None}
        assert (last.words.text, last.words.last) == ("It is.", True)


async def test_a_client_brings_instructions_and_functions(tmp_path: Path) -> None:
    request = asking("what is the weather?")
    request.tools.append(tool("client", "weather"))
    request.instructions, request.tool_choice, request.max_tokens = "Talk like a pirate.", "required", 50
    done = request.rounds.add()
    done.steps.add(id="r1s1", executor="client", action="weather")
    done.outcomes.add(step_id="r1s1", status="ok", message="rain")
    scene = Scene([{"content": "It rai"}], ends="length")
    async with chat_endpoint(lambda _n: scene) as endpoint, planner(tmp_path, endpoint.url) as stub:
        *_, last = await events(stub, request)
        assert (last.words.last, last.words.cut) == (True, True)
        asked = endpoint.asked[0]
        assert asked["messages"][0]["content"].endswith("Talk like a pirate.")
        assert [one["function"]["name"] for one in asked["tools"]] == ["os__mkdir", "weather"]
        assert (asked["tool_choice"], asked["max_tokens"]) == ("required", 50)
        assert asked["messages"][-1]["content"] == "rain"
        plan = await stub.Plan(planner_pb2.PlanRequest(text="what time is it", prefer_model=True))
        assert plan.open_ended


async def test_the_model_is_told_the_conversation_and_what_became_of_its_tools(tmp_path: Path) -> None:
    request = asking("and blue?", rounds=1)
    for role, text in (("user", "hello"), ("assistant", "Hi. What I said unt"), ("user", "and blue?")):
        request.context.add(role=role, text=text)
    async with chat_endpoint(lambda _n: words("Done.")) as endpoint, planner(tmp_path, endpoint.url) as stub:
        await events(stub, request)
        system, *told = endpoint.asked[0]["messages"]
        assert system["role"] == "system"
        assert [one["role"] for one in told] == ["user", "assistant", "user", "assistant", "tool"]
        assert told[1]["content"] == "Hi. What I said unt"
        assert json.loads(told[3]["tool_calls"][0]["function"]["arguments"]) == {"args": ["demo"]}
        assert told[4]["tool_call_id"] == told[3]["tool_calls"][0]["id"]
        assert json.loads(told[4]["content"])["status"] == "ok"
        assert len(told[4]["content"]) < 3_000


async def test_requests_in_a_row_are_one_message(tmp_path: Path) -> None:
    """The first was dropped for the second. Templates such as Mistral's refuse two messages of the user in a row."""
    said = [("user", "hello"), ("assistant", "Hi."), ("user", "What about dogs?"), ("user", "And cats?")]
    async with chat_endpoint(lambda _n: words("Both.")) as endpoint, planner(tmp_path, endpoint.url) as stub:
        for context in (said, said[:-1]):  # the request itself may be stored already
            request = asking("And cats?")
            request.context.extend(planner_pb2.Turn(role=role, text=text) for role, text in context)
            await events(stub, request)
    for asked in endpoint.asked:
        spoken = [(message["role"], message["content"]) for message in asked["messages"][1:]]
        assert spoken == [("user", "hello"), ("assistant", "Hi."), ("user", "What about dogs?\nAnd cats?")]


async def test_two_calls_in_deltas_become_two_steps(tmp_path: Path) -> None:
    one = call("os__mkdir", '{"args":', ' ["a"]}', index=0, call_id="c1")
    two = call("os__mkdir", '{"args": ["b"]}', index=1, call_id="c2")
    scene = Scene([{"content": "Let me see."}, *one, *two])
    async with chat_endpoint(lambda _n: scene) as endpoint, planner(tmp_path, endpoint.url) as stub:
        said, first, second = await events(stub)
        assert (said.words.text, said.words.last) == ("Let me see. ", False)
        assert [(s.step.id, s.step.executor, s.step.action) for s in (first, second)] == [
            ("r1s1", "os", "mkdir"),
            ("r1s2", "os", "mkdir"),
        ]
        assert MessageToDict(second.step.parameters) == {"args": ["b"]}


async def test_calls_that_all_have_the_index_0_are_told_apart_by_their_ids(tmp_path: Path) -> None:
    scene = Scene([*call("os__mkdir", '{"args": ["a"]}', call_id="c1"), *call("os__mkdir", "{}", call_id="c2")])
    async with chat_endpoint(lambda _n: scene) as endpoint, planner(tmp_path, endpoint.url) as stub:
        assert len(await events(stub)) == 2


@pytest.mark.parametrize("arguments", ['{"args": [', "[1]", '{"a": NaN}', '"x"', "{" * 5_000])
async def test_malformed_arguments_are_sent_back_to_the_model(tmp_path: Path, arguments: str) -> None:
    scenes = [Scene(call("os__mkdir", arguments)), words("I could not.")]
    async with chat_endpoint(lambda n: scenes[n]) as endpoint, planner(tmp_path, endpoint.url) as stub:
        (told,) = await events(stub)
        assert told.words.last
        *_, asked, answer = endpoint.asked[1]["messages"]
        assert isinstance(json.loads(asked["tool_calls"][0]["function"]["arguments"]), dict)
        assert "not a JSON object" in answer["content"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ('{"args": "demo"}', "args must be of the type array"),
        ('{"args": [1, null, {"a": 2}]}', "args[0] must be of the type string"),
        ('{"args": ["demo"], "sudo": true}', "the arguments may not have sudo"),
        ("{}", "the arguments lack args"),
    ],
)
async def test_arguments_of_another_shape_are_sent_back_before_anybody_is_asked(
    tmp_path: Path, arguments: str, told: str
) -> None:
    schema: dict[str, Any] = {"type": "object", "required": ["args"], "additionalProperties": False}
    made = planner_pb2.Tool(executor="os", action="mkdir", description="Make a folder")
    made.parameters.update({**schema, "properties": {"args": {"type": "array", "items": {"type": "string"}}}})
    scenes = [Scene(call("os__mkdir", arguments)), words("I could not.")]
    async with chat_endpoint(lambda number: scenes[number]) as endpoint, planner(tmp_path, endpoint.url) as stub:
        said = await events(stub, planner_pb2.ConverseRequest(text="make it", tools=[made]))
        assert [event.WhichOneof("event") for event in said] == ["words"]
        assert told in endpoint.asked[1]["messages"][-1]["content"]


async def test_arguments_sent_as_an_object_become_a_step(tmp_path: Path) -> None:
    delta = {
        "index": 0,
        "id": "c1",
        "type": "function",
        "function": {"name": "os__mkdir", "arguments": {"args": ["demo"]}},
    }
    scene = Scene([{"tool_calls": [delta]}])
    async with chat_endpoint(lambda _n: scene) as endpoint, planner(tmp_path, endpoint.url) as stub:
        (event,) = await events(stub)
    assert MessageToDict(event.step.parameters) == {"args": ["demo"]}


async def test_words_sent_as_parts_and_halves_of_characters_are_whole(tmp_path: Path) -> None:
    parts = {"content": [{"type": "text", "text": "Hi \ud83d"}, {"type": "image_url"}]}
    scene = Scene([parts, {"content": "\ude00 there. "}, {"content": "A half: \ud83d."}])
    async with chat_endpoint(lambda _n: scene) as endpoint, planner(tmp_path, endpoint.url) as stub:
        heard = await events(stub)
    assert "".join(event.words.text for event in heard) == "Hi 😀 there. A half: \ufffd."


@pytest.mark.parametrize(
    "delta",
    [
        {"content": {"a": 1}},
        {"content": 5},
        {"content": [5]},
        {"content": [{"type": "text", "text": {}}]},
        {"tool_calls": [{"index": 0, "function": {"name": ["a"], "arguments": ""}}]},
        {"tool_calls": 5},
    ],
)
async def test_a_delta_of_another_shape_is_a_failure(tmp_path: Path, delta: dict[str, Any]) -> None:
    async with chat_endpoint(lambda _n: Scene([delta])) as endpoint:
        assert (await failure_of(tmp_path, endpoint)).code == "INTERNAL"


async def test_a_model_that_only_asks_for_what_there_is_not_is_given_up(tmp_path: Path) -> None:
    async with chat_endpoint(lambda _n: Scene(call("os__format_c", "{}"))) as endpoint:
        failed = await failure_of(tmp_path, endpoint)
        assert failed.code == "INTERNAL"
        assert len(endpoint.asked) == MAX_WRONG_ANSWERS + 1


async def test_an_endless_loop_of_tools_ends(tmp_path: Path) -> None:
    async with (
        chat_endpoint(lambda _n: Scene(call("os__mkdir", "{}"))) as endpoint,
        planner(tmp_path, endpoint.url) as stub,
    ):
        for rounds in range(MAX_ROUNDS):
            assert (await events(stub, asking(rounds=rounds)))[0].WhichOneof("event") == "step"
        (last,) = await events(stub, asking(rounds=MAX_ROUNDS))
        assert last.failed.code == "ABORTED"
        assert endpoint.asked[-1]["tool_choice"] == "none"


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "UNAUTHENTICATED"), (404, "NOT_FOUND"), (429, "RESOURCE_EXHAUSTED"), (500, "UNAVAILABLE")],
)
async def test_a_refusal_has_its_code_and_never_the_endpoints_words(tmp_path: Path, status: int, code: str) -> None:
    body = json.dumps({"error": {"message": "key sk-test of org-7 is over quota"}}).encode()
    scene = Scene(status=status, body=body, headers={"content-type": "application/json", "retry-after": "7"})
    async with chat_endpoint(lambda _n: scene) as endpoint:
        failed = await failure_of(tmp_path, endpoint)
        assert (failed.code, failed.retry_after_ms) == (code, 7_000)
        assert "sk-test" not in failed.message
        assert len(endpoint.asked) == 1


async def test_a_dead_port_is_told_at_once(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        failed = await failure_of(tmp_path, f"http://127.0.0.1:{free.getsockname()[1]}/v1")
    assert failed.code == "UNAVAILABLE"


@pytest.mark.parametrize("first", [[], [{"content": "Well. "}]])
async def test_a_model_that_stalls_is_given_up(tmp_path: Path, first: list[dict[str, str]]) -> None:
    async with chat_endpoint(lambda _n: Scene([*first, asyncio.Event()])) as endpoint:
        failed = await failure_of(tmp_path, endpoint, LLM_STALL_SECONDS="1")
        assert failed.code == "DEADLINE_EXCEEDED"
        await endpoint.hung_up.wait()


@pytest.mark.parametrize(
    "scene",
    [
        Scene(body=b"<html>hello</html>", headers={"content-type": "text/html"}),
        Scene(body=b"data: {not json\n\n"),
        Scene(body=b'data: {"choices": [{"delta": null}]}\n\n'),
        words(),
        words("<think>and nothing more"),
    ],
)
async def test_what_is_no_answer_is_a_failure(tmp_path: Path, scene: Scene) -> None:
    async with chat_endpoint(lambda _n: scene) as endpoint:
        assert (await failure_of(tmp_path, endpoint)).code == "INTERNAL"


async def test_an_answer_that_breaks_off_is_a_failure(tmp_path: Path) -> None:
    async with chat_endpoint(lambda _n: Scene([{"content": "Well. "}], breaks_off=True)) as endpoint:
        assert (await failure_of(tmp_path, endpoint)).code in {"UNAVAILABLE", "INTERNAL"}


async def test_an_answer_that_ends_early_is_no_whole_one(tmp_path: Path) -> None:
    """A connection that closes is the end of some streams; what an answer's own end is, the wire format says."""
    cut = Scene([{"content": "This is whole. This is cut in the mid"}], ends="", says_done=False)
    async with chat_endpoint(lambda _n: cut) as endpoint, planner(tmp_path, endpoint.url) as stub:
        first, last = await events(stub)
    assert first.words.text == "This is whole. "
    assert last.failed.code == "UNAVAILABLE"
    in_a_call = Scene(call("os__mkdir", "{}"), ends="", says_done=False)
    async with chat_endpoint(lambda _n: in_a_call) as endpoint:
        assert (await failure_of(tmp_path, endpoint)).code == "UNAVAILABLE"


@pytest.mark.parametrize("ending", [{"ends": ""}, {"says_done": False}])
async def test_either_sign_of_the_end_is_enough(tmp_path: Path, ending: dict[str, Any]) -> None:
    async with (
        chat_endpoint(lambda _n: Scene([{"content": "It is whole"}], **ending)) as endpoint,
        planner(tmp_path, endpoint.url) as stub,
    ):
        (last,) = await events(stub)
    assert (last.words.text, last.words.last) == ("It is whole", True)


@pytest.mark.parametrize("reason", ["stop", "content_filter"])
async def test_a_refusal_is_said(tmp_path: Path, reason: str) -> None:
    scene = Scene([{"refusal": "I cannot "}, {"refusal": "help with that."}], ends=reason)
    async with chat_endpoint(lambda _n: scene) as endpoint, planner(tmp_path, endpoint.url) as stub:
        (last,) = await events(stub)
    assert (last.words.text, last.words.last) == ("I cannot help with that.", True)


@pytest.mark.parametrize("reason", ["length", "content_filter"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("It scatters. And then the", "It scatters. "),
        ("It scatters. That is all.", "It scatters. That is all."),
        ("It scat", f"It scat… {CUT}"),
    ],
)
async def test_a_cut_answer_ends_with_a_sentence_or_says_that_it_is_cut(
    tmp_path: Path, reason: str, text: str, said: str
) -> None:
    async with (
        chat_endpoint(lambda _n: Scene([{"content": text}], ends=reason)) as endpoint,
        planner(tmp_path, endpoint.url) as stub,
    ):
        heard = await events(stub)
    assert "".join(event.words.text for event in heard) == said
    assert (heard[-1].words.last, heard[-1].words.cut) == (True, reason == "length")


async def test_an_answer_that_a_filter_stops_at_once_is_told(tmp_path: Path) -> None:
    async with (
        chat_endpoint(lambda _n: Scene(ends="content_filter")) as endpoint,
        planner(tmp_path, endpoint.url) as stub,
    ):
        (last,) = await events(stub)
    assert last.words.text == FILTERED


async def test_a_call_in_which_the_answer_was_cut_is_not_run(tmp_path: Path) -> None:
    """No arguments yet are an empty object to the planner."""
    scenes = [Scene(call("os__mkdir"), ends="length"), words("I could not.")]
    async with chat_endpoint(lambda n: scenes[n]) as endpoint, planner(tmp_path, endpoint.url) as stub:
        (told,) = await events(stub)
        assert told.words.text == "I could not."
        assert "was cut" in endpoint.asked[1]["messages"][-1]["content"]


async def test_a_cancelled_call_hangs_up_at_the_endpoint(tmp_path: Path) -> None:
    scene = Scene([{"content": "Well. "}, asyncio.Event()])
    async with chat_endpoint(lambda _n: scene) as endpoint, planner(tmp_path, endpoint.url) as stub:
        running = stub.Converse(asking())
        await anext(aiter(running))
        running.cancel()
        assert await endpoint.hung_up.wait()
