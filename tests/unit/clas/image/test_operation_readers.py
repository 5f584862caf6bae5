"""The manual names every operation that is read, with its options."""

import re
from pathlib import Path
from typing import Any

import pytest

from clas.image.operation_readers import READERS
from clas.image.options import Options

NEEDED: dict[str, dict[str, object]] = {
    "ResizeImage": {"size": 32},
    "Resize": {"target_size": 32},
    "ResizeByShort": {"target_short_edge": 32},
    "CropImage": {"size": 32},
    "Crop": {"crop_size": 32},
    "CropImageAtRatio": {"size": 32, "pad": 8},
    "Pad": {"target_size": 32},
}
HEADS = {"en": "| Operation | Options |", "zh": "| 操作 | 选项 |"}


class Recorded(Options):
    """Notes which options are asked for."""

    def __init__(self, operation: str, given: dict[str, object]) -> None:
        super().__init__(operation, given)
        self.names: set[str] = set()

    def take(self, name: str) -> Any:
        self.names.add(name)
        return super().take(name)


def rows(repository: Path, language: str) -> dict[str, set[str]]:
    """Operation -> all that its row of the table has in code."""
    text = (repository / "docs" / language / "models.md").read_text(encoding="utf-8")
    table = text.partition(HEADS[language])[2].partition("\n\n")[0]
    found: dict[str, set[str]] = {}
    for line in table.splitlines()[2:]:
        first, rest = line.strip("| ").split(" | ", 1)
        words = {word for code in re.findall(r"`([^`]+)`", rest) for word in re.findall(r"\w+", code)}
        found.update(dict.fromkeys(re.findall(r"`(\w+)`", first), words))
    return found


@pytest.mark.parametrize("language", HEADS)
def test_the_manual_names_every_operation_and_option(repository: Path, language: str) -> None:
    described = rows(repository, language)
    assert described.keys() == READERS.keys()
    same = described["ResizeImage"] | described["Pad"] | described["NormalizeImage"]
    for name, reader in READERS.items():
        options = Recorded(name, NEEDED.get(name, {}))
        reader(options)
        unnamed = options.names - described[name] - {"mode"}  # of Crop, which takes its default only
        assert not unnamed or unnamed <= same, (name, unnamed)
        if name.endswith(("Image", "Pad", "Ratio")):
            assert not unnamed - {"backend", "interpolation"}, (name, unnamed)
