"""Counts the images of a folder beside the run, so that the progress bar knows how many there will be."""

import threading
from pathlib import Path

from clas.image.files import count_images


class ImageCount:
    """Counts in a thread; the run goes on, and may end, meanwhile.

    Args:
        path: The folder, or one image.
        is_shown: Whether a progress bar shows it; otherwise it begins when it is waited for.

    Attributes:
        found: How many images have been found, so far.
        is_complete: Whether these are all.
    """

    def __init__(self, path: Path, *, is_shown: bool = True) -> None:
        self.found = 0
        self.is_complete = False
        self._thread = threading.Thread(target=self._count, args=(path,), name="count", daemon=True)
        if is_shown:
            self._thread.start()

    def wait(self, timeout_s: float) -> None:
        """Wait until all images are counted, for this long at most."""
        if self._thread.ident is None:
            self._thread.start()
        self._thread.join(timeout_s)

    def _count(self, path: Path) -> None:
        for found in count_images(path):
            self.found = found
        self.is_complete = True
