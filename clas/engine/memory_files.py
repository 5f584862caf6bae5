"""Files that are in memory only, for a library that reads files and nothing else.

The content is in memory without a name (memfd_create), which this process has open. A link to it has the name
that the library wants; the folder of the link holds no content.
"""

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..errors import DeviceError
from ..model.files import ModelFiles

_OPEN_FILES: Final = "/proc/self/fd"


@contextlib.contextmanager
def decrypted_in_memory(files: ModelFiles) -> Iterator[ModelFiles]:
    """Lend a model whose program and weights are decrypted, for the time of the block.

    Raises:
        DeviceError: This system has no such memory.
        EncryptedModelError: As `ModelFiles.read`.
    """
    if not hasattr(os, "memfd_create") or not Path(_OPEN_FILES).is_dir():
        raise DeviceError(
            f"{files.program.name} can't be read from memory on this system: encrypt inference.pdmodel"
        )
    with tempfile.TemporaryDirectory(prefix="clas-") as folder, contextlib.ExitStack() as stack:
        paths = [_link(Path(folder), path, files, stack) for path in (files.program, files.weights)]
        yield dataclasses.replace(files, program=paths[0], weights=paths[1], key_file="")


def _link(folder: Path, path: Path, files: ModelFiles, stack: contextlib.ExitStack) -> Path:
    """Put the content of a file into memory, and return a link to it of the same name."""
    memory = stack.enter_context(os.fdopen(os.memfd_create("clas_model"), "wb"))
    memory.write(files.read(path))
    memory.flush()
    link = folder / path.name
    link.symlink_to(f"{_OPEN_FILES}/{memory.fileno()}")
    return link
