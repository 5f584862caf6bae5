from pathlib import Path

import cv2
import numpy as np
import pytest

from clas.errors import ImageError
from clas.image.sources import from_file
from clas_client.images import load_image, read_image


def test_an_image_is_read_as_rgb_under_any_name(tmp_path: Path) -> None:
    file = tmp_path / "图 片.png"
    file.write_bytes(cv2.imencode(".png", np.full((2, 3, 3), (30, 20, 10), np.uint8))[1].tobytes())
    np.testing.assert_array_equal(load_image(from_file(file)), np.full((2, 3, 3), (10, 20, 30)))


def test_a_path_is_read_like_a_source(tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    path.write_bytes(cv2.imencode(".png", np.full((2, 3, 3), (0, 0, 255), np.uint8))[1].tobytes())
    assert (read_image(path) == load_image(from_file(path))).all()
    assert read_image(path)[0, 0].tolist() == [255, 0, 0]


def test_a_file_that_can_not_be_read_is_an_image_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="the file can't be read: No such file"):
        load_image(from_file(tmp_path / "nowhere.png"))
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ImageError, match="can't be decoded"):
        load_image(from_file(tmp_path / "text.png"))
