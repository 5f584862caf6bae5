from pathlib import Path

import cv2
import numpy as np
import pytest

from clas.errors import ImageError
from clas.image.sources import from_file
from clas_client.images import load_image, make_thumbnail, read_image


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


@pytest.mark.parametrize(
    ("width", "height", "small"), [(800, 400, (160, 80)), (3, 5000, (1, 160)), (20, 10, (20, 10))]
)
def test_a_thumbnail_is_a_small_jpeg_of_the_image(
    tmp_path: Path, width: int, height: int, small: tuple[int, int]
) -> None:
    image = np.full((height, width, 3), (200, 100, 20), np.uint8)  # blue, green, red
    file = tmp_path / "图片.png"
    file.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    data = make_thumbnail(from_file(file))
    assert data.startswith(b"\xff\xd8")
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape == (small[1], small[0], 3)
    assert np.abs(decoded.mean((0, 1)) - (200, 100, 20)).max() < 5


def test_a_file_that_is_no_image_has_no_thumbnail(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    assert make_thumbnail(from_file(tmp_path / "a.png")) == b""
    assert make_thumbnail(from_file(tmp_path / "nowhere.png")) == b""
