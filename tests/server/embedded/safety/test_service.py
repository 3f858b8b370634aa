"""M6 over gRPC: verdicts of the policies, and errors of broken policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from protos import safety_pb2, safety_pb2_grpc
from server.embedded.safety.facts import MAX_COMMAND_CHARS, MAX_NAMES
from server.embedded.safety.service import SafetyService
from server.embedded.service import MissingPartError
from tests.server.embedded.executing import config, serving

if TYPE_CHECKING:
    from pathlib import Path

USER, OPERATOR, ADMIN = ("user",), ("operator",), ("admin",)
CLOSED_NETWORK = "the address is on this machine or in its own network; BROWSER_PRIVATE_NETWORK=allow opens it"


def action(executor: str, name: str, parameters: dict[str, Any], id_: str = "") -> safety_pb2.Action:
    made = safety_pb2.Action(id=id_, executor=executor, action=name)
    made.parameters.update(parameters)
    return made


async def check(
    channel: grpc.aio.Channel, *actions: safety_pb2.Action, roles: tuple[str, ...] = OPERATOR
) -> safety_pb2.CheckResponse:
    asked = safety_pb2.CheckRequest(actions=actions, user_id='a"b\n', roles=roles, session_id="s1")
    answer: safety_pb2.CheckResponse = await safety_pb2_grpc.SafetyStub(channel).Check(asked)
    return answer


CASES: list[tuple[str, str, dict[str, Any], tuple[str, ...], str, str]] = [
    # what everybody may do
    ("search", "search", {"query": "shutdown rm -rf .env"}, USER, "allow", "low"),
    ("memory", "store", {"key": "k", "value": "my password is x"}, USER, "allow", "low"),
    ("memory", "retrieve", {"key": "k"}, USER, "allow", "low"),
    ("memory", "search", {"query": "k"}, USER, "allow", "low"),
    ("memory", "delete", {"key": "k"}, USER, "confirm", "high"),
    # each role can what those below it can; nobody without a role can anything
    ("search", "search", {"query": "x"}, ADMIN, "allow", "low"),
    ("search", "search", {"query": "x"}, (), "deny", "high"),
    ("search", "search", {"query": "x"}, ("guest",), "deny", "high"),
    ("os", "ls", {"args": []}, USER, "deny", "high"),
    ("os", "ls", {"args": []}, OPERATOR, "allow", "low"),
    ("os", "ls", {"args": []}, ADMIN, "allow", "low"),
    ("browser", "navigate", {"url": "https://example.com"}, USER, "deny", "high"),
    ("browser", "navigate", {"url": "https://example.com"}, ADMIN, "allow", "low"),
    # commands by what they do
    ("os", "date", {}, OPERATOR, "allow", "low"),
    ("os", "cat", {"args": ["notes.txt"]}, OPERATOR, "allow", "low"),
    ("os", "mkdir", {"args": ["new"]}, OPERATOR, "confirm", "medium"),
    ("os", "mv", {"args": ["a", "b"]}, OPERATOR, "confirm", "high"),
    ("os", "mv", {"args": ["-vn", "a", "b"]}, OPERATOR, "confirm", "medium"),
    ("os", "cp", {"args": ["-pv", "a", "n"]}, OPERATOR, "confirm", "high"),
    ("os", "cp", {"args": ["--no-clobber", "a", "b"]}, OPERATOR, "confirm", "medium"),
    ("os", "rmdir", {"args": ["a"]}, OPERATOR, "confirm", "high"),
    ("os", "rm", {"args": ["-rf", "/"]}, ADMIN, "deny", "high"),
    ("os", "kill", {"args": ["1"]}, ADMIN, "deny", "high"),
    ("os", "shutdown", {}, ADMIN, "deny", "high"),
    ("os", "bash", {"args": ["-c", "ls"]}, ADMIN, "deny", "high"),
    ("os", "frobnicate", {}, ADMIN, "deny", "high"),
    # secrets, however they are reached
    ("os", "cat", {"args": [".env"]}, OPERATOR, "deny", "high"),
    ("os", "cat", {"args": ["-n", "app/.ENV.production"]}, OPERATOR, "deny", "high"),
    ("os", "head", {"args": ["/home/ann/.ssh/id_rsa"]}, OPERATOR, "deny", "high"),
    ("os", "cat", {"args": ["/etc/shadow"]}, OPERATOR, "deny", "high"),
    ("os", "cp", {"args": ["server.pem", "x"]}, OPERATOR, "deny", "high"),
    ("os", "cat", {"args": ["/proc/1/environ"]}, OPERATOR, "deny", "high"),
    ("os", "cat", {"args": ["prod.env"]}, OPERATOR, "deny", "high"),
    ("os", "cat", {"args": ["gcloud/application_default_credentials.json"]}, OPERATOR, "deny", "high"),
    ("os", "cp", {"args": [".users.json.swp", "x"]}, OPERATOR, "deny", "high"),
    ("os", "cat", {"args": ["my.environment.txt"]}, OPERATOR, "allow", "low"),
    ("os", "echo", {"args": ["credentials"]}, OPERATOR, "allow", "low"),
    # where pages are
    ("browser", "navigate", {"url": "about:blank"}, OPERATOR, "allow", "low"),
    ("browser", "navigate", {"url": "file:///etc/passwd"}, OPERATOR, "deny", "high"),
    ("browser", "navigate", {"url": "FILE:/etc/passwd"}, OPERATOR, "deny", "high"),
    ("browser", "navigate", {"url": "java\nscript:alert(1)"}, OPERATOR, "deny", "high"),
    ("browser", "navigate", {"url": "example.com"}, OPERATOR, "allow", "low"),
    ("browser", "navigate", {"url": "example"}, OPERATOR, "deny", "high"),
    ("browser", "navigate", {"url": "127.0.0.1:8000/"}, OPERATOR, "deny", "high"),
    ("browser", "navigate", {"url": "http://127.0.0.1%C2%AD:8000/"}, OPERATOR, "deny", "high"),
    ("browser", "navigate", {"url": "http://a\u202eb.example/"}, OPERATOR, "deny", "high"),
    ("browser", "navigate", {"url": 5}, OPERATOR, "deny", "high"),
    ("browser", "navigate", {"url": "http://localhost:8000/"}, OPERATOR, "deny", "high"),
    ("browser", "navigate", {"url": "http://127.1/"}, OPERATOR, "deny", "high"),
    ("browser", "navigate", {"url": "http://0x7f000001/"}, OPERATOR, "deny", "high"),
    ("browser", "navigate", {"url": "http://2130706433/"}, OPERATOR, "deny", "high"),
    ("browser", "navigate", {"url": "http://good.example@10.0.0.1/"}, OPERATOR, "deny", "high"),
    ("browser", "navigate", {"url": "http:\\\\192.168.0.1\\"}, OPERATOR, "deny", "high"),
    ("browser", "navigate", {"url": "http://１０.0.0.1/"}, OPERATOR, "deny", "high"),
    ("browser", "navigate", {"url": "http://[::ffff:10.0.0.1]/"}, OPERATOR, "deny", "high"),
    ("browser", "navigate", {"url": "http://[fd00::1]/"}, OPERATOR, "deny", "high"),
    ("browser", "navigate", {"url": "http://printer.local./"}, OPERATOR, "deny", "high"),
    ("browser", "navigate", {"url": "http://169.254.169.254/latest/meta-data"}, OPERATOR, "deny", "high"),
    ("browser", "navigate", {"url": "http://metadata.google.internal/"}, OPERATOR, "deny", "high"),
    ("browser", "navigate", {"url": "https://example.com/?next=http://10.0.0.1/"}, OPERATOR, "allow", "low"),
    # a reference is judged again when it is filled in; what stands before it counts
    ("browser", "navigate", {"url": "${s1.results.0.url}"}, OPERATOR, "allow", "low"),
    ("browser", "navigate", {"url": "file:///${s1.path}"}, OPERATOR, "deny", "high"),
    # what is clicked and typed into
    ("browser", "extract_text", {}, OPERATOR, "allow", "low"),
    ("browser", "click", {"text": "Read more"}, OPERATOR, "allow", "low"),
    ("browser", "click", {"text": "Buy now"}, OPERATOR, "confirm", "high"),
    ("browser", "click", {"selector": "#payButton"}, OPERATOR, "confirm", "high"),
    ("browser", "click", {"text": "Delete my account"}, OPERATOR, "confirm", "high"),
    ("browser", "click", {"text": "Send"}, OPERATOR, "confirm", "medium"),
    ("browser", "click", {"text": "payload"}, OPERATOR, "allow", "low"),
    ("browser", "click", {"text": "De\u00adlete"}, OPERATOR, "confirm", "high"),
    ("browser", "click", {"text": "\uff24\uff45\uff4c\uff45\uff54\uff45"}, OPERATOR, "confirm", "high"),
    ("browser", "click", {"text": "Deleting everything"}, OPERATOR, "confirm", "high"),
    ("browser", "type", {"selector": "#\uff30assword", "text": "x"}, OPERATOR, "confirm", "high"),
    ("browser", "type", {"selector": "#q", "text": "my password"}, OPERATOR, "allow", "low"),
    ("browser", "type", {"selector": "input[type=password]", "text": "x"}, OPERATOR, "confirm", "high"),
    ("browser", "type", {"selector": "#userPin", "text": "1"}, OPERATOR, "confirm", "high"),
    ("browser", "type", {"selector": "[name=cardNumber]", "text": "1"}, OPERATOR, "confirm", "high"),
    ("browser", "evaluate", {"script": "1"}, ADMIN, "deny", "high"),
    # what nobody knows
    ("toaster", "toast", {}, ADMIN, "deny", "high"),
    ("memory", "ls", {}, ADMIN, "deny", "high"),
    ("", "", {}, ADMIN, "deny", "high"),
]


async def test_every_action_gets_its_verdict_risk_and_reasons(tmp_path: Path) -> None:
    async with serving(SafetyService(config(tmp_path))) as channel:
        wrong = []
        for executor, name, parameters, roles, verdict, risk in CASES:
            answer = await check(channel, action(executor, name, parameters), roles=roles)
            assert answer.verdict.reasons, (executor, name)
            if (answer.verdict.verdict, answer.verdict.risk) != (verdict, risk):
                wrong.append((executor, name, parameters, roles, answer.verdict))
        assert wrong == []


async def test_reasons_are_words_for_people(tmp_path: Path) -> None:
    async with serving(SafetyService(config(tmp_path))) as channel:

        async def reasons(*given: Any, roles: tuple[str, ...] = OPERATOR) -> list[str]:
            return list((await check(channel, action(*given), roles=roles)).verdict.reasons)

        assert await reasons("os", "ls", {}, roles=USER) == ["commands are for operators"]
        assert await reasons("memory", "delete", {"key": "k"}) == ["memory does not keep what is forgotten"]
        assert await reasons("browser", "navigate", {"url": "http://10.1.1.1"}) == [CLOSED_NETWORK]
        assert await reasons("toaster", "to\nast", {}) == [
            "no policy allows toast by the executor toaster for this user"
        ]


async def test_the_strictest_action_decides_a_plan(tmp_path: Path) -> None:
    async with serving(SafetyService(config(tmp_path))) as channel:
        harmless = action("os", "ls", {}, "s1")
        changing = action("os", "touch", {"args": ["x"]}, "s2")
        forbidden = action("os", "reboot", {}, "s3")
        answer = await check(channel, harmless, changing)
        assert (answer.verdict.verdict, answer.verdict.risk, answer.verdict.action_id) == ("confirm", "medium", "s2")
        assert list(answer.verdict.reasons) == ["the command changes files"]
        answer = await check(channel, harmless, changing, forbidden)
        assert (answer.verdict.verdict, answer.verdict.action_id) == ("deny", "s3")
        each = [(verdict.verdict, verdict.action_id) for verdict in answer.actions]
        assert each == [("allow", "s1"), ("confirm", "s2"), ("deny", "s3")]


async def test_the_option_opens_the_private_network_but_never_the_clouds_addresses(tmp_path: Path) -> None:
    async with serving(SafetyService(config(tmp_path, BROWSER_PRIVATE_NETWORK="allow"))) as channel:
        for url, verdict in (
            ("http://localhost:8000/", "allow"),
            ("http://192.168.1.1/", "allow"),
            ("http://169.254.169.254/", "deny"),
            ("file:///etc/passwd", "deny"),
        ):
            assert (await check(channel, action("browser", "navigate", {"url": url}))).verdict.verdict == verdict, url


async def test_no_action_or_too_many_are_wrong_arguments(tmp_path: Path) -> None:
    async with serving(SafetyService(config(tmp_path))) as channel:
        for count in (0, 65):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await check(channel, *[action("os", "ls", {})] * count)
            assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert error.value.details() == "1 to 64 actions can be judged at once"


async def test_what_is_too_long_or_not_finite_is_denied(tmp_path: Path) -> None:
    async with serving(SafetyService(config(tmp_path))) as channel:
        names = " ".join(f"a{number}" for number in range(MAX_NAMES + 1))
        for executor, named, parameters, most in (
            ("os", "cat", {"args": ["x" * 20_000, ".env"]}, f"parameters of more than {MAX_COMMAND_CHARS} characters"),
            ("memory", "store", {"value": "x" * 200_000}, "parameters of more than 131072 characters"),
            ("memory", "store", {"value": [None] * 200_000}, "an action of more than 524288 bytes"),
            ("os", "cat", {"args": [names]}, f"parameters with more than {MAX_NAMES} names"),
            ("browser", "click", {"selector": "\ufdfa" * 2_049}, "the name of an element of more than 2048 characters"),
        ):
            long = await check(channel, action(executor, named, parameters))
            assert long.verdict.verdict == "deny"
            assert list(long.verdict.reasons) == [f"{most} cannot be judged"]
        assert (await check(channel, action("memory", "store", {"value": names}))).verdict.verdict == "allow"
        odd = await check(channel, action("search", "search", {"query": "x", "max_results": float("nan")}))
        assert odd.verdict.verdict == "deny"
        value = await check(channel, action("memory", "store", {"value": "x" * 65_536}))
        assert value.verdict.verdict == "allow"


async def test_own_policies_take_the_place_of_the_ones_that_come_with_it(tmp_path: Path) -> None:
    (tmp_path / "b.cedar").write_text(
        '@id("calm") permit (principal == User::"a\\"b\\n", action, resource);\n'
        '// @id("not-this-one") forbid (principal, action, resource);\n'
    )
    (tmp_path / "c.cedar").write_text(
        '@id("ask") @verdict("confirm") @risk("high") @reason("he said \\"really?\\"")\n'
        'permit (principal, action == Action::"rm", resource);'
    )
    async with serving(SafetyService(config(tmp_path, SAFETY_POLICY_DIR=str(tmp_path)))) as channel:
        assert (await check(channel, action("os", "ls", {}), roles=())).verdict.verdict == "allow"
        asked = (await check(channel, action("os", "rm", {}))).verdict
        assert (asked.verdict, asked.risk, list(asked.reasons)) == ("confirm", "high", ['he said "really?"'])


async def test_a_policy_that_fails_denies(tmp_path: Path) -> None:
    (tmp_path / "a.cedar").write_text(
        "permit (principal, action, resource);\n"
        'forbid (principal, action, resource) when { context.hots == "example.com" };'
    )
    async with serving(SafetyService(config(tmp_path, SAFETY_POLICY_DIR=str(tmp_path)))) as channel:
        verdict = (await check(channel, action("search", "search", {"query": "x"}))).verdict
        assert (verdict.verdict, list(verdict.reasons)) == ("deny", ["a safety policy could not be applied"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("permit (principal, action", "unexpected end of input"),
        ('@verdict("maybe") permit (principal, action, resource);', "@verdict of a permit is"),
        ('@id("x") @verdict("allow") forbid (principal, action, resource);', "x: @verdict of a permit is"),
        ('@id("x") @risk("huge") permit (principal, action, resource);', "x: @risk is low, medium or high, not huge"),
    ],
)
async def test_a_broken_policy_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "good.cedar").write_text("permit (principal, action, resource);")
    (tmp_path / "wrong.cedar").write_text(text)
    with pytest.raises(MissingPartError) as error:
        await SafetyService(config(tmp_path, SAFETY_POLICY_DIR=str(tmp_path))).start()
    assert str(tmp_path / "wrong.cedar") in str(error.value)
    assert words in str(error.value)


async def test_a_folder_without_policies_and_a_wrong_option_stop_the_start(tmp_path: Path) -> None:
    with pytest.raises(MissingPartError, match=r"there is no \.cedar file"):
        await SafetyService(config(tmp_path, SAFETY_POLICY_DIR=str(tmp_path))).start()
    with pytest.raises(MissingPartError, match="BROWSER_PRIVATE_NETWORK is allow or deny, not perhaps"):
        await SafetyService(config(tmp_path, BROWSER_PRIVATE_NETWORK="perhaps")).start()
