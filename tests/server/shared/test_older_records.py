"""A rolling update: what the release before stored is found, and what this one stores has the same form, for both run at once.

`older_records.json` was written by commit 9fa8d484, with a session whose reply was being spoken.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.identity.auth import Authenticator
from server.shared.confirmations import ConfirmationStore
from server.shared.idempotency import IdempotencyKey, IdempotencyStore, StoredAnswer
from server.shared.state import LocalState
from streaming.jarvis.registry import Resume
from streaming.ports import Action, CallContext, Identity, Verdict
from tests.server.signing import settings
from tests.support.house import FakeStore, House, housed

if TYPE_CHECKING:
    from tests.support.world import World

OLDER: dict[str, Any] = json.loads(Path(__file__).with_name("older_records.json").read_text())
ADA = Identity("ada", "ada", ("operator",), expires_at=4_102_444_800.0, token_id="t1", family="f1")
OPERATOR = CallContext("ada", session_id="kitchen", roles=("operator",))
MKDIR = Action("os", "mkdir", {"args": ["demo"]})


class Written(LocalState):
    """Remembers what was stored in it."""

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, dict[str, Any]] = {}

    async def put(self, key: str, value: str, ttl_s: float, *, only_new: bool = False, owner: str = "") -> bool:
        self.records[key] = json.loads(value)
        return await super().put(key, value, ttl_s, only_new=only_new, owner=owner)


async def older() -> Written:
    """What the older release stored, but for its times: they are in the past."""
    state = Written()
    for key, record in OLDER["values"].items():
        lasts = {"expires_at": time.time() + 60} if "action_hash" in record else {}
        await state.put(key, json.dumps(record | lasts), 60.0)
    return state


def authenticator(state: LocalState) -> Authenticator:
    users: Any = None  # nobody signs in
    return Authenticator(settings(), state, users)


async def test_what_clients_were_given_before_the_update_counts_after_it() -> None:
    state = await older()
    auth, secret = authenticator(state), OLDER["client_secret"]
    identity, session = await auth.client_secret(secret)
    assert (identity, session["instructions"]) == (ADA, "Be brief.")
    await auth.spend_client_secret(secret)
    assert await auth.redeem_ticket(OLDER["ticket"]) == ADA
    taken = await ConfirmationStore(state).take(OLDER["confirmation_id"], OPERATOR, approve=True)
    assert taken is not None
    assert taken.action == MKDIR
    answer = await IdempotencyStore(state).claim(IdempotencyKey("ada", "k1", "r1"))
    assert answer == StoredAnswer(200, "application/json", "{}")


async def test_what_is_stored_now_has_the_form_that_the_older_release_reads() -> None:
    state = Written()
    auth, questions, answers = authenticator(state), ConfirmationStore(state), IdempotencyStore(state)
    await auth.issue_client_secret(ADA, 60, {"type": "realtime", "instructions": "Be brief."})
    await auth.issue_ticket(ADA)
    await questions.defer(MKDIR, Verdict("confirm", "medium", ()), OPERATOR, 5_000)
    await answers.claim(IdempotencyKey("ada", "k1", "r1"))
    await answers.keep(IdempotencyKey("ada", "k1", "r1"), StoredAnswer(200, "application/json", "{}"))
    now, before = forms(state.records), forms(OLDER["values"])
    answer = next(key for key in before if key[0] == "idempotency")
    assert now == before | {answer: before[answer] | {"roles": None}}  # which the older release does not look at


def forms(records: dict[str, dict[str, Any]]) -> dict[tuple[str, tuple[int, ...]], Any]:
    """By kind and lengths of the key's parts: the names of the record's fields."""
    return {
        (key.partition(":")[0], tuple(map(len, key.split(":")[1:]))): fields(record) for key, record in records.items()
    }


def fields(record: Any) -> Any:
    return {name: fields(value) for name, value in record.items()} if isinstance(record, dict) else None


def test_a_session_that_began_before_the_update_goes_on_after_it() -> None:
    session = OLDER["session"]
    store = FakeStore()
    key = ("s1", session["resume_token"])
    store.records[key], store.users["s1"] = dict(session["record"]), "u1"
    order, epoch = session["current"]
    store.current["s1"], store.stamps[key] = (order, epoch), store.epoch

    async def goes_on(house: House, world: World) -> None:
        socket = await house.enter(resume=Resume(session["resume_token"], session["received"]))
        resumed = await socket.until("session.resumed")
        assert (resumed["epoch"], resumed["replayed"]) == (epoch, 0)
        assert resumed["channels"] == {"1": 0, "5": 0}  # the utterance on 1 is sent again
        done = await socket.until("turn.done", channel=3)
        assert done["status"] == "ok"
        assert await socket.until("channel.closed", channel=3)
        assert len(world.recognitions) == 2

    housed(goes_on, store=store)
