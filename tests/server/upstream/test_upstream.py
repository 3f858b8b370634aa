from __future__ import annotations

import asyncio

import pytest

from protos import executor_pb2, intent_pb2, stt_pb2
from server.services import SERVICES
from server.upstream import EndpointError, NoObserver, ServiceEndpoint, Upstream
from streaming.ports import RecognitionConfig, ServiceError, SynthesisConfig, TaskEvent, TaskResult
from tests.server.upstream.observing import CALLER, Observed
from tests.support.services import Call, FakeServices, Fault

ALL = [ServiceEndpoint(name, "127.0.0.1:1", service.deadline_ms) for name, service in SERVICES.items()]


def test_all_nine_are_needed_and_no_other() -> None:
    with pytest.raises(EndpointError, match=r"missing \['tts'\]"):
        Upstream(endpoint for endpoint in ALL if endpoint.name != "tts")
    with pytest.raises(EndpointError, match=r"unknown \['video'\]"):
        Upstream([*ALL, ServiceEndpoint("video", "a:1", 1)])
    with pytest.raises(EndpointError, match="nowhere"):
        Upstream([*ALL[1:], ServiceEndpoint("stt", "nowhere", 1)])


async def test_starting_waits_for_nobody_and_tells_every_circuit() -> None:
    observed = Observed()
    upstream = Upstream(ALL, observed)
    await upstream.start()
    assert sorted(observed.circuits) == sorted((name, "closed") for name in SERVICES)
    await upstream.close(0)


async def slow_answer(call: Call) -> None:
    await call.read()
    await asyncio.sleep(0.15)
    await call.write(intent_pb2.RecognizeResponse(intent="late"))


async def test_closing_lets_running_calls_finish_and_takes_no_new_ones() -> None:
    async with FakeServices("intent") as fakes:
        fakes.intent.on("Recognize", slow_answer)
        upstream = Upstream(fakes.endpoints(), NoObserver())
        await upstream.start()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(upstream.services.intent.recognize("x", "", CALLER), name="running")
            await fakes.intent.call()
            closing = group.create_task(upstream.close(60), name="closing")
            await asyncio.sleep(0)
            with pytest.raises(ServiceError, match="UNAVAILABLE: the gateway is shutting down"):
                await upstream.services.intent.recognize("x", "", CALLER)
            assert not closing.done()
        assert running.result().intent == "late"


async def test_what_does_not_finish_in_time_is_cancelled_with_a_service_error() -> None:
    async with FakeServices("intent", "stt", "tts", "os") as fakes:
        for service, method in (
            (fakes.intent, "Recognize"),
            (fakes.stt, "Recognize"),
            (fakes.tts, "Synthesize"),
            (fakes.os, "Execute"),
        ):
            service.faults.append(Fault(hang=True))
            assert method in service._methods
        observed = Observed()
        upstream = Upstream(fakes.endpoints(), observed)
        await upstream.start()
        services = upstream.services

        async def outcome(kind: str) -> str:
            try:
                match kind:
                    case "intent":
                        await services.intent.recognize("x", "", CALLER)
                    case "os":
                        _ = [event async for event in services.os.execute("t", "a", {}, CALLER)]
                    case "stt":
                        stream = services.stt.recognize(RecognitionConfig(), CALLER, lambda _n: None)
                        stream.send_audio(b"\0\0")
                        _ = [event async for event in stream]
                    case "tts":
                        _ = [event async for event in services.tts.synthesize(SynthesisConfig(), CALLER)]
            except ServiceError as broken:
                return broken.code
            return "OK"

        async with asyncio.TaskGroup() as group:
            running = [group.create_task(outcome(kind), name=kind) for kind in ("intent", "os", "stt", "tts")]
            for name in ("intent", "os", "stt", "tts"):
                await fakes.services[name].call()
            assert sum(upstream.running_calls().values()) == 4
            await upstream.close(0.05)
        assert [task.result() for task in running] == ["UNAVAILABLE"] * 4
        assert sum(upstream.running_calls().values()) == 0
        assert sorted(observed.statuses()) == ["UNAVAILABLE"] * 4
        for name in ("intent", "os", "stt", "tts"):
            await fakes.services[name].calls[0].ended.wait()
        assert [task.get_name() for task in asyncio.all_tasks() if "writer" in task.get_name()] == []


async def test_many_kinds_of_calls_run_at_once_and_each_gets_its_own_answer() -> None:
    async with FakeServices("intent", "stt", "os") as fakes, fakes.upstream() as upstream:

        async def echo_task(call: Call) -> None:
            request = await call.read()
            result = executor_pb2.Result(status="ok", message=request.task_id)
            await call.write(executor_pb2.ExecuteEvent(result=result))

        async def echo_text(call: Call) -> None:
            await call.write(intent_pb2.RecognizeResponse(intent=(await call.read()).text))

        async def count(call: Call) -> None:
            n_bytes = 0
            while (request := await call.read()) is not None:
                n_bytes += len(request.audio)
            await call.write(stt_pb2.RecognizeResponse(final=stt_pb2.Final(text=str(n_bytes))))

        fakes.os.on("Execute", echo_task)
        fakes.intent.on("Recognize", echo_text)
        fakes.stt.on("Recognize", count)

        async def task(number: int) -> list[TaskEvent]:
            return [event async for event in upstream.services.os.execute(f"t{number}", "a", {}, CALLER)]

        async def hear(number: int) -> list[str]:
            stream = upstream.services.stt.recognize(RecognitionConfig(), CALLER, lambda _n: None)
            for _ in range(number):
                stream.send_audio(b"\0\0")
                await asyncio.sleep(0)
            stream.end()
            return [getattr(event, "text", "") async for event in stream]

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(task(number), name="task") for number in range(30)]
            heard = [group.create_task(hear(number), name="hear") for number in range(30)]
            asked = [
                group.create_task(upstream.services.intent.recognize(f"w{number}", "", CALLER), name="ask")
                for number in range(30)
            ]
        assert [one.result() for one in tasks] == [[TaskResult("ok", {}, f"t{number}")] for number in range(30)]
        assert [one.result() for one in heard] == [[str(2 * number)] for number in range(30)]
        assert [one.result().intent for one in asked] == [f"w{number}" for number in range(30)]
