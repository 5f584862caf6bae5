"""The servers that the same tests are run against, and how tests are spread over two processes of pytest.

`--dist loadgroup` runs tests of the same group in the same process, so that they share a server, an installed
module or a browser.
"""

from collections.abc import Iterable
from typing import Any

import pytest

HUB = "hub"
HUB_FACES = ("PaddleHub", "PaddleHub with workers")
STANDALONE_FACES = ("standalone", "standalone with workers")
FACES = (*HUB_FACES, *STANDALONE_FACES)
LONGEST_FIRST = ("ray", HUB, "page", "standalone server", *STANDALONE_FACES)
"""Groups, in the order in which they are begun; all other tests follow them."""

USES_HUB = pytest.mark.xdist_group(HUB)
"""Marks a test that imports PaddleHub, or needs the installed module."""


def group_of(face: str) -> str:
    return HUB if face in HUB_FACES else face


def on(face: str, *more: object) -> Any:
    """A parameter set for a test that is run against this server; the fixture `service` takes its name."""
    return pytest.param(face, *more, marks=pytest.mark.xdist_group(group_of(face)))


def on_each(faces: Iterable[str]) -> list[Any]:
    return [on(face) for face in faces]
