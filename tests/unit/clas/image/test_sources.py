from pathlib import Path

import pytest

from clas.errors import ImageError
from clas.image.sources import from_file


def test_a_file_is_read_when_its_turn_comes(tmp_path: Path) -> None:
    source = from_file(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(b"content")
    assert source.name == str(tmp_path / "a.png")
    assert source.load() == b"content"
    (tmp_path / "a.png").unlink()
    with pytest.raises(ImageError, match="the file can't be read: No such file"):
        source.load()


def test_a_file_may_be_named(tmp_path: Path) -> None:
    assert from_file(tmp_path / "a.png", "sub/a.png").name == "sub/a.png"
