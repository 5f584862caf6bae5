"""Loads and unloads models while the server runs: in this process alone, or in all workers at once."""

import asyncio
from typing import Protocol

from .registry import Models


class Changes(Protocol):
    """Changes what is served."""

    async def load(self, name: str) -> None:
        """Load a model from its folder as it is now; it takes over between two requests.

        Raises:
            NotFoundError: There is none of this name.
            ModelControlError: It can't be loaded; what served before still does.
        """

    async def unload(self, name: str) -> None:
        """Answer no more requests for a model, and free it.

        Raises:
            NotFoundError: There is none of this name.
        """


class OwnChanges:
    """Changes the models of this process.

    Args:
        models: The models.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._turn = asyncio.Lock()

    async def load(self, name: str) -> None:
        """See `Changes`."""
        async with self._turn:
            self._models.commit(await self._models.prepare(name))

    async def unload(self, name: str) -> None:
        """See `Changes`."""
        async with self._turn:
            self._models.unload(name)
