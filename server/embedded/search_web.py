"""Search over the network: a SearXNG instance of one's own (its JSON API has to be enabled), or ddgs."""

from __future__ import annotations

import asyncio
import importlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tornado.httpclient import AsyncHTTPClient, HTTPError

from server.embedded.search_result import Found, by_rank, plain
from server.embedded.service import MissingPartError

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT_S = 10.0


class SearxngProvider:
    """GET /search?q=…&format=json."""

    name = "searxng"

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    async def start(self) -> None:
        """Nothing to acquire."""

    async def search(self, query: str, most: int) -> Sequence[Found]:
        """Ask the instance."""
        address = f"{self._url}/search?{urlencode({'q': query, 'format': 'json'})}"
        try:
            response = await AsyncHTTPClient().fetch(address, request_timeout=TIMEOUT_S)
            rows: list[dict[str, Any]] = json.loads(response.body)["results"]
        except HTTPError as error:
            hint = " (is json among its search.formats?)" if error.code == 403 else ""
            raise OSError(f"SearXNG answered {error.code}{hint}") from None
        except (ValueError, KeyError):
            raise OSError("SearXNG did not answer with its JSON") from None
        return [
            Found(
                plain(row.get("title", "")), row["url"], plain(row.get("content", "")), by_rank(index, len(rows[:most]))
            )
            for index, row in enumerate(rows[:most])
            if row.get("url")
        ]

    async def stop(self) -> None:
        """Nothing to release."""


class DdgsProvider:
    """The ddgs package, which asks public search engines."""

    name = "ddgs"

    async def start(self) -> None:
        """Is it installed?"""
        try:
            self._library = importlib.import_module("ddgs")
        except ImportError:
            raise MissingPartError("ddgs is missing: pip install 'jarvis-gateway[ddgs]'") from None

    async def search(self, query: str, most: int) -> Sequence[Found]:
        """Ask, in a thread."""
        try:
            rows = await asyncio.to_thread(lambda: self._library.DDGS().text(query, max_results=most))
        except self._library.exceptions.DDGSException as error:
            raise OSError(str(error)) from None
        return [
            Found(plain(row["title"]), row["href"], plain(row["body"]), by_rank(index, len(rows)))
            for index, row in enumerate(rows)
        ]

    async def stop(self) -> None:
        """Nothing to release."""
