"""`/live` and `POST /api/v1/agent/intent` with FastAPI: the same work with the same services, in that framework's style.

Tokens are verified once and remembered; limit (our Lua script) and revocation are one pipeline to Redis; pydantic reads and
writes the bodies; grpc.aio asks M4 with a deadline and the same metadata; Prometheus counts; a JSON line tells of each request.
A plain ASGI middleware, since Starlette's BaseHTTPMiddleware would cost it another task for every request.
"""

from __future__ import annotations

import json
import logging
import math
import os
import secrets
import time
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Annotated, Any

import grpc.aio
import jwt
import redis.asyncio
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from prometheus_client import Counter, Histogram
from redis.exceptions import NoScriptError

from protos import intent_pb2, intent_pb2_grpc
from server.operations.agent import IntentAnswer, IntentGuessAnswer, IntentRequest
from server.shared.rate_limits import SCRIPT, SCRIPT_SHA
from server.telemetry.traceparent import next_traceparent, random_id, trace_id
from server.upstream.convert import from_struct

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LIMIT, WINDOW_S = 10_000_000, 60
DEADLINE_S = 5.0
SECRET = os.environ["JWT_SECRET_KEY"]
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]

requests_total = Counter("peer_requests", "REST requests.", ["method", "endpoint", "status"])
request_seconds = Histogram("peer_request_duration_seconds", "REST latency.", ["method", "endpoint"])
grpc_total = Counter("peer_grpc_calls", "gRPC calls.", ["service", "method", "status"])
grpc_seconds = Histogram("peer_grpc_call_duration_seconds", "gRPC latency.", ["service", "method"])
logging.basicConfig(level=logging.INFO, format="%(message)s")
log = logging.getLogger("http")
verified: dict[str, dict[str, Any]] = {}
members = (f"{secrets.token_hex(6)}{number:x}" for number in count())


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.redis = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"])
    async with app.state.redis, grpc.aio.insecure_channel(os.environ["INTENT_GRPC_URL"]) as channel:
        app.state.intent = intent_pb2_grpc.IntentRecognizerStub(channel)
        yield


class Told:
    """Names each request, adds the headers of every answer, counts it and logs it."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500
        request_id = scope["request_id"] = random_id(16)

        async def named(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] += [*HEADERS, (b"x-request-id", request_id.encode())]
            await send(message)

        await self.app(scope, receive, named)
        seconds, method, path = time.perf_counter() - began, scope["method"], scope["path"]
        requests_total.labels(method, path, str(status)).inc()
        request_seconds.labels(method, path).observe(seconds)
        if path == "/live":
            return
        line = {"method": method, "endpoint": path, "status": status, "ms": round(seconds * 1000, 2)}
        ids = {"request_id": request_id, "user": scope.get("user"), "trace_id": trace_id(scope.get("trace", ""))}
        log.info(json.dumps(line | ids | {"event": "request", "level": "info", "timestamp": time.time()}))


app = FastAPI(lifespan=lifespan, openapi_url=None)
app.add_middleware(Told)


def user(request: Request, authorization: Annotated[str, Header()] = "") -> dict[str, Any]:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise HTTPException(401)
    claims = verified.get(token)
    if claims is None:
        try:
            claims = verified[token] = jwt.decode(token, SECRET, algorithms=["HS256"], options={"require": ["exp"]})
        except jwt.PyJWTError:
            raise HTTPException(401) from None
    if claims["exp"] <= time.time():
        raise HTTPException(401)
    request.scope["user"] = claims["sub"]
    return claims


async def admitted(request: Request, response: Response, claims: Annotated[dict[str, Any], Depends(user)]) -> Any:
    """Limit and revocation in one round trip."""
    question = (1, f"peer:limit:user:{claims['sub']}", LIMIT, WINDOW_S * 1_000_000, next(members))
    client = request.app.state.redis
    try:
        pipeline = client.pipeline(transaction=False)
        pipeline.evalsha(SCRIPT_SHA, *question).zmscore("peer:revoked", [claims["jti"]])
        (allowed, used, change_us, now_us), (revoked,) = await pipeline.execute()
    except NoScriptError:
        (allowed, used, change_us, now_us), revoked = await client.eval(SCRIPT, *question), None
    if not allowed:
        raise HTTPException(429)
    if revoked is not None:
        raise HTTPException(401)
    left_s = math.ceil((int(change_us) - int(now_us)) / 1e6)
    response.headers["X-RateLimit-Limit"] = str(LIMIT)
    response.headers["X-RateLimit-Remaining"] = str(LIMIT - used)
    response.headers["X-RateLimit-Reset"] = str(math.ceil(int(change_us) / 1e6))
    response.headers["RateLimit"] = f'"default";r={LIMIT - used};t={left_s}'
    response.headers["RateLimit-Policy"] = f'"default";q={LIMIT};w={WINDOW_S}'
    return claims


@app.get("/live")
async def live() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/api/v1/agent/intent")
async def intent(
    asked: IntentRequest, request: Request, claims: Annotated[dict[str, Any], Depends(admitted)]
) -> IntentAnswer:
    trace = request.scope["trace"] = next_traceparent(request.headers.get("traceparent", ""))
    metadata = (
        ("x-request-id", request.scope["request_id"]),
        ("traceparent", trace),
        ("x-user-id", claims["sub"]),
        ("x-user-roles", ",".join(claims["roles"])),
    )
    began, status = time.perf_counter(), "OK"
    try:
        answer = await request.app.state.intent.Recognize(
            intent_pb2.RecognizeRequest(text=asked.text, language=asked.language, session_id=asked.session_id or ""),
            timeout=DEADLINE_S,
            metadata=metadata,
        )
    except grpc.aio.AioRpcError as error:
        status = error.code().name
        raise HTTPException(503) from None
    finally:
        grpc_total.labels("intent", "Recognize", status).inc()
        grpc_seconds.labels("intent", "Recognize").observe(time.perf_counter() - began)
    guesses = [
        IntentGuessAnswer(intent=one.intent, confidence=one.confidence, entities=from_struct(one.entities))
        for one in (answer, *answer.alternatives)
    ]
    return IntentAnswer(**guesses[0].model_dump(), alternatives=guesses[1:])
