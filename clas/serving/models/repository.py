"""A folder of models: each folder in it is served under its own name."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ...errors import ModelNotFoundError, NotFoundError
from ..configuration import is_name

_LOGGER: Final = logging.getLogger("clas_system")


class Repository:
    """A folder of models.

    Args:
        directory: The folder.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._passed_over: set[str] = set()

    def folders(self) -> dict[str, Path]:
        """Return the folders that are models by their names, in alphabetical order.

        Raises:
            ModelNotFoundError: The repository isn't a folder, or can't be read.
        """
        return {path.name: path for path in self._visible() if self._has_model(path)}

    def folder(self, name: str) -> Path:
        """Return the folder of a model.

        Raises:
            NotFoundError: There is no such folder directly in the repository, or it leads out of it.
        """
        path = self._directory / name
        if is_name(name) and not name.startswith(".") and self._has_model(path):
            return path
        raise NotFoundError(f"there is no model {name[:80]!r} in the repository")

    def _visible(self) -> Iterator[Path]:
        try:
            yield from sorted(path for path in self._directory.iterdir() if not path.name.startswith("."))
        except OSError as exc:
            raise ModelNotFoundError(
                f"model_repository {self._directory} can't be read: {exc.strerror}"
            ) from exc

    def _has_model(self, path: Path) -> bool:
        """Whether a path in the repository is a folder that may be served; the log says why not."""
        try:
            is_inside = path.resolve().is_relative_to(self._directory.resolve())
            is_folder = path.is_dir()
        except (OSError, RuntimeError):  # a link that leads to itself
            return False
        if is_folder and not is_name(path.name):
            self._pass_over(path.name, "that can't be the name of a model")
            return False
        if is_folder and not is_inside:
            self._pass_over(path.name, "it leads out of model_repository")
        return is_folder and is_inside

    def _pass_over(self, name: str, reason: str) -> None:
        """Say once that a folder isn't served."""
        if name not in self._passed_over:
            self._passed_over.add(name)
            _LOGGER.warning("the folder %r isn't served: %s", name, reason)
