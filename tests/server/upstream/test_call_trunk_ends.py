"""How a gRPC call with unary calls breaks, is replaced and falls silent, and what becomes of the calls in it."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from protos import intent_pb2, memory_pb2
from server.upstream import call_trunk
from server.upstream.call_trunk import CarriedCall
from streaming.ports import ServiceError
from tests.server.upstream.observing import CALLER, Observed
from tests.support.unary import (
    CALL_MANY,
    DELETE,
    RECOGNIZE,
    Gate,
    UnaryService,
    ask,
    ready,
    refusal,
    until_trunked,
    upstream_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from server.upstream import Upstream

    Recognize = Callable[[intent_pb2.RecognizeRequest, Any], Awaitable[intent_pb2.RecognizeResponse]]


async def test_a_broken_connection_fails_the_calls_in_it_and_the_next_ones_have_a_new_trunk() -> None:
    observed, ran = Observed(), asyncio.Event()

    async def run(_request: Any, _context: Any) -> memory_pb2.DeleteResponse:
        ran.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def lost(upstream: Upstream) -> ServiceError:
        with pytest.raises(ServiceError) as broken:
            await upstream.services.memory.delete("key", CALLER)  # never tried twice
        return broken.value

    async with UnaryService() as service, service.upstream(observer=observed) as upstream:
        service.on_delete = run
        async with asyncio.TaskGroup() as group:
            deleted = group.create_task(lost(upstream), name="delete")
            await ran.wait()
            await service.stop()
        assert (deleted.result().code, deleted.result().message) == ("UNAVAILABLE", "the memory cannot be reached")
        assert observed.calls == [("memory", "Delete", "UNAVAILABLE")]
        await service.start()
        await until_trunked(upstream, "intent")
        before = len(service.methods)
        assert await ask(upstream) == "hello"
        # of its own; its health may be found up only now, which opens a trunk
        assert RECOGNIZE not in service.methods[before:]


async def test_a_greeting_while_the_gateway_closes_opens_no_other_trunk(caplog: pytest.LogCaptureFixture) -> None:
    async with UnaryService() as service, service.upstream() as upstream:
        line = upstream._lines["intent"]
        line.refuse_new()
        trunks: Any = line.trunks
        trunks.open()  # as a greeting does
        await line.pool.close()
        await asyncio.sleep(0)
    assert "background task failed" not in caplog.text


async def test_what_may_be_tried_again_is_when_the_trunk_breaks() -> None:
    gate, observed = Gate(), Observed()
    async with UnaryService() as service, service.upstream(observer=observed) as upstream:
        service.on_recognize = gate
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(ask(upstream, "slow"), name="asking")
            await gate.waiting.wait()
            (trunk,) = ready(upstream, "intent")
            trunk._call.cancel()
            gate.open.set()
        assert asked.result() == "slow"
        assert service.methods[-1] == RECOGNIZE
    assert observed.statuses() == ["UNAVAILABLE", "OK"]


async def test_a_call_that_has_not_left_when_its_trunk_breaks_is_made_again_whatever_it_does() -> None:
    observed = Observed()
    async with UnaryService() as service, service.upstream(observer=observed) as upstream:
        (trunk,) = ready(upstream, "memory")
        trunk._writer.cancel()  # nothing leaves any more
        async with asyncio.TaskGroup() as group:
            group.create_task(upstream.services.memory.delete("key", CALLER), name="delete")
            while not len(trunk):
                await asyncio.sleep(0)
            trunk._call.cancel()
        assert service.methods.count(DELETE) == 1
    assert observed.calls == [("memory", "Delete", "OK")]


def test_methods_are_found_before_anybody_else_has_loaded_their_contract() -> None:
    script = (
        "from server.services import SERVICES\n"
        "from server.upstream.call_trunk import _described\n"
        "for name in ('browser', 'os', 'search'):\n"
        "    path, parse = _described(name, 'ListActions')\n"
        "    assert (path, parse(b'')) == (f'/{SERVICES[name].full_name}/ListActions', parse(b'')), path\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


async def test_a_service_without_trunks_is_asked_once() -> None:
    async with UnaryService(trunks=False) as service, service.upstream(trunked=False) as upstream:
        while CALL_MANY not in service.methods:
            assert await ask(upstream) == "hello"
            await asyncio.sleep(0.01)
        while upstream._lines["intent"].trunks._try_at < 100:
            await asyncio.sleep(0.01)
            await ask(upstream)
        for _ in range(20):
            assert await ask(upstream) == "hello"
        asked = [method for method in service.methods if method == CALL_MANY]
        assert len(asked) == len({"intent", "memory"})


async def test_a_rolling_update_loses_no_call() -> None:
    observed = Observed()
    async with UnaryService() as one, UnaryService() as two:

        async def dawdle(_request: Any, _context: Any) -> memory_pb2.DeleteResponse:
            await asyncio.sleep(0.03)
            return memory_pb2.DeleteResponse()

        one.on_delete = two.on_delete = dawdle
        async with upstream_of(f"{one.address},{two.address}", observer=observed, trunked=False) as upstream:
            await until_trunked(upstream, "memory", trunks=2)
            updating = True

            async def delete_again_and_again() -> None:
                while updating:
                    await upstream.services.memory.delete("key", CALLER)  # never tried twice

            async def answered(more: int) -> None:
                enough = len(observed.calls) + more
                while len(observed.calls) < enough:
                    await asyncio.sleep(0.01)

            async with asyncio.TaskGroup() as group:
                for number in range(10):
                    group.create_task(delete_again_and_again(), name=f"caller {number}")
                for service in (one, two):
                    await answered(20)
                    await service.stop(grace_s=30)
                    await answered(60)
                    await service.start()
                    await until_trunked(upstream, "memory", trunks=2)
                updating = False
    assert set(observed.statuses()) == {"OK"}


async def test_all_processes_behind_a_service_are_asked_in_turn_and_each_has_one_trunk() -> None:
    async with UnaryService() as one, UnaryService() as two:
        for name, service in (("one", one), ("two", two)):

            async def tell(_request: Any, _context: Any, name: str = name) -> intent_pb2.RecognizeResponse:
                return intent_pb2.RecognizeResponse(intent=name)

            service.on_recognize = tell
        async with upstream_of(f"{one.address},{two.address}", trunked=False) as upstream:
            await until_trunked(upstream, "intent", trunks=2)
            told = [await ask(upstream) for _ in range(20)]
            assert (told.count("one"), told.count("two")) == (10, 10)


async def test_a_trunk_that_is_silent_gets_no_new_calls_and_may_still_answer_the_old_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate()
    async with UnaryService() as service, service.upstream() as upstream:
        service.on_recognize = gate
        (silent,) = ready(upstream, "intent")
        async with asyncio.TaskGroup() as group:
            patient = group.create_task(ask(upstream, "slow"), name="patient")
            await gate.waiting.wait()
            monkeypatch.setattr(call_trunk, "SILENT_S", 0.05)
            assert (await refusal(upstream, "slow", timeout_ms=100)).code == "DEADLINE_EXCEEDED"
            assert silent.retired
            assert await ask(upstream) == "hello"
            await until_trunked(upstream, "intent")
            assert silent not in ready(upstream, "intent")
            gate.open.set()
        assert patient.result() == "slow"
        while not silent.over:
            await asyncio.sleep(0.01)


async def test_a_trunk_is_silent_only_while_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short deadline in a trunk that nobody has used for a while says nothing; the time of several in a row counts."""
    async with UnaryService() as service, service.upstream() as upstream:
        service.on_recognize = Gate()
        (idle,) = ready(upstream, "intent")
        idle.heard_at -= 60
        assert (await refusal(upstream, "slow", timeout_ms=50)).code == "DEADLINE_EXCEEDED"
        assert not idle.retired
        idle.heard_at -= 60
        idle.doubt(waited_s=0.2)
        monkeypatch.setattr(call_trunk, "SILENT_S", 0.04)
        idle.doubt(waited_s=0.0)
        assert idle.retired


@pytest.mark.parametrize("way", ["answered", "refused", "cancelled", "late", "broken"])
async def test_a_call_that_is_over_waits_for_no_collector(way: str) -> None:
    gate = Gate()

    async def handle(request: intent_pb2.RecognizeRequest, context: Any) -> intent_pb2.RecognizeResponse:
        if request.text == "refused":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
        return await gate(request, context)

    async with UnaryService() as service, service.upstream() as upstream:
        service.on_recognize = handle
        gc.collect()
        gc.disable()
        try:
            before = set(map(id, calls_alive()))
            text = way if way in {"answered", "refused"} else "slow"

            async def asking() -> None:
                with suppress(ServiceError):
                    await ask(upstream, text, timeout_ms=100 if way == "late" else None)

            async with asyncio.TaskGroup() as group:
                task = group.create_task(asking(), name="asking")
                if text == "slow" and way != "late":
                    await gate.waiting.wait()
                if way == "cancelled":
                    task.cancel()
                if way == "broken":
                    await service.stop()
            del task
            assert [call for call in calls_alive() if id(call) not in before] == []
        finally:
            gc.enable()


def calls_alive() -> list[CarriedCall]:
    return [thing for thing in gc.get_objects() if type(thing) is CarriedCall]
