"""M9, search executor: by default a full-text index on this machine; SearXNG or ddgs if configured."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, field_validator

from server.embedded.executor import Action, ExecutorService, Parameters, Task, TaskOutcome, UnavailableError
from server.embedded.search.local import LocalProvider
from server.embedded.search.provider import ProviderError, provider_name
from server.embedded.search.turns import Turns
from server.embedded.search.web import DdgsProvider, SearxngProvider
from server.embedded.service import EmbeddedConfig, MissingPartError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.embedded.search.provider import Provider

DEFAULT_RESULTS = 10
MAX_RESULTS = 50
MAX_QUERY_CHARS = 1_000
TIMEOUT_MS = 15_000
INCOMPLETE = "it took too long to look everywhere, so there may be more"


class SearchParameters(Parameters):
    """A search."""

    query: str = Field(min_length=1, max_length=MAX_QUERY_CHARS, description="words to look for")
    max_results: int = Field(default=DEFAULT_RESULTS, ge=1, le=MAX_RESULTS, description="at most so many results")

    @field_validator("query")
    @classmethod
    def _has_words(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("there are no words in it")
        return value.strip()


ACTIONS = {"search": Action("Search for pages and documents", SearchParameters, TIMEOUT_MS)}


class SearchService(ExecutorService):
    """Runs searches at the provider that was chosen at the start."""

    name: ClassVar[str] = "search"

    def __init__(self, config: EmbeddedConfig) -> None:
        super().__init__(config)
        self._provider: Provider | None = None
        self._turns = Turns(1, 1)

    async def start(self) -> None:
        """Choose the provider. Raises MissingPartError."""
        provider = chosen(self.config)
        await provider.start()
        self._provider, self._turns = provider, Turns(provider.at_once, provider.of_one_user)

    async def stop(self) -> None:
        """End the provider."""
        self._turns.close()
        if self._provider is not None:
            await self._provider.stop()

    def actions(self) -> Mapping[str, Action]:
        """The single action, search."""
        return ACTIONS

    async def perform(self, name: str, parameters: Parameters, task: Task) -> TaskOutcome:
        """Search."""
        assert name in ACTIONS
        assert isinstance(parameters, SearchParameters)
        assert self._provider is not None, "calls are refused until start() is done"
        await task.tell(f"searching with {self._provider.name}", percent=0)
        try:
            found = await self._turns.run(partial(self._provider.search, parameters.query, parameters.max_results))
        except ProviderError as error:
            raise UnavailableError(str(error)) from None
        results = [asdict(entry) for entry in found.results]
        await task.tell(f"found {len(results)} result{'' if len(results) == 1 else 's'}", percent=100)
        values: dict[str, Any] = {"query": parameters.query, "provider": self._provider.name, "results": results}
        if self._provider.left_out:
            values["left_out"] = self._provider.left_out
        if not found.whole:
            values["incomplete"] = True
        return TaskOutcome(values, message="" if found.whole else INCOMPLETE)


def chosen(config: EmbeddedConfig) -> Provider:
    """The provider by SEARCH_PROVIDER; by default SearXNG if SEARXNG_URL is set, else local. Raises MissingPartError."""
    url = config.option("SEARXNG_URL")
    match provider_name(config.option):
        case "local":
            return LocalProvider(config.directory, config.option("SEARCH_DOCUMENTS_DIR"))
        case "searxng" if url:
            return SearxngProvider(url)
        case "searxng":
            raise MissingPartError("SEARCH_PROVIDER=searxng needs SEARXNG_URL, the address of an instance")
        case "ddgs":
            return DdgsProvider()
        case other:
            raise MissingPartError(f"SEARCH_PROVIDER is local, searxng or ddgs, not {other}")
