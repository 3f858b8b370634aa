from __future__ import annotations

import io
import json
import logging
import warnings
from typing import Any

import pytest
import structlog
from pydantic import BaseModel, ValidationError

from server.telemetry import log

SAID = "my dog is called Rex"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"


class Written(io.StringIO):
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def written() -> Written:
    """What is logged, as JSON."""
    stream = Written()
    log.configure("INFO", "json", stream)
    return stream


def test_a_line_is_one_json_object(written: Written) -> None:
    structlog.get_logger("http").info("request", status=200, seconds=0.5)
    (line,) = written.lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request", "level": "info", "logger": "http", "status": 200, "seconds": 0.5,
    }  # fmt: skip


def test_lower_levels_are_left_out(written: Written) -> None:
    structlog.get_logger().debug("no")
    logging.getLogger("grpc").debug("no")
    assert written.lines() == []


def test_the_standard_library_writes_the_same_lines(written: Written) -> None:
    logging.getLogger("tornado.general").warning("odd %s", "frame")
    (line,) = written.lines()
    assert (line["event"], line["level"], line["logger"]) == ("odd frame", "warning", "tornado.general")


def test_the_standard_library_s_lines_name_the_caller_and_nothing_else(written: Written) -> None:
    logging.getLogger("streaming").info("turn failed", extra={"request_id": "r1", "words": SAID})
    (line,) = written.lines()
    assert line["request_id"] == "r1"
    assert SAID not in str(line)


def test_tornado_s_own_access_lines_are_left_out(written: Written) -> None:
    logging.getLogger("tornado.access").error("500 GET /?token=abc")
    assert written.lines() == []


def test_a_failure_has_its_traceback_on_the_same_line(written: Written) -> None:
    def broken() -> None:
        raise ValueError("on purpose")

    for logger in (structlog.get_logger("a"), logging.getLogger("b")):
        try:
            broken()
        except ValueError:
            logger.exception("failed")
    assert ["ValueError: on purpose" in line["exception"] for line in written.lines()] == [True, True]


@pytest.mark.parametrize(
    "key",
    [
        "token",
        "refreshToken",
        "Authorization",
        "passwd",
        "api-key",
        "access_tokens",
        "password_plain",
        "ticket",
        "transcript",
        "text",
    ],
)
def test_keys_that_sound_secret_or_spoken_are_blanked(written: Written, key: str) -> None:
    structlog.get_logger().info("x", **{key: "abc", "nested": {key: "abc", "ok": 1}})
    (line,) = written.lines()
    assert line[key] == log.BLANK
    assert line["nested"] == {key: log.BLANK, "ok": 1}


NAMES = ("api_key", "client_secret", "apikey")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"bad token {JWT}!", f"bad token {log.BLANK}!"),
        ("Authorization: Bearer abc.def", f"Authorization: Bearer {log.BLANK}"),
        ("GET /ws/s1?ticket=abc&x=1 failed", f"GET /ws/s1?{log.BLANK} failed"),
        ("?last_seq=4&resume=abc", f"?last_seq=4&resume={log.BLANK}"),
        ("400 GET /v1/realtime?model=%ff&%63ode=abc (::1): x", f"400 GET /v1/realtime?{log.BLANK} (::1): x"),
        ("Request(uri='/ws/s?a', version=1)", f"Request(uri='/ws/s?{log.BLANK}', version=1)"),
        ("at https://host?code=abc.", f"at https://host?{log.BLANK}"),
        ("what? /yes/ no", "what? /yes/ no"),
        ("api_key=abc client_secret=abc apikey=abc", " ".join(f"{name}={log.BLANK}" for name in NAMES)),
        ("redis://:hunter2@redis:6379/0 is away", f"redis://:{log.BLANK}@redis:6379/0 is away"),
        ("jarvis.v1, jarvis.bearer.abc", f"jarvis.v1, jarvis.bearer.{log.BLANK}"),
        ("nothing to hide: a=1, https://example.org/x", "nothing to hide: a=1, https://example.org/x"),
    ],
)
def test_secrets_quoted_in_messages_are_blanked(written: Written, text: str, left: str) -> None:
    logging.getLogger("tornado.general").warning("%s", text)
    structlog.get_logger().warning("x", detail=[text])
    first, second = written.lines()
    assert first["event"] == left
    assert second["detail"] == [left]


def test_a_token_s_id_is_no_secret(written: Written) -> None:
    structlog.get_logger().info("x", token_id="j1")
    assert written.lines()[0]["token_id"] == "j1"


def test_what_json_cannot_hold_is_written_all_the_same(written: Written) -> None:
    structlog.get_logger().info("x", number=float("nan"), raw=b"\xff", thing=object, fault=ValueError("v"))
    (line,) = written.lines()
    assert line["number"] is None
    assert "ValueError" in line["fault"] or line["fault"] == "v"


def test_warnings_are_lines_too(written: Written) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert "old" in written.lines()[0]["event"]


def test_the_console_form_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("INFO", "console")
    structlog.get_logger("http").info("request", token="abc", status=200)
    shown = capsys.readouterr().err
    assert "request" in shown
    assert "status" in shown
    assert "abc" not in shown


def test_a_request_s_line_is_the_one_structlog_would_have_written(written: Written) -> None:
    fields = {"method": "GET", "status": 200, "ms": 0.5, "request_id": "r1"}
    log.tell("http", logging.INFO, "request", fields)
    structlog.get_logger("http").info("request", **fields)
    short, long = written.lines()
    assert short.pop("timestamp")[:14] == long.pop("timestamp")[:14]
    assert short == long
    assert short["level"] == "info"


def test_a_request_s_line_below_the_level_is_left_out(written: Written) -> None:
    log.tell("http", logging.DEBUG, "request", {"status": 200})
    assert written.lines() == []


def test_a_secret_in_a_request_s_line_is_blanked_all_the_same(written: Written) -> None:
    log.tell("http", logging.INFO, "request", {"user": f"ada {JWT}"})
    assert written.lines()[0]["user"] == f"ada {log.BLANK}"


def test_a_request_s_line_has_the_console_form_too(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("INFO", "console")
    log.tell("http", logging.INFO, "request", {"status": 200})
    shown = capsys.readouterr().err
    assert "request" in shown
    assert not shown.startswith("{")


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_tells_nothing_of_what_was_said(form: str) -> None:
    class Heard(BaseModel):
        words: int

    def hear(said: str, token: str) -> None:
        assert token
        Heard.model_validate({"words": said})

    stream = io.StringIO()
    log.configure("INFO", form, stream)
    for logger in (structlog.get_logger("a"), logging.getLogger("b")):
        try:
            hear(SAID, f"Bearer {JWT}")
        except ValidationError:
            logger.exception("failed")
    written = stream.getvalue()
    assert written.count("Input should be a valid integer") == 2
    assert SAID not in written
    assert JWT not in written


FORGED = [
    "a\x7fb",
    "a\x85b",
    "a\u2067b",
    "a\nb",
    "a\r\n{}",
    "a\x1b[2Jb",
    "a\x9b2Jb",
    "a\u2028b",
    "a\u202eb",
    "a\x00b",
    "a\ud800b",
]


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("told", FORGED, ids=ascii)
def test_what_a_client_tells_neither_begins_a_line_nor_steers_a_terminal(
    form: str, told: str, written: Written
) -> None:
    log.configure("INFO", form, written)
    structlog.get_logger("http").info("request", user=told, path=[told])
    log.tell("http", logging.INFO, "request", {"user": told})
    logging.getLogger("tornado.general").warning("odd frame of %s", told)
    lines = written.getvalue().split("\n")
    assert len(lines) == 4
    assert lines.pop() == ""
    for line in lines:
        line.encode()
        assert line.isprintable()  # as it is: a terminal reads no JSON
    if form == "json" and "\ud800" not in told:
        assert {json.loads(line).get("user", told) for line in lines} == {told}


def _fail() -> None:
    raise ValueError("\x1b[2Jno")


def test_a_traceback_in_the_console_form_has_no_lines_of_a_client(written: Written) -> None:
    log.configure("INFO", "console", written)
    try:
        _fail()
    except ValueError:
        structlog.get_logger("http").exception("it failed")
    assert "\x1b" not in written.getvalue()
    assert "ValueError: \\x1b[2Jno" in written.getvalue()
