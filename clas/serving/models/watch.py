"""Looks at the models' folders, and has what was changed there loaded again."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ...errors import ClasError
from .changes import Changes
from .registry import Models
from .repository import Repository

_LOGGER: Final = logging.getLogger("clas_system")

_EMPTY: Final = ()  # a folder that somebody is about to fill

_Look = Mapping[str, tuple[tuple[object, ...], ...]]
"""Name of a model -> name, size and time of change of each file in its folder."""


class Watch:
    """Compares the models' folders with what they were.

    A change counts when two looks after it are equal: somebody may still be copying files.

    Args:
        folders: Name -> folder, of the models that aren't in the repository.
        repository: Where folders may come and go; None if there is none.
    """

    def __init__(self, folders: Mapping[str, Path], repository: Repository | None) -> None:
        self._folders = folders
        self._repository = repository
        self._last: _Look = {}
        self._last = self._look()
        self._known = {**self._last}

    def look(self) -> list[tuple[str, bool]]:
        """Look at the folders.

        Returns:
            The names of the models that have changed, and whether each is still there; one that isn't in the
            repository is never gone.
        """
        before, self._last = self._last, self._look()
        there: list[tuple[str, bool]] = []
        gone: list[tuple[str, bool]] = []
        for name in sorted({*self._known, *self._last}):
            now = self._last.get(name)
            if now in (self._known.get(name), _EMPTY) or now != before.get(name):
                continue
            if now is not None:
                self._known[name] = now
                there.append((name, True))
            else:
                del self._known[name]
                if name not in self._folders:
                    gone.append((name, False))
        return there + gone

    def _look(self) -> _Look:
        try:
            found = self._repository.folders() if self._repository else {}
        except ClasError as exc:  # it may be back soon
            _LOGGER.warning("%s", exc)
            return {**self._last, **_files_of(self._folders)}
        return _files_of({**found, **self._folders})


def _files_of(folders: Mapping[str, Path]) -> _Look:
    return {name: files for name, folder in folders.items() if (files := _files_in(folder)) is not None}


async def watch(look: Watch, models: Models, changes: Changes, interval_s: float) -> None:
    """Look again and again, and load what was changed; until it is cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(interval_s)
        try:
            for name, is_there in await loop.run_in_executor(None, look.look):
                await _change(name, models, changes, is_there=is_there)
        except Exception:
            _LOGGER.exception("the models' folders can't be looked at")


async def _change(name: str, models: Models, changes: Changes, *, is_there: bool) -> None:
    try:
        if is_there:
            await changes.load(name)
        elif name in models:
            await changes.unload(name)
    except ClasError as exc:
        _LOGGER.error("%s", exc)  # noqa: TRY400  # it says all


def _files_in(folder: Path) -> tuple[tuple[object, ...], ...] | None:
    """Return what tells a folder's content from another one; None if there is no folder."""
    try:
        found = [(path.name, path.stat()) for path in folder.iterdir() if path.is_file()]
    except FileNotFoundError:
        return None
    except OSError:  # it is just being changed
        return _EMPTY
    return tuple(sorted((name, stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in found))
