"""One run: a number of sessions for some time with a fault every few seconds, then the checker."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from pathlib import Path

import aiohttp

from tests.chaos.checker import Report, check
from tests.chaos.client import Client
from tests.chaos.guests import Guest
from tests.chaos.monkey import FAULTS, LOSES_DATA
from tests.chaos.topology import Cluster
from tests.chaos.work import Outcome, work_on
from tests.support.gateway import AUDIO, ROOT

GOODBYE_S = 5.0
MEMORY_LOOKS = 12  # in a run
LAG_EVERY_S = 0.05
SESSIONS_PER_GUEST = 10


async def run(
    faults: tuple[str, ...],
    *,
    seed: int,
    sessions: int,
    seconds: float,
    every_s: float,
    gateways: int = 3,
    tree: Path = ROOT,
    silent: bool = False,
) -> Report:
    """Both ways of resuming, half of the sessions each. `every_s`: between the end of a fault and the next. `tree`: whose code is tried."""
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        cluster = await asyncio.to_thread(Cluster, Path(folder), gateways, tree)
        try:
            return await _run(
                cluster, faults, dice, seed=seed, sessions=sessions, seconds=seconds, every_s=every_s, silent=silent
            )
        finally:
            await asyncio.to_thread(cluster.close)


async def _run(
    cluster: Cluster,
    faults: tuple[str, ...],
    dice: random.Random,
    *,
    seed: int,
    sessions: int,
    seconds: float,
    every_s: float,
    silent: bool,
) -> Report:
    outcome = Outcome()
    memory_kib: list[list[int]] = []
    late_s: list[float] = []
    ways = ("url", "message")
    clients = [
        Client(cluster.address, cluster.token, f"chaos-{seed}-{number}", ways[number % 2], random.Random(dice.random()))
        for number in range(sessions)
    ]
    ends_at = time.monotonic() + seconds

    def over() -> bool:
        return time.monotonic() >= ends_at

    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
        running = [group.create_task(client.run(), name=client.session_id) for client in clients]
        work = [
            group.create_task(
                work_on(
                    client,
                    outcome,
                    AUDIO,
                    random.Random(dice.random()),
                    over,
                    silent=silent,
                ),
                name=f"work of {client.session_id}",
            )
            for client in clients
        ]
        repeats = not LOSES_DATA & set(faults)
        for number in range(max(1, sessions // SESSIONS_PER_GUEST)):
            name = f"guest-{seed}-{number}"
            guest_dice = random.Random(f"{seed} {number}")
            guest = Guest(cluster.address, cluster.token, name, outcome, guest_dice, repeats, http)
            work.append(group.create_task(guest.run(over, silent=silent), name=name))
        watch = [
            group.create_task(_watch_memory(cluster, memory_kib, seconds), name="memory"),
            group.create_task(_watch_lag(late_s), name="lag"),
        ]
        monkey = group.create_task(_monkey(cluster, clients, faults, dice, ends_at, every_s), name="monkey")
        await asyncio.wait([monkey])
        for watching in watch:
            watching.cancel()
        await asyncio.wait(work)
        for client in clients:
            client.stop()
        await asyncio.wait(running, timeout=GOODBYE_S)
        for task in running:
            task.cancel()
    return check(cluster, clients, outcome, faults, seed, memory_kib, late_s)


async def _monkey(
    cluster: Cluster,
    clients: list[Client],
    faults: tuple[str, ...],
    dice: random.Random,
    ends_at: float,
    every_s: float,
) -> None:
    """Never two faults at a time."""
    await asyncio.sleep(every_s / 2)
    while time.monotonic() < ends_at:
        await FAULTS[dice.choice(faults)](cluster, clients, dice)
        await asyncio.sleep(every_s * (0.5 + dice.random()))


async def _watch_memory(cluster: Cluster, rows: list[list[int]], seconds: float) -> None:
    """MEMORY_LOOKS times, evenly."""
    while True:
        await asyncio.sleep(seconds / MEMORY_LOOKS)
        rows.append(cluster.resident_kib())


async def _watch_lag(late_s: list[float]) -> None:
    """How late the monkey itself is woken: a machine that is too busy for it is too busy for gateways."""
    while True:
        due = time.monotonic() + LAG_EVERY_S
        await asyncio.sleep(LAG_EVERY_S)
        late_s.append(time.monotonic() - due)
