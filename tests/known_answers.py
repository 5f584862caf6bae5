"""What the default model answers to three photographs, from an independent run of the original network."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

TOP_5 = {
    "chelsea.png": ([282, 285, 281, 287, 904], [0.38878, 0.35908, 0.16275, 0.01970, 0.00133]),
    "coffee.png": ([967, 968, 925, 960, 504], [0.95154, 0.01440, 0.00779, 0.00412, 0.00338]),
    "rocket.jpg": ([657, 744, 540, 812, 668], [0.32658, 0.18189, 0.08044, 0.06235, 0.03093]),
}
"""File name -> class ids and scores, with resize_short 256 and crop_size 224."""

PHOTOGRAPHS = tuple(TOP_5)


def assert_right(entries: Iterable[Mapping[str, Any]], names: Iterable[str]) -> None:
    """Hold the answers against TOP_5; scores to 1e-3."""
    for entry, name in zip(entries, names, strict=True):
        class_ids, scores = TOP_5[name]
        assert entry["class_ids"] == class_ids
        assert entry["scores"] == pytest.approx(scores, abs=1e-3)
