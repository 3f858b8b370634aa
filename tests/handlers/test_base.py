"""The common parts of all HTTP responses, and corrections of Tornado's behaviour."""

from __future__ import annotations

import gzip
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from tornado.httputil import RequestStartLine

from server.net.http.headers import Headers
from server.net.http.request import Request
from tests.support.rest import document, problem, running

if TYPE_CHECKING:
    from pathlib import Path

JSON = {"Content-Type": "application/json"}
INTENT = "/api/v1/agent/intent"


# --- ids and headers ---


@pytest.mark.parametrize("given", ["abcdefgh", "A-z_0123456789", "x" * 64])
async def test_a_well_formed_request_id_is_kept(tmp_path: Path, given: str) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.fetch("GET", "/live", headers={"X-Request-ID": given})
        assert answer.headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["short", "x" * 65, "with space", "semi;colon", "<script>alert(1)</script>"])
async def test_any_other_request_id_is_replaced(tmp_path: Path, given: str) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.fetch("GET", "/live", headers={"X-Request-ID": given})
        assert len(answer.headers["X-Request-ID"]) == 32
        assert answer.headers["X-Request-ID"] != given


async def test_ids_travel_to_the_service(tmp_path: Path) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"X-Request-ID": "request-0001", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    async with running(tmp_path) as gw:
        await gw.fetch("POST", INTENT, {"text": "hi", "session_id": "kitchen"}, headers=headers)
        (context,) = gw.script.contexts
    assert context.request_id == "request-0001"
    assert context.user_id == "ada"
    assert context.roles == ("user",)
    assert context.session_id == "kitchen"
    assert context.traceparent.startswith(f"00-{trace}-")
    assert context.traceparent.endswith("-01")
    assert "00f067aa0ba902b7" not in context.traceparent  # our own span is the parent now


async def test_security_headers_and_no_version(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        for path in ("/live", "/nowhere", "/console/docs/docs.css"):
            headers = (await gw.fetch("GET", path)).headers
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Server"] == "jarvis-gateway"
            assert "default-src 'none'" in headers["Content-Security-Policy"]


# --- errors ---


async def test_an_unforeseen_failure_says_nothing_of_itself(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gw.script.failing["intent"] = RuntimeError("a secret /etc/passwd in file.py line 12")
        answer = await gw.fetch("POST", INTENT, {"text": "hi"})
        assert problem(answer) == (500, "INTERNAL")
        for word in (b"secret", b"passwd", b"Traceback", b".py", b"RuntimeError"):
            assert word not in answer.body


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/nowhere", (404, "NOT_FOUND")),
        ("POST", "/api/v1/nowhere", (404, "NOT_FOUND")),
        ("GET", "/api/v1/agent/intent/", (404, "NOT_FOUND")),
        ("GET", "/api/v1/memory/retrieve/", (404, "NOT_FOUND")),
        ("GET", "/%00", (404, "NOT_FOUND")),
        ("GET", "/console/..%2f..%2fpyproject.toml", (404, "NOT_FOUND")),
        ("GET", "/api/v1/memory/retrieve/%FF", (400, "BAD_REQUEST")),
        ("GET", "/api/v1/memory/retrieve/%00", (422, "VALIDATION_ERROR")),
        ("GET", "/api/v1/memory/retrieve/a%2Fb", (422, "VALIDATION_ERROR")),
        ("GET", "/" + "x" * 5000, (414, "URI_TOO_LONG")),
    ],
)
async def test_odd_addresses_are_problem_documents(
    tmp_path: Path, method: str, path: str, expected: tuple[int, str]
) -> None:
    async with running(tmp_path) as gw:
        assert problem(await gw.fetch(method, path)) == expected


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "TRACE"])
async def test_a_wrong_method_is_told_the_right_ones(tmp_path: Path, method: str) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.fetch(method, INTENT)
        assert problem(answer) == (405, "METHOD_NOT_ALLOWED")
        assert answer.headers["Allow"] == "OPTIONS, POST"


async def test_head_is_get_without_the_body(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        got, headed = await gw.fetch("GET", "/live"), await gw.fetch("HEAD", "/live")
        assert headed.code == got.code == 200
        assert headed.body == b""
        assert headed.headers["Content-Length"] == got.headers["Content-Length"]


async def test_options_tells_what_may_be_done(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.fetch("OPTIONS", INTENT, roles=None)
        assert (answer.code, answer.headers["Allow"]) == (204, "OPTIONS, POST")
        assert "Access-Control-Allow-Origin" not in answer.headers


# --- bodies ---


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "Expecting value"),
        (b"{", "line 1"),
        (b'{"text": "a", "text": "b"}', "twice"),
        (b'{"text": NaN}', "NaN"),
        (b'{"text": 1e400}', "double precision"),
        (b'{"text": 123456789012345678901234567890}', "2^53"),
        (b'{"text": "\\ud800"}', "surrogate"),
        (b'{"text": "\xff"}', "UTF-8"),
        (b'{"text": ' + b"[" * 5000 + b"]" * 5000 + b"}", "nesting"),
        (b'["text"]', "object"),
        (b"null", "object"),
    ],
)
async def test_a_body_that_is_no_safe_json_is_a_400(tmp_path: Path, body: bytes, words: str) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.fetch("POST", INTENT, body, headers={"Content-Type": "application/json"})
        assert problem(answer) == (400, "MALFORMED_JSON")
        assert words in document(answer)["detail"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/text"),
        ({"text": 5}, "#/text"),
        ({"text": ""}, "#/text"),
        ({"text": "x" * 4001}, "#/text"),
        ({"text": "hi", "more": 1}, "#/more"),
        ({"text": "hi", "a/b~c": 1}, "#/a~1b~0c"),
        ({"text": "hi", "language": "not a tag"}, "#/language"),
        ({"text": "hi", "session_id": "a b"}, "#/session_id"),
    ],
)
async def test_a_wrong_field_is_named(tmp_path: Path, body: dict[str, Any], pointer: str) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.fetch("POST", INTENT, body)
        assert problem(answer) == (422, "VALIDATION_ERROR")
        assert [error["pointer"] for error in document(answer)["errors"]] == [pointer]
        assert gw.script.contexts == []


async def test_a_whole_number_may_be_written_with_a_point(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        search = "/api/v1/memory/search"
        assert (await gw.fetch("POST", search, b'{"query": "x", "limit": 5.0}', headers=JSON)).code == 200
        assert (await gw.fetch("POST", search, b'{"query": "x", "limit": 5e0}', headers=JSON)).code == 200
        assert (await gw.fetch("POST", search, b'{"query": "x", "limit": 5.5}', headers=JSON)).code == 422
        assert (await gw.fetch("POST", search, b'{"query": "x", "limit": true}', headers=JSON)).code == 422


async def test_a_thousand_wrong_fields_are_told_in_short(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.fetch("POST", INTENT, {f"field{i}": i for i in range(1000)})
        assert problem(answer) == (422, "VALIDATION_ERROR")
        assert len(document(answer)["errors"]) == 20


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": ""},
    ],
)
async def test_only_plain_json_is_read(tmp_path: Path, headers: dict[str, str]) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.fetch("POST", INTENT, b'{"text": "hi"}', headers=headers)
        assert problem(answer) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_a_query_beside_a_body_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.fetch("POST", INTENT + "?text=hi", {"text": "hi"})
        assert problem(answer) == (422, "VALIDATION_ERROR")


@pytest.mark.parametrize("query", ["limit=1&limit=2", "limit=0", "limit=101", "limit=%FF", "limit=1.0", "more=1"])
async def test_a_query_is_checked_as_strictly(tmp_path: Path, query: str) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.fetch("GET", f"/api/v1/memory/context/kitchen?{query}")
        assert problem(answer) == (422, "VALIDATION_ERROR")


@pytest.mark.parametrize(("accept", "status"), [("text/html", 406), ("image/*", 406), ("application/json;q=0", 406),
                                               ("application/*", 200), ("text/html, */*;q=0.1", 200)])  # fmt: skip
async def test_accept_is_honoured(tmp_path: Path, accept: str, status: int) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.fetch("POST", INTENT, {"text": "hi"}, headers={"Accept": accept})
        assert answer.code == status
        if status == 406:
            assert problem(answer) == (406, "NOT_ACCEPTABLE")


# --- sizes and framing ---


async def test_a_body_somewhat_too_large_is_read_and_refused_and_the_connection_lives(tmp_path: Path) -> None:
    body = json.dumps({"text": "x" * 100_000}).encode()
    head = f"POST {INTENT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with running(tmp_path) as gw:
        answer = await gw.raw(head + body + b"GET /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        first, _, second = answer.partition(b"HTTP/1.1 200")
        assert first.startswith(b"HTTP/1.1 413")
        assert b"BODY_TOO_LARGE" in first
        assert b'{"status":"ok"}' in second


async def test_a_body_far_too_large_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    head = f"POST {INTENT} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n".encode()
    async with running(tmp_path) as gw:
        answer = await gw.raw(head)
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"Connection: close" in answer
        assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("length", [70_000, 99_999_999])
async def test_a_body_too_large_is_counted_where_it_was_sent_to(tmp_path: Path, length: int) -> None:
    head = f"POST {INTENT} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n".encode()
    async with running(tmp_path) as gw:
        await gw.raw(head + b"x" * 70_000)
        counted = gw.gateway.metrics.render()[1].decode()
    assert f'requests_total{{endpoint="{INTENT}",method="POST",status="413"}} 1.0' in counted


async def test_nobody_is_told_to_go_on_with_a_body_that_is_too_large(tmp_path: Path) -> None:
    head = f"POST {INTENT} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 70000\r\n\r\n".encode()
    async with running(tmp_path) as gw:
        answer = await gw.raw(head)
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"100 (Continue)" not in answer


async def test_a_chunked_body_is_bounded_too(tmp_path: Path) -> None:
    head = f"POST {INTENT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    async with running(tmp_path) as gw:
        answer = await gw.raw(
            head + chunk * 10 + b"0\r\n\r\nGET /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 413")
        assert answer.endswith(b'{"status":"ok"}')  # it was read to its end


async def test_a_chunked_body_without_end_is_cut_off(tmp_path: Path) -> None:
    head = f"POST {INTENT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    async with running(tmp_path) as gw:
        answer = await gw.raw(head + chunk * 100)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 413")  # a kernel may drop it: the client still sends
        assert gw.gateway.requests_running == 0


async def test_chunked_in_http_1_0_is_no_way_to_smuggle_a_request(tmp_path: Path) -> None:
    smuggled = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"
    head = f"POST {INTENT} HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n".encode()
    async with running(tmp_path) as gw:
        answer = await gw.raw(head + b"0\r\n\r\n" + smuggled)
        assert answer.startswith(b"HTTP/1.1 400")
        assert b'{"status":"ok"}' not in answer


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
    ],
)
async def test_ambiguous_framing_ends_the_connection(tmp_path: Path, framing: bytes) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.raw(b"POST " + INTENT.encode() + b" HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\nhello")
        assert answer.startswith(b"HTTP/1.1 400")
        assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    "target", ["http://x/live", "http://x:8000/live?a=1", "HTTP://x/live", "https://[::1]:80/live", "http://x//live"]
)
async def test_an_address_may_be_told_whole(tmp_path: Path, target: str) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.raw(f"GET {target} HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n".encode())
        root = await gw.raw(b"GET http://x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404" if "//live" in target else b"HTTP/1.1 200 OK")
    assert b'"name"' in root


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://x/live", ""),
        ("http://x/live", "Host: a, b\r\n"),
        ("http:///live", "Host: x\r\n"),
        ("http://user@x/live", "Host: x\r\n"),
        ("http://a,b/live", "Host: x\r\n"),
    ],
)
async def test_an_address_told_whole_names_one_host(tmp_path: Path, target: str, host: str) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.raw(f"GET {target} HTTP/1.1\r\n{host}Connection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400")


async def test_the_address_told_whole_is_what_counts_as_host(tmp_path: Path) -> None:
    connection = SimpleNamespace(context=SimpleNamespace(remote_ip="", protocol="http"))
    start = RequestStartLine("GET", "http://evil.example/x?a=1", "HTTP/1.1")
    request = Request(cast("Any", connection), None, start, Headers({"Host": "localhost"}))
    assert request.host == "evil.example"
    assert request.headers["Host"] == "evil.example"
    assert (request.uri, request.path, request.query) == ("/x?a=1", "/x", "a=1")


async def test_headers_have_a_bound(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.raw(b"GET /live HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n")
        assert b"200 OK" not in answer


# --- compression and CORS ---


async def test_long_answers_are_compressed_for_those_who_can_read_it(tmp_path: Path) -> None:
    text = "x" * 3000
    async with running(tmp_path) as gw:
        packed = await gw.fetch(
            "POST", INTENT, {"text": text}, headers={"Accept-Encoding": "gzip"}, decompress_response=False
        )
        plain = await gw.fetch("POST", INTENT, {"text": text}, decompress_response=False)
        short = await gw.fetch(
            "POST", INTENT, {"text": "x"}, headers={"Accept-Encoding": "gzip"}, decompress_response=False
        )
        refused = await gw.fetch(
            "POST", INTENT, {"text": text}, headers={"Accept-Encoding": "gzip;q=0"}, decompress_response=False
        )
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body == refused.body
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert "Content-Encoding" not in short.headers


async def test_a_configured_origin_may_call(tmp_path: Path) -> None:
    origin = "https://app.example"
    async with running(tmp_path, cors_origins=(origin,)) as gw:
        preflight = await gw.fetch(
            "OPTIONS", INTENT, roles=None, headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
        )
        answer = await gw.fetch("POST", INTENT, {"text": "hi"}, headers={"Origin": origin})
        refused = await gw.fetch("POST", INTENT, {}, headers={"Origin": origin})
    assert preflight.code == 204
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Idempotency-Key" in preflight.headers["Access-Control-Allow-Headers"]
    assert int(preflight.headers["Access-Control-Max-Age"]) > 0
    for told in (preflight, answer, refused):
        assert told.headers["Access-Control-Allow-Origin"] == origin
        assert told.headers["Access-Control-Allow-Credentials"] == "true"
        assert "X-RateLimit-Remaining" in told.headers["Access-Control-Expose-Headers"]
        assert "Origin" in told.headers["Vary"]


@pytest.mark.parametrize("origin", ["https://evil.example", "https://app.example.evil.example", "null"])
async def test_any_other_origin_may_not(tmp_path: Path, origin: str) -> None:
    async with running(tmp_path, cors_origins=("https://app.example",)) as gw:
        answer = await gw.fetch("OPTIONS", INTENT, roles=None, headers={"Origin": origin})
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Origin" in answer.headers["Vary"]


# --- counting ---


async def test_every_answer_is_counted_by_route_template(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        await gw.fetch("GET", "/api/v1/memory/retrieve/some-key")
        await gw.fetch("GET", "/no/such/path")
        await gw.fetch("TRACE", "/live")
        metrics = (await gw.fetch("GET", "/metrics")).body.decode()
        assert gw.gateway.requests_running == 0
    series = 'api_gateway_requests_total{endpoint="%s",method="%s",status="%s"} 1.0'
    assert series % ("/api/v1/memory/retrieve/{key}", "GET", 404) in metrics
    assert series % ("(none)", "GET", 404) in metrics
    assert series % ("/live", "other", 405) in metrics
    assert "some-key" not in metrics


async def test_pages_may_send_the_headers_of_openais_clients(tmp_path: Path) -> None:
    origin = "https://app.example"
    async with running(tmp_path, cors_origins=(origin,)) as gw:
        asked = "authorization,content-type,openai-organization,x-stainless-retry-count"
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": asked}
        preflight = await gw.fetch("OPTIONS", "/v1/audio/speech", roles=None, headers=headers)
        assert preflight.headers["Access-Control-Allow-Headers"] == asked
        for strange in ("a\tb", "a" * 2_000):
            headers["Access-Control-Request-Headers"] = strange
            refused = await gw.fetch("OPTIONS", "/v1/audio/speech", roles=None, headers=headers)
            assert strange not in refused.headers.get("Access-Control-Allow-Headers", "")
        answer = await gw.fetch("GET", "/v1/models", headers={"Origin": origin})
        exposed = answer.headers["Access-Control-Expose-Headers"]
        assert {"X-Request-ID", "X-RateLimit-Remaining-Requests", "OpenAI-Processing-MS"} <= set(exposed.split(", "))
