"""Search over the network: your own SearXNG instance (its JSON format must be enabled), or ddgs."""

from __future__ import annotations

import importlib
import json
import math
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPError, HTTPRequest

from server.embedded.fairness import FairThreads
from server.embedded.search.provider import (
    MAX_SNIPPET_CHARS,
    MAX_TITLE_CHARS,
    Found,
    ProviderError,
    WebResult,
    by_rank,
    one_line,
)
from server.embedded.search.text import from_html
from server.embedded.service import MissingPartError

CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 12.0  # SearXNG itself waits some seconds for search engines
AT_ONCE, OF_ONE_USER = 10, 4  # the client below has ten connections
MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_MARKUP_CHARS = 8_000  # of a title or snippet, which is read on the loop
FORBIDDEN = 403


class SearxngProvider:
    """GET /search?q=…&format=json (docs.searxng.org, Search API)."""

    name = "searxng"
    at_once, of_one_user = AT_ONCE, OF_ONE_USER
    left_out = 0

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._client: AsyncHTTPClient | None = None

    async def start(self) -> None:
        """Create the HTTP client. Raises MissingPartError for an invalid address."""
        if urlsplit(self._url).scheme not in {"http", "https"} or not urlsplit(self._url).hostname:
            raise MissingPartError(f"SEARXNG_URL: {self._url} is not an http address")
        self._client = AsyncHTTPClient(force_instance=True, max_body_size=MAX_BODY_BYTES)

    async def search(self, query: str, most: int) -> Found:
        """Ask the instance. Raises ProviderError."""
        return Found(found_in(await self._ask(query), most))

    async def _ask(self, query: str) -> list[Any]:
        assert self._client is not None
        request = HTTPRequest(
            f"{self._url}/search?{urlencode({'q': query, 'format': 'json'})}",
            headers={"Accept": "application/json"},
            connect_timeout=CONNECT_TIMEOUT_S,
            request_timeout=REQUEST_TIMEOUT_S,
        )
        try:
            response = await self._client.fetch(request)
            rows = json.loads(response.body)["results"]
        except HTTPError as error:
            hint = ": json is not among its search.formats" if error.code == FORBIDDEN else ""
            raise ProviderError(f"SearXNG answered {error.code} {error.message}{hint}") from None
        except OSError as error:
            raise ProviderError(f"SearXNG cannot be reached: {error.strerror or type(error).__name__}") from None
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ProviderError("SearXNG did not answer with its JSON") from None
        if not isinstance(rows, list):
            raise ProviderError("SearXNG did not answer with its JSON")
        return rows

    async def stop(self) -> None:
        """Close the client."""
        if self._client is not None:
            self._client.close()


def found_in(rows: list[Any], most: int) -> list[WebResult]:
    """Results from SearXNG's rows, without those that lack a title or web address."""
    usable = [row for row in rows if isinstance(row, dict) and _is_page(row)][:most]
    scores = [_score(row.get("score")) for row in usable]
    best = max(scores, default=0.0)
    return [
        WebResult(
            _plain(row["title"], MAX_TITLE_CHARS),
            row["url"],
            _plain(row.get("content"), MAX_SNIPPET_CHARS),
            round(score / best, 3) if best > 0 else by_rank(index, len(usable)),
        )
        for index, (row, score) in enumerate(zip(usable, scores, strict=True))
    ]


def _is_page(row: dict[str, Any]) -> bool:
    title, url = row.get("title"), row.get("url")
    return isinstance(title, str) and isinstance(url, str) and url.startswith(("http://", "https://"))


def _score(value: Any) -> float:
    """A row's score. SearXNG's scores have no upper limit."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) and value > 0 else 0.0


def _plain(markup: Any, most_chars: int) -> str:
    """Plain text of a snippet, in which engines tag the words found."""
    return one_line(from_html(markup[:MAX_MARKUP_CHARS])[1], most_chars) if isinstance(markup, str) else ""


class DdgsProvider:
    """The ddgs package, which asks public search engines."""

    name = "ddgs"
    at_once, of_one_user = AT_ONCE, OF_ONE_USER
    left_out = 0

    def __init__(self) -> None:
        self._library: Any = None
        self._threads = FairThreads(AT_ONCE, "ddgs")

    async def start(self) -> None:
        """Check that ddgs is installed. Raises MissingPartError."""
        try:
            self._library = importlib.import_module("ddgs")
        except ImportError:
            raise MissingPartError("the Python package ddgs is missing: pip install ddgs") from None

    async def search(self, query: str, most: int) -> Found:
        """Search in a thread. Raises ProviderError."""
        try:
            rows = await self._threads.run(partial(self._ask, query, most))
        except self._library.exceptions.DDGSException as error:
            if "no results" in str(error).lower():  # it reports this only as text
                return Found([])
            raise ProviderError(f"no search engine answers: {one_line(str(error), 200)}") from None
        usable = [row for row in rows if row.get("href")][:most]
        found = [
            WebResult(
                one_line(row.get("title") or row["href"], MAX_TITLE_CHARS),
                row["href"],
                one_line(row.get("body") or "", MAX_SNIPPET_CHARS),
                by_rank(index, len(usable)),
            )
            for index, row in enumerate(usable)
        ]
        return Found(found)

    def _ask(self, query: str, most: int) -> list[dict[str, str]]:
        rows: list[dict[str, str]] = self._library.DDGS(timeout=int(REQUEST_TIMEOUT_S)).text(query, max_results=most)
        return rows

    async def stop(self) -> None:
        """End the threads."""
        self._threads.close()
