"""Links from a page to the images on the same machine."""

import os
from pathlib import Path
from typing import Final

_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")
"""What stands for itself in the path of an address (RFC 3986, 2.3)."""


def file_link(image: Path, page: Path) -> str:
    """Return the address of an image in a page: relative, so that both may be moved together.

    Args:
        image: The image.
        page: The file of the page.
    """
    absolute = os.path.abspath(image)  # noqa: PTH100  # Path.resolve follows links
    try:
        relative = os.path.relpath(absolute, os.path.abspath(page.parent))  # noqa: PTH100
    except ValueError:  # on another drive of Windows
        return Path(absolute).as_uri()
    path = os.fsencode(Path(relative).as_posix())
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in path)
