"""M9, search executor: a full-text index on this machine by default; SearXNG or ddgs where they are configured."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from protos import search_pb2_grpc
from server.embedded.executor import Action, ExecutorService, Parameters, UnavailableError, progress, result
from server.embedded.search_local import LocalProvider
from server.embedded.search_web import DdgsProvider, SearxngProvider
from server.embedded.service import EmbeddedConfig, MissingPartError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import grpc.aio

    from protos import executor_pb2
    from server.embedded.search_result import Provider

MAX_RESULTS = 50
MAX_QUERY_CHARS = 1_000


class SearchParameters(Parameters):
    """What to look for."""

    query: str = Field(min_length=1, max_length=MAX_QUERY_CHARS)
    max_results: int = Field(default=10, ge=1, le=MAX_RESULTS)


class SearchService(ExecutorService, search_pb2_grpc.SearchExecutorServicer):
    """See the module."""

    name: ClassVar[str] = "search"
    full_name: ClassVar[str] = "jarvis.search.v1.SearchExecutor"

    def __init__(self, config: EmbeddedConfig) -> None:
        super().__init__(config)
        self._provider: Provider | None = None

    async def start(self) -> None:
        """Choose the provider. Raises MissingPartError."""
        self._provider = self._chosen()
        await self._provider.start()

    def _chosen(self) -> Provider:
        url = self.config.option("SEARXNG_URL")
        name = self.config.option("SEARCH_PROVIDER") or ("searxng" if url else "local")
        if name == "searxng" and url:
            return SearxngProvider(url)
        if name == "ddgs":
            return DdgsProvider()
        if name == "local":
            return LocalProvider(self.config.directory, self.config.option("SEARCH_DOCUMENTS_DIR"))
        raise MissingPartError(f"SEARCH_PROVIDER {name} is none of local, searxng (with SEARXNG_URL), ddgs")

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register."""
        search_pb2_grpc.add_SearchExecutorServicer_to_server(self, server)

    async def stop(self) -> None:
        """End the provider."""
        if self._provider is not None:
            await self._provider.stop()

    def actions(self) -> dict[str, Action]:
        """One."""
        return {"search": Action("Search for pages and documents", SearchParameters)}

    async def perform(
        self, _name: str, parameters: Parameters, _request: executor_pb2.ExecuteRequest
    ) -> AsyncGenerator[executor_pb2.ExecuteEvent, None]:
        """Search."""
        assert isinstance(parameters, SearchParameters)
        assert self._provider is not None, "calls are refused until start() is done"
        yield progress(f"searching with {self._provider.name}", percent=0)
        try:
            found = await self._provider.search(parameters.query, parameters.max_results)
        except (TimeoutError, OSError) as error:
            raise UnavailableError(f"{self._provider.name} does not answer: {type(error).__name__}") from None
        rows = [{"title": r.title, "url": r.url, "snippet": r.snippet, "score": r.score} for r in found]
        yield result("ok", {"query": parameters.query, "provider": self._provider.name, "results": rows})
