from pathlib import Path

import cv2
import numpy as np
import pytest

from clas.errors import ImageError
from clas.image.sources import from_file, from_own_file


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


def test_a_file_of_ones_own_is_decoded_if_no_server_takes_it(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    for ending in (".png", ".tiff"):
        (tmp_path / f"a{ending}").write_bytes(cv2.imencode(ending, pixels[..., ::-1])[1].tobytes())
    assert from_own_file(tmp_path / "a.png").load() == (tmp_path / "a.png").read_bytes()
    source = from_own_file(tmp_path / "a.tiff")
    assert source.name == str(tmp_path / "a.tiff")
    np.testing.assert_array_equal(source.load(), pixels)
    with pytest.raises(ImageError, match="the image has 30 x 20 pixels; max_image_pixels is 599"):
        from_own_file(tmp_path / "a.tiff", max_pixels=599).load()
