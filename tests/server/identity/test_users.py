from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from server.identity.users import MAX_WAITING, Users, UsersBusyError, UsersError, add_user, read

PASSWORD = "correct horse"


async def test_a_user_signs_in_with_the_password_and_with_no_other(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "users.json"
    add_user(path, "ada", PASSWORD, ["user", "operator"])
    users = Users(path)
    found = await users.verify("ada", PASSWORD)
    assert found is not None
    assert (found.user_id, found.roles) == ("ada", ("user", "operator"))
    assert await users.verify("ada", PASSWORD + "!") is None
    assert await users.verify("ada", "") is None
    assert await users.verify("bob", PASSWORD) is None


def test_the_file_holds_argon2id_hashes_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    add_user(path, "ada", PASSWORD, ["user"])
    assert PASSWORD not in path.read_text(encoding="utf-8")
    assert read(path)[0].password_hash.startswith("$argon2id$")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["users.json"]


def test_adding_again_changes_password_and_roles_and_keeps_the_id(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    add_user(path, "ada", PASSWORD, ["user"])
    add_user(path, "bob", PASSWORD, ["user"])
    entries = json.loads(path.read_text(encoding="utf-8"))
    entries["users"][0]["user_id"] = "u-17"
    path.write_text(json.dumps(entries), encoding="utf-8")
    changed = add_user(path, "ada", "another horse", ["admin"])
    assert (changed.user_id, changed.roles) == ("u-17", ("admin",))
    assert [user.username for user in read(path)] == ["ada", "bob"]


async def test_changes_are_seen_and_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    users = Users(path)
    assert users.find("ada") is None
    add_user(path, "ada", PASSWORD, ["user"])
    assert users.find("ada") is not None
    path.write_text("{broken", encoding="utf-8")
    assert users.find("ada") is not None
    add_file = tmp_path / "other.json"
    add_user(add_file, "bob", PASSWORD, ["user"])
    add_file.replace(path)
    assert users.find("ada") is None
    found = await users.find_async("bob")
    assert found is not None
    path.unlink()
    assert users.find("bob") is None


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"users": [{}]}', '{"users": [{"user_id": 1, "username": "a", "roles": [], "password_hash": "x"}]}'],
)
def test_a_file_that_never_was_one_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "users.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsersError, match=r"users\.json"):
        Users(path).find("ada")


def test_a_file_without_an_end_is_an_error() -> None:
    with pytest.raises(UsersError, match=r"/dev/zero is not a users file: .*too large"):
        read(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("username", "password", "roles"),
    [
        ("", PASSWORD, ["user"]),
        ("a b", PASSWORD, ["user"]),
        ("ada", "short", ["user"]),
        ("ada", PASSWORD, []),
        ("ada", PASSWORD, ["god"]),
    ],
)
def test_entries_that_make_no_sense_are_refused(tmp_path: Path, username: str, password: str, roles: list[str]) -> None:
    with pytest.raises(UsersError):
        add_user(tmp_path / "users.json", username, password, roles)
    assert not (tmp_path / "users.json").exists()


async def test_unknown_users_take_as_long_as_wrong_passwords(tmp_path: Path) -> None:
    add_user(tmp_path / "users.json", "ada", PASSWORD, ["user"])
    users = Users(tmp_path / "users.json")
    await users.verify("nobody", PASSWORD)  # its hash is made on first use

    async def fastest(username: str) -> float:
        spans = []
        for _ in range(3):
            began = time.perf_counter()
            await users.verify(username, "wrong")
            spans.append(time.perf_counter() - began)
        return min(spans)

    known, unknown = await fastest("ada"), await fastest("nobody")
    assert unknown > known / 3  # without the hash it would be a hundredth


async def test_a_flood_of_sign_ins_is_turned_away(tmp_path: Path) -> None:
    add_user(tmp_path / "users.json", "ada", PASSWORD, ["user"])
    users = Users(tmp_path / "users.json")
    users._waiting = MAX_WAITING - 1
    answers = await asyncio.gather(*(users.verify("ada", "wrong") for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers].count(UsersBusyError) == 2
    assert users._waiting == MAX_WAITING - 1
